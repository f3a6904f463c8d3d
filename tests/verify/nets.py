"""A small network with all that a bug may hide in, made without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fuzz.maker import Maker

DRAW = np.random.default_rng(11)
WINDOW = {"strides": (1, 1, 1, 1), "padding": "SAME", "T": "float32"}


def values(*shape: int) -> np.ndarray:
    return DRAW.normal(size=shape).astype("float32")


def network() -> Any:
    """conv1 with scale, shift and ReLU at an odd size, a pool, a product, and an integer output."""
    m = Maker()
    m.input("x", 1, 9, 9, 8)
    m.const("conv1/w", values(3, 3, 8, 16) * 0.3)
    m.const("conv1/scales", DRAW.uniform(0.5, 2, 16))
    m.const("conv1/shifts", values(16))
    m.node("conv1/Conv2D", "Conv2D", "x", "conv1/w", **WINDOW)
    m.node("conv1/scaled", "Mul", "conv1/Conv2D", "conv1/scales", T="float32")
    m.node("conv1/shifted", "AddV2", "conv1/scaled", "conv1/shifts", T="float32")
    m.node("conv1/Relu", "Relu", "conv1/shifted", T="float32")
    pool = {"ksize": (1, 2, 2, 1), "strides": (1, 2, 2, 1), "padding": "VALID", "T": "float32"}
    m.node("pool", "MaxPool", "conv1/Relu", **pool)
    m.node("flat", "Reshape", "pool", m.ints("flat/shape", 1, 256), T="float32", Tshape="int32")
    m.node("dense", "MatMul", "flat", m.const("dense/w", values(256, 10) * 0.1), T="float32")
    m.node("prob", "Softmax", "dense", T="float32")
    axis = m.const("best/axis", 1, "int32")
    m.node("best", "ArgMax", "dense", axis, T="float32", Tidx="int32", output_type="int64")
    return m.graph


def open_network(w: np.ndarray) -> Any:
    """x of (n, 4) -> the largest of relu(x @ w) in each row, for any n."""
    m = Maker()
    m.input("x", -1, 4)
    m.node("dot", "MatMul", "x", m.const("w", w), T="float32")
    m.node("relu", "Relu", "dot", T="float32")
    axis = m.const("axis", 1, "int32")
    m.node("top", "Max", "relu", axis, T="float32", Tidx="int32", keep_dims=False)
    return m.graph


def branching() -> Any:
    """Two parts of an integer tensor, put together the other way round."""
    m = Maker()
    m.node("x", "Placeholder", dtype="int32")
    for size in (2, 6):
        m.graph.node[-1].attr["shape"].shape.dim.add(size=size)
    m.node("halves", "Split", m.const("axis", 1, "int32"), "x", T="int32", num_split=2)
    m.node("more", "Mul", "halves:1", m.const("seven", 7, "int32"), T="int32")
    m.node("joined", "ConcatV2", "more", "halves", "axis", T="int32", Tidx="int32", N=2)
    m.node("sum", "AddV2", "joined", "x", T="int32")
    return m.graph
