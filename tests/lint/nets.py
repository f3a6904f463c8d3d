"""Networks that have what the rules look for, as GraphDefs without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fuzz.maker import Maker

NHWC = {"T": "float32", "data_format": "NHWC"}


class Layers(Maker):
    """A GraphDef under construction, layer by layer."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(4)

    def weight(self, name: str, *shape: int) -> str:
        """A constant, read through an identity as trained variables are."""
        self.const(f"{name}/value", self.rng.normal(size=shape) * 0.3)
        return self.node(name, "Identity", f"{name}/value", T="float32")

    def conv(self, name: str, x: str, k: int, ci: int, co: int) -> str:
        w = self.weight(f"{name}/w", k, k, ci, co)
        attrs = {"strides": (1, 1, 1, 1), "padding": "SAME", **NHWC}
        y = self.node(name, "Conv2D", x, w, **attrs)
        return self.node(f"{name}/bias", "BiasAdd", y, self.weight(f"{name}/b", co), **NHWC)

    def depthwise(self, name: str, x: str, c: int, times: int = 1) -> str:
        attrs = {"strides": (1, 1, 1, 1), "padding": "SAME", **NHWC}
        return self.node(
            name, "DepthwiseConv2dNative", x, self.weight(f"{name}/w", 3, 3, c, times), **attrs
        )

    def norm(self, name: str, x: str, c: int) -> str:
        parts = [self.weight(f"{name}/{part}", c) for part in ("scale", "offset", "mean")]
        self.const(f"{name}/variance", self.rng.random(c) + 0.5)
        attrs = {"is_training": False, "epsilon": 1e-3, "U": "float32", **NHWC}
        return self.node(name, "FusedBatchNormV3", x, *parts, f"{name}/variance", **attrs)

    def map(self, name: str, op: str, *x: str) -> str:
        return self.node(name, op, *x, T="float32")


def odd(batch: int = 1, channels: int = 30) -> Any:
    """Channels that are no multiple of a vector pass through every operation that may pad them:
    a residual block, a depthwise convolution, a norm, a pool, a gate, a mean, a product."""
    m = Layers()
    c = channels
    x = m.map("r0", "Relu6", m.conv("c0", m.input("x", batch, 9, 8, 3), 3, 3, c))
    y = m.map("r1", "Relu", m.norm("bn", m.depthwise("dw", x, c), c))
    y = m.map("sum", "AddV2", x, m.conv("c1", y, 3, c, c))
    windows = {"ksize": (1, 2, 2, 1), "strides": (1, 2, 2, 1), "padding": "SAME"}
    y = m.node("pool", "MaxPool", y, **windows, **NHWC)
    kept = {"keep_dims": True, "T": "float32", "Tidx": "int32"}
    means = m.node("means", "Mean", y, m.ints("axes", 1, 2), **kept)
    gate = m.map("gate", "Sigmoid", m.conv("c2", means, 1, c, c))
    y = m.map("gated", "Mul", m.map("scaled", "Mul", y, m.const("two", 2.0)), gate)
    y = m.node("mean", "Mean", y, m.ints("axes2", 1, 2), **{**kept, "keep_dims": False})
    m.node("y", "MatMul", y, m.weight("dense/w", c, 5), T="float32")
    m.node("unread", "Identity", "y", T="float32")
    graph = m.graph
    graph.node.remove(graph.node[-1])
    return graph


def turned() -> Any:
    """Elementwise operations between transpositions that undo each other, in a large image."""
    m = Layers()
    m.input("x", 1, 96, 96, 8)
    moves = {"T": "float32", "Tperm": "int32"}
    y = m.node("to", "Transpose", "x", m.ints("p", 0, 3, 1, 2), **moves)
    y = m.map("plus", "AddV2", y, m.const("b", m.rng.normal(size=(8, 1, 1))))
    y = m.map("bent", "Tanh", y)
    y = m.map("minus", "Sub", m.const("one", 1.0), y)
    y = m.node("fro", "Transpose", y, m.ints("q", 0, 2, 3, 1), **moves)
    m.map("y", "Exp", y)
    return m.graph


def whole_numbers(channels: int = 40) -> Any:
    """Two convolutions of 8-bit integers with int32 sums, as the DSP multiplies them."""
    m = Layers()
    m._nodes.add(name="x", op="Placeholder").attr["dtype"].type = 4
    for size in (1, 6, 6, 32):
        m._nodes[-1].attr["shape"].shape.dim.add(size=size)

    def conv(name: str, x: str, ci: int, co: int) -> str:
        wide = m.node(f"{name}/wide", "Cast", x, SrcT="uint8", DstT="int32")
        w = m.const(f"{name}/w", m.rng.integers(-50, 50, (1, 1, ci, co)), "int32")
        attrs = {"strides": (1, 1, 1, 1), "padding": "VALID", "T": "int32"}
        y = m.node(name, "Conv2D", wide, w, **attrs)
        y = m.node(f"{name}/add", "AddV2", y, m.const(f"{name}/b", [3] * co, "int32"), T="int32")
        y = m.node(f"{name}/shift", "RightShift", y, m.const(f"{name}/by", 9, "int32"), T="int32")
        y = m.node(f"{name}/low", "Maximum", y, m.const(f"{name}/0", 0, "int32"), T="int32")
        y = m.node(f"{name}/high", "Minimum", y, m.const(f"{name}/255", 255, "int32"), T="int32")
        return m.node(f"{name}/bytes", "Cast", y, SrcT="int32", DstT="uint8")

    y = conv("c1", conv("c0", "x", 32, channels), channels, 64)
    m.node("y", "Cast", y, SrcT="uint8", DstT="int32")
    return m.graph
