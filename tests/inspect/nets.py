"""A small network with two branches, and variants of it, as GraphDefs without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.maker import Maker


def net(
    *, seed: int = 0, prefix: str = "", stride: int = 1, inserted: bool = False, act: str = "Relu"
) -> Any:
    """GraphDef: two 3x3 convolutions side by side, their sum, a 1x1 convolution, a classifier.

    prefix: of the names of all nodes but input and output.   stride: of the first convolutions.
    inserted: whether a Tanh stands behind the sum.   act: behind the 1x1 convolution.
    """
    rng = np.random.default_rng(seed)
    maker = Maker()

    def conv(name: str, x: str, k: int, ci: int, co: int, step: int = 1) -> str:
        name = prefix + name
        w = maker.const(f"{name}/w", rng.normal(size=(k, k, ci, co)))
        b = maker.const(f"{name}/b", rng.normal(size=co))
        steps = {"strides": (1, step, step, 1), "padding": "SAME", "T": "float32"}
        y = maker.node(f"{name}/conv", "Conv2D", x, w, **steps)
        return maker.node(f"{name}/bias", "BiasAdd", y, b, T="float32")

    x = maker.input("x", 1, 8, 8, 3)
    left, right = conv("left", x, 3, 3, 4, stride), conv("right", x, 3, 3, 4, stride)
    left = maker.node(prefix + "left/relu", "Relu", left, T="float32")
    y = maker.node(prefix + "sum", "AddV2", left, right, T="float32")
    if inserted:
        y = maker.node(prefix + "squash", "Tanh", y, T="float32")
    y = maker.node(prefix + "mix/act", act, conv("mix", y, 1, 4, 6), T="float32")
    axes = maker.ints(prefix + "axes", 1, 2)
    y = maker.node(prefix + "mean", "Mean", y, axes, keep_dims=False, T="float32", Tidx="int32")
    w = maker.const(prefix + "dense/w", rng.normal(size=(6, 5)))
    y = maker.node(prefix + "dense", "MatMul", y, w, T="float32")
    maker.node("y", "Softmax", y, T="float32")
    return maker.graph


def write(path: Path, graph: Any) -> Path:
    """The graph as a frozen `.pb`."""
    path.write_bytes(graph.SerializeToString())
    return path
