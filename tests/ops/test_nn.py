"""Convolutions, pooling, normalisation, activations, images, losses and cells."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal, uniform

LOOSE = {"rtol": 2e-4, "atol": 2e-5, "why": "sums in another order"}
HALF = {"rtol": 2e-2, "atol": 2e-2, "why": "float16 has 11 bits"}
SPECIAL = np.array([0.0, -0.0, 1.5, -1.5, 7.0, np.inf, -np.inf, 100, -100], np.float32)


def _conv(note, x, w, op="Conv2D", open_=None, **attrs):
    attrs = {"strides": [1, 1, 1, 1], "padding": "SAME"} | attrs
    return Case(op, [feed(normal(*x), open_), normal(*w, seed=1)], note, attrs=attrs, **LOOSE)


def _channels_first(op, x, w, **attrs):
    """Built in NCHW; TensorFlow's CPU computes it in NHWC."""

    def build(tf, t, k):
        nchw = [attrs["strides"][i] for i in (0, 3, 1, 2)]
        return getattr(tf.raw_ops, op)(input=t, filter=k, data_format="NCHW",
                                       **attrs | {"strides": nchw})  # fmt: skip

    def reference(tf, t, k):
        y = getattr(tf.raw_ops, op)(input=tf.transpose(t, [0, 2, 3, 1]), filter=k, **attrs)
        return tf.transpose(y, [0, 3, 1, 2])

    return Case(op, [feed(normal(*x)), normal(*w, seed=1)], "NCHW", build=build,
                reference=reference, **LOOSE)  # fmt: skip


def _transposed(note, dims, w, dy, strides, padding="SAME", op="Conv2DBackpropInput", **attrs):
    return Case(op, [np.int32(dims), normal(*w), feed(normal(*dy, seed=1))], note,
                attrs={"strides": strides, "padding": padding, **attrs}, **LOOSE)  # fmt: skip


def _transposed_open(tf, dy, w):
    """The output's shape from that of the input, as Keras exports it."""
    n = tf.raw_ops.Shape(input=dy)[0]
    dims = tf.raw_ops.Pack(values=[n, 10, 8, 3])
    return tf.raw_ops.Conv2DBackpropInput(input_sizes=dims, filter=w, out_backprop=dy,
                                          strides=[1, 2, 2, 1], padding="SAME")  # fmt: skip


CONVOLUTIONS = [
    _conv("same", (2, 7, 5, 3), (3, 3, 3, 4)),
    _conv("valid", (1, 7, 9, 3), (3, 2, 3, 4), padding="VALID"),
    _conv("asymmetric", (2, 8, 7, 3), (3, 4, 3, 4), strides=[1, 2, 3, 1]),
    _conv("dilated", (1, 9, 9, 3), (3, 3, 3, 4), dilations=[1, 2, 3, 1]),
    _conv("explicit", (1, 6, 7, 3), (3, 3, 3, 4), padding="EXPLICIT", strides=[1, 2, 1, 1],
          explicit_paddings=[0, 0, 2, 1, 0, 3, 0, 0]),
    _conv("grouped", (2, 6, 6, 6), (3, 3, 2, 9)),
    _conv("1x1", (1, 5, 6, 8), (1, 1, 8, 5)),
    _conv("open batch and size", (2, 7, 8, 3), (3, 3, 3, 4), open_=(None, None, None, 3),
          strides=[1, 2, 2, 1]),
    _conv("multiplier", (2, 7, 6, 3), (3, 3, 3, 2), op="DepthwiseConv2dNative"),
    _conv("stride", (1, 8, 8, 4), (3, 3, 4, 1), op="DepthwiseConv2dNative",
          strides=[1, 2, 2, 1]),
    Case("DepthwiseConv2dNative", [feed(normal(1, 9, 9, 4)), normal(3, 3, 4, 1)], "dilated",
         attrs={"strides": [1, 1, 1, 1], "padding": "SAME", "dilations": [1, 2, 2, 1]},
         reference=lambda tf, x, w: tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "SAME",
                                                           dilations=[2, 2]), **LOOSE),
    _channels_first("Conv2D", (2, 3, 7, 6), (3, 3, 3, 4), strides=[1, 2, 2, 1], padding="SAME"),
    _channels_first("DepthwiseConv2dNative", (2, 3, 7, 6), (3, 3, 3, 2), strides=[1, 1, 1, 1],
                    padding="VALID"),
    Case("Conv2D", [feed(normal(1, 5, 5, 2)), feed(normal(3, 3, 2, 3))], "computed filter",
         attrs={"strides": [1, 1, 1, 1], "padding": "SAME"}, **LOOSE),
    Case("Conv2D", [feed(normal(1, 5, 5, 2, dtype="float64")), normal(3, 3, 2, 3, dtype="float64")],
         "float64", attrs={"strides": [1, 1, 1, 1], "padding": "SAME"}),
    Case("Conv2D", [feed(normal(1, 5, 5, 2, dtype="float16")), normal(3, 3, 2, 3, dtype="float16")],
         "float16", attrs={"strides": [1, 1, 1, 1], "padding": "SAME"}, **HALF),
    Case("Conv3D", [feed(normal(2, 5, 6, 7, 2)), normal(3, 2, 3, 2, 4)],
         attrs={"strides": [1, 1, 2, 2, 1], "padding": "SAME"}, **LOOSE),
    _transposed("same", (2, 9, 8, 3), (3, 3, 3, 4), (2, 5, 4, 4), [1, 2, 2, 1]),
    _transposed("valid", (1, 11, 9, 3), (3, 3, 3, 4), (1, 5, 4, 4), [1, 2, 2, 1], "VALID"),
    _transposed("window below stride", (1, 9, 9, 2), (2, 2, 2, 3), (1, 3, 3, 3), [1, 3, 3, 1]),
    _transposed("explicit", (1, 8, 8, 2), (3, 3, 2, 3), (1, 8, 8, 3), [1, 1, 1, 1], "EXPLICIT",
                explicit_paddings=[0, 0, 2, 0, 1, 1, 0, 0]),
    _transposed("3D", (1, 4, 6, 6, 2), (2, 3, 3, 2, 3), (1, 2, 3, 3, 3), [1, 2, 2, 2, 1],
                op="Conv3DBackpropInputV2"),
    Case("Conv2DBackpropInput", [feed(normal(2, 5, 4, 4), (None, 5, 4, 4)), normal(3, 3, 3, 4)],
         "open", build=_transposed_open, **LOOSE),
]  # fmt: skip

