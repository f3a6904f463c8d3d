"""Small sound graphs of many ops, which the fuzz tests damage; made without TensorFlow."""

from __future__ import annotations

from functools import cache

import numpy as np
from control_seeds import frames, functions
from maker import Maker


def _network() -> Maker:
    """Convolution, batch norm, pooling, padding, product, softmax."""
    m, rng = Maker(), np.random.default_rng(0)
    x = m.input("x", 1, 8, 8, 3)
    m.const("w", rng.normal(size=(3, 3, 3, 4)))
    m.node("conv", "Conv2D", x, "w", T="float32", strides=(1, 2, 2, 1), padding="SAME",
           data_format="NHWC", dilations=(1, 1, 1, 1))  # fmt: skip
    for name, value in (("gamma", 1.5), ("beta", 0.1), ("mean", 0.2), ("variance", 2.0)):
        m.const(name, np.full(4, value))
    m.node("bn", "FusedBatchNormV3", "conv", "gamma", "beta", "mean", "variance", T="float32",
           U="float32", epsilon=1e-3, is_training=False, data_format="NHWC")  # fmt: skip
    m.node("relu", "Relu6", "bn", T="float32")
    m.const("widths", [[0, 0], [1, 1], [1, 1], [0, 0]], "int32")
    m.node("pad", "Pad", "relu", "widths", T="float32", Tpaddings="int32")
    m.node("pool", "MaxPool", "pad", T="float32", ksize=(1, 2, 2, 1), strides=(1, 2, 2, 1),
           padding="VALID", data_format="NHWC")  # fmt: skip
    m.ints("axes", 1, 2)
    m.node("mean_of", "Mean", "pool", "axes", T="float32", Tidx="int32", keep_dims=False)
    m.const("fc", rng.normal(size=(4, 5)))
    m.node("dot", "MatMul", "mean_of", "fc", T="float32", transpose_a=False, transpose_b=False)
    m.const("bias", np.arange(5))
    m.node("biased", "BiasAdd", "dot", "bias", T="float32", data_format="NHWC")
    m.node("softmax", "Softmax", "biased", T="float32")
    return m


def _shapes() -> Maker:
    """Shapes that are computed: what is folded, and what depends on an open dimension."""
    m = Maker()
    x = m.input("x", -1, 6)
    m.node("shape", "Shape", x, T="float32", out_type="int32")
    m.ints("zero", 0), m.ints("one", 1)
    masks = dict.fromkeys(("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask"), 0)
    m.node("rows", "StridedSlice", "shape", "zero", "one", "one", T="int32", Index="int32",
           shrink_axis_mask=1, **masks)  # fmt: skip
    m.const("two", 2, "int32"), m.const("three", 3, "int32")
    m.node("dims", "Pack", "rows", "two", "three", T="int32", N=3, axis=0)
    m.node("cube", "Reshape", x, "dims", T="float32", Tshape="int32")
    m.ints("order", 0, 2, 1)
    m.node("turned", "Transpose", "cube", "order", T="float32", Tperm="int32")
    m.ints("size", 4, 5), m.const("value", 1.5)
    m.node("fill", "Fill", "size", "value", T="float32", index_type="int32")
    m.ints("times", 2, 3)
    m.node("tile", "Tile", "fill", "times", T="float32", Tmultiples="int32")
    m.const("start", 0, "int32"), m.const("limit", 7, "int32")
    m.node("range", "Range", "start", "limit", "three", Tidx="int32")
    m.const("axis", 0, "int32")
    m.node("picked", "GatherV2", "tile", "range", "axis", Tparams="float32", Tindices="int32",
           Taxis="int32", batch_dims=0)  # fmt: skip
    m.node("linear", "LinSpace", "value", "value", "three", T="float32", Tidx="int32")
    m.const("on", 1.0), m.const("off", 0.0)
    m.node("hot", "OneHot", "range", "three", "on", "off", T="float32", TI="int32", axis=-1)
    m.ints("whole", 2, 3, 3)
    m.node("spread", "BroadcastTo", "linear", "whole", T="float32", Tidx="int32")
    return m


def _image() -> Maker:
    """Resizing, cutting, joining, ordering."""
    m = Maker()
    x = m.input("x", 2, 4, 6, 2)
    m.ints("size", 7, 5)
    m.node("bilinear", "ResizeBilinear", x, "size", T="float32", align_corners=False,
           half_pixel_centers=True)  # fmt: skip
    m.node("area", "ResizeArea", x, "size", T="float32", align_corners=False)
    m.ints("begin", 0, 1, 0, 0), m.ints("extent", 2, 2, -1, 1)
    m.node("cut", "Slice", x, "begin", "extent", T="float32", Index="int32")
    m.const("axis", 3, "int32")
    m.node("joined", "ConcatV2", "bilinear", "area", "axis", T="float32", Tidx="int32", N=2)
    m.node("deep", "SpaceToDepth", x, T="float32", block_size=2, data_format="NHWC")
    m.ints("flat", -1)
    m.node("vector", "Reshape", "cut", "flat", T="float32", Tshape="int32")
    m.const("k", 3, "int32")
    m.node("top", "TopKV2", "vector", "k", T="float32", sorted=True)
    m.node("split", "Split", "axis", x, T="float32", num_split=2)
    m.node("sum", "AddV2", "split:1", "split", T="float32")
    m.node("greater", "Greater", "sum", "split:1", T="float32")
    m.node("chosen", "SelectV2", "greater", "sum", "split", T="float32")
    m.ints("block", 2, 2), m.const("crops", [[0, 0], [0, 0]], "int32")
    m.node("space", "SpaceToBatchND", x, "block", "crops", T="float32")
    return m


@cache
def seeds() -> tuple[bytes, ...]:
    """The graphs, serialized."""
    made = (_network(), _shapes(), _image(), frames(), functions())
    return tuple(m.graph.SerializeToString() for m in made)