IMAGE = uniform(2, 7, 6, 3)
_POOL = {"ksize": [1, 3, 2, 1], "strides": [1, 2, 1, 1]}
_CUBE = {"ksize": [1, 2, 3, 2, 1], "strides": [1, 1, 2, 2, 1]}
POOLS = [
    *(Case(op, [feed(normal(2, 7, 6, 3))], padding, attrs=_POOL | {"padding": padding}, **LOOSE)
      for op in ("MaxPool", "AvgPool") for padding in ("SAME", "VALID")),
    *(Case(op, [feed(normal(2, 7, 6, 3), (None, None, None, 3))], "open",
           attrs=_POOL | {"padding": "SAME"}, **LOOSE) for op in ("MaxPool", "AvgPool")),
    *(Case(op, [feed(normal(2, 5, 6, 7, 3))], padding, attrs=_CUBE | {"padding": padding}, **LOOSE)
      for op in ("MaxPool3D", "AvgPool3D") for padding in ("SAME", "VALID")),
    Case("MaxPoolV2", [feed(IMAGE), np.int32([1, 2, 2, 1]), np.int32([1, 2, 2, 1])],
         attrs={"padding": "SAME"}),
    *(Case("MaxPoolWithArgmax", [feed(normal(2, 7, 6, 3))], f"{padding} {batch}",
           attrs=_POOL | {"padding": padding, "include_batch_in_index": batch})
      for padding, batch in (("SAME", True), ("VALID", False))),
]  # fmt: skip

_X4, _C = normal(2, 5, 4, 3), uniform(4, 3, low=0.5, high=2)
NORMS = [
    *(Case(op, [feed(_X4), *(_C[i] for i in range(4))], "inference",
           attrs={"is_training": False, "epsilon": 1e-3}, outputs=(0,), **LOOSE)
      for op in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")),
    *(Case(op, [feed(_X4), feed(_C[0]), feed(_C[1]), [], []], "training",
           attrs={"is_training": True, "epsilon": 1e-3}, **LOOSE)
      for op in ("FusedBatchNorm", "FusedBatchNormV3")),
    Case("FusedBatchNormV3", [feed(_X4, (None, 5, 4, 3)), *(feed(_C[i]) for i in range(4))],
         "training, averaged, open", attrs={"is_training": True, "exponential_avg_factor": 0.25},
         **LOOSE),
    Case("FusedBatchNormV3", [feed(_X4[:0]), feed(_C[0]), feed(_C[1]), [], []],
         "training, empty", attrs={"is_training": True}, outputs=(0, 1, 2)),
    *(Case(op, [feed(_X4 * 2), feed(_X4[::-1].copy()), *(feed(_C[i]) for i in (0, 2, 3)), *rest],
           f"{training}", attrs={"is_training": training, "epsilon": 1e-2}, **LOOSE)
      for op, rest in (("FusedBatchNormGrad", []), ("FusedBatchNormGradV2", []),
                       ("FusedBatchNormGradV3", [feed(_C[0])]))
      for training in (True, False)),
    Case("FusedBatchNormGradV3", [feed(_X4[:0]), feed(_X4[:0]), *(feed(_C[i]) for i in range(4))],
         "empty"),
    Case("FusedBatchNormGradV2", [feed(_X4.astype("float16")), feed(_X4.astype("float16")),
                                  *(feed(_C[i]) for i in range(3))], "float16", **HALF),
    Case("FusedBatchNormV3", [feed(_X4), *(feed(_C[i]) for i in range(4))], "computed",
         attrs={"is_training": False}, outputs=(0,), **LOOSE),
    Case("FusedBatchNormV3", [feed(_X4.astype("float16")), *(_C[i] for i in range(4))], "float16",
         attrs={"is_training": False}, outputs=(0,), **HALF),
    Case("BatchNormWithGlobalNormalization", [[feed(_X4), *(feed(_C[i]) for i in range(4))]],
         via="IdentityN", outputs=(0,), patch={"scale_after_normalization": True,
                                               "variance_epsilon": 0.01},
         reference=lambda tf, v: tf.nn.batch_normalization(*v, variance_epsilon=0.01), **LOOSE),
    Case("BiasAdd", [feed(_X4), feed(_C[0])]),
    Case("BiasAdd", [feed(normal(2, 3, 4, 5)), feed(_C[0])], "NCHW",
         attrs={"data_format": "NCHW"}),
    Case("LRN", [feed(normal(2, 3, 4, 9))], attrs={"depth_radius": 2, "bias": 1.5, "alpha": 0.3,
                                                  "beta": 0.7}, **LOOSE),
    Case("L2Loss", [feed(_X4)], **LOOSE),
]  # fmt: skip
_ACTIVATIONS = ("Relu", "Relu6", "Elu", "Selu", "Softplus", "Softsign")
ACTIVATIONS = [
    *(Case(op, [feed(normal(3, 7, scale=4))], rtol=1e-5, atol=1e-6) for op in _ACTIVATIONS),
    *(Case(op, [feed(SPECIAL[:-4] if op == "Softsign" else SPECIAL)], "special values",
           rtol=1e-5, atol=1e-6) for op in _ACTIVATIONS),
    *(Case(op, [feed(normal(3, 7, dtype="float16"))], "float16", **HALF) for op in _ACTIVATIONS),
    *(Case("Relu", [feed(ints(9, low=-5, dtype=t))], t) for t in ("int32", "int8", "int64")),
    Case("LeakyRelu", [feed(normal(3, 7))], attrs={"alpha": 0.3}),
    *(Case(op, [feed(normal(4, 7, scale=5))], rtol=1e-5, atol=2e-6)
      for op in ("Softmax", "LogSoftmax")),
    Case("Softmax", [feed(normal(4, 7, dtype="float16"))], "float16", **HALF),
    Case("Softmax", [feed(normal(4, 7), (None, 7))], "open"),
    Case("InTopK", [feed(normal(5, 9)), feed(ints(5, high=9))], attrs={"k": 3}),
    Case("InTopKV2", [feed(normal(5, 9)), feed(ints(5, high=9)), feed(np.int32(4))]),
    Case("SoftmaxCrossEntropyWithLogits", [feed(normal(4, 6)), feed(uniform(4, 6))], **LOOSE),
    Case("SparseSoftmaxCrossEntropyWithLogits", [feed(normal(4, 6)), feed(ints(4, high=6))],
         **LOOSE),
]  # fmt: skip

_MODES = ((False, False), (True, False), (False, True))
_RESIZE = ("ResizeNearestNeighbor", "ResizeBilinear", "ResizeBicubic")
IMAGES = [
    *(
        Case(op, [feed(IMAGE), np.int32(size)], f"{size} {align} {half}",
             attrs={"align_corners": align, "half_pixel_centers": half}, rtol=1e-4, atol=1e-5)
        for op in _RESIZE for size in ([14, 9], [3, 4], [7, 11]) for align, half in _MODES
    ),
    *(Case("ResizeArea", [feed(IMAGE), np.int32(size)], f"{size} {align}",
           attrs={"align_corners": align}, rtol=1e-4, atol=1e-5)
      for size in ([14, 9], [3, 4]) for align in (False, True)),
    Case("ResizeBilinear", [feed(ints(1, 4, 4, 2, high=255, dtype="uint8")), np.int32([7, 7])],
         "uint8", rtol=1e-4, atol=1e-4),
    Case("ResizeNearestNeighbor", [feed(ints(1, 4, 4, 2)), np.int32([7, 7])], "int32"),
    *(Case(op, [feed(IMAGE), feed(np.int32([5, 9]))], "computed size", rtol=1e-4, atol=1e-5)
      for op in (*_RESIZE, "ResizeArea")),
    *(Case(op, [feed(IMAGE, (None, None, None, 3)), np.int32([14, 4])], "open", rtol=1e-4,
           atol=1e-5, attrs={"half_pixel_centers": True}) for op in _RESIZE),
    Case("AdjustContrastv2", [feed(IMAGE), feed(np.float32(1.7))], **LOOSE),
    Case("RGBToHSV", [feed(IMAGE)], **LOOSE),
    Case("HSVToRGB", [feed(IMAGE)], **LOOSE),
    Case("AdjustHue", [feed(IMAGE), feed(np.float32(0.3))], **LOOSE),
    Case("AdjustSaturation", [feed(IMAGE), feed(np.float32(1.4))], **LOOSE),
]  # fmt: skip

_RANGE = (np.float32(-0.7), np.float32(1.3))
_LSTM = [
    feed(normal(2, 3)),
    feed(normal(2, 4, seed=1)),
    feed(normal(2, 4, seed=2)),
    normal(7, 16, seed=3),
    *(normal(4, seed=i) for i in (4, 5, 6)),
    normal(16, seed=7),
]
_BLOCK = [feed(normal(3, 2, 3)), *_LSTM[1:]]
_PATCH = {"ksizes": [1, 3, 2, 1], "strides": [1, 2, 1, 1], "rates": [1, 1, 2, 1]}
_GREY = {"strides": [1, 2, 1, 1], "rates": [1, 1, 2, 1]}
OTHERS = [
    *(Case("ExtractImagePatches", [feed(normal(2, 7, 6, 3))], p, attrs=_PATCH | {"padding": p})
      for p in ("SAME", "VALID")),
    *(Case("Dilation2D", [feed(normal(2, 7, 6, 3)), normal(3, 2, 3)], p,
           attrs=_GREY | {"padding": p}) for p in ("SAME", "VALID")),
    Case("FakeQuantWithMinMaxArgs", [feed(normal(4, 5))], attrs={"min": -1.0, "max": 1.5}, **LOOSE),
    *(Case("FakeQuantWithMinMaxVars", [feed(normal(4, 5)), *_RANGE], f"{bits} {narrow}",
           attrs={"num_bits": bits, "narrow_range": narrow}, **LOOSE)
      for bits, narrow in ((8, False), (4, True))),
    Case("FakeQuantWithMinMaxVarsPerChannel", [feed(normal(4, 2)), feed(np.float32([-1, -2])),
                                               feed(np.float32([1, 0.5]))], **LOOSE),
    *(
        Case("QuantizeAndDequantizeV2", [feed(normal(4, 5)), *_RANGE], f"{note}", attrs=attrs,
             **LOOSE)
        for note, attrs in (
            ("own range", {}), ("unsigned", {"signed_input": False, "range_given": True}),
            ("given", {"range_given": True, "num_bits": 4}), ("half up", {"round_mode": "HALF_UP"}),
            ("narrow", {"narrow_range": True, "range_given": True}),
        )
    ),
    Case("QuantizeAndDequantizeV2", [feed(normal(4, 3)), np.zeros(3, np.float32),
                                     np.zeros(3, np.float32)], "axis", attrs={"axis": 1}, **LOOSE),
    Case("QuantizeAndDequantizeV3", [feed(normal(4, 5)), *_RANGE, np.int32(6)], **LOOSE),
    Case("QuantizeAndDequantizeV4", [feed(normal(4, 5)), *_RANGE], attrs={"range_given": True},
         **LOOSE),
    *(Case("LSTMBlockCell", _LSTM, f"peephole {peephole}",
           attrs={"use_peephole": peephole, "forget_bias": 1.0, "cell_clip": 0.8}, **LOOSE)
      for peephole in (False, True)),
    Case("BlockLSTM", [np.int64(3), *_BLOCK], attrs={"forget_bias": 1.0}, **LOOSE),
    Case("BlockLSTM", [np.int64(2), *_BLOCK], "shorter", outputs=(1, 6), **LOOSE),
    Case("BlockLSTMV2", [np.int64(3), *_BLOCK], attrs={"cell_clip": 0.0}, **LOOSE),
    Case("GRUBlockCell", [feed(normal(2, 3)), feed(normal(2, 4)), normal(7, 8), normal(7, 4),
                          normal(8), normal(4)], **LOOSE),
]  # fmt: skip

CASES = [*CONVOLUTIONS, *POOLS, *NORMS, *ACTIVATIONS, *IMAGES, *OTHERS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
