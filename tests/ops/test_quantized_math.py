"""Arithmetic, norms and resizing of quantised tensors."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal
from test_quantized import _case

_X, _Y = (ints(2, 3, 5, 4, high=256, dtype="uint8", seed=s) for s in (1, 2))
_ROW = ints(4, high=256, dtype="uint8", seed=3)
_SIGNED = ints(3, 4, low=-128, high=128, dtype="int8", seed=4)
_WIDE = (normal(2, 3, 5, 4, dtype="float64") * 4e8).astype("int32")
_BYTES = {0: "quint8", 1: "quint8"}


def _ends(*numbers):
    return [feed(np.float32(n)) for n in numbers]


_FOUR = _ends(-1.3, 2.9, -0.7, 1.1)
_ABOVE = _ends(1.5, 2.5, 0.25, 0.75)
_EACH = [feed(np.float32([-1, -2, -0.5, -3])), feed(np.float32([1, 3, 0.25, 2]))]


def _norm(scaled):
    parts = [feed(_X), *_ends(-3, 3)]
    for seed, ends in ((5, (-1, 1)), (6, (0.2, 2)), (7, (-2, 2)), (8, (-1, 3))):
        parts += [feed(ints(4, high=256, dtype="uint8", seed=seed)), *_ends(*ends)]
    name = "QuantizedBatchNormWithGlobalNormalization"
    quantized = dict.fromkeys(range(0, 15, 3), "quint8")
    return _case(name, parts, f"{scaled}", quantized, out_type="qint32", variance_epsilon=0.01,
                 scale_after_normalization=scaled)  # fmt: skip


CASES = [
    *(
        _case(op, [feed(_X), feed(y), *ends], note, _BYTES, Toutput="qint32")
        for op in ("QuantizedAdd", "QuantizedMul")
        for y, ends, note in (
            (_Y, _FOUR, "alike"), (_ROW, _FOUR, "a row"), (_ROW[0], _FOUR, "a scalar"),
            (_Y, _ABOVE, "ranges above 0"),
        )
    ),
    _case("QuantizedBiasAdd", [feed(_X), feed(_ROW), *_FOUR], "quint8", _BYTES, out_type="qint32"),
    _case("QuantizedBiasAdd", [feed(_SIGNED), feed(_SIGNED[0]), *_FOUR], "qint8",
          {0: "qint8", 1: "qint8"}, out_type="qint32"),
    _case("QuantizedMatMul", [feed(_X[0, 0]), feed(_Y[0, 0].T), *_ABOVE], "ranges above 0", _BYTES),
    *(
        _case("QuantizedAvgPool", [feed(_X), *_ends(-1, 2)], padding, {0: "quint8"},
              ksize=[1, 2, 3, 1], strides=[1, 1, 2, 1], padding=padding)
        for padding in ("SAME", "VALID")
    ),
    Case("QuantizedConcat", [feed(_X), feed(_Y), *_FOUR], "quint8",
         build=lambda tf, x, y, *e: _concat(tf, [x, y], e, "quint8")),
    Case("QuantizedConcat", [feed(_X), feed(_Y), *_ends(-1, 2, -1, 2)], "one range",
         build=lambda tf, x, y, *e: _concat(tf, [x, y], e, "quint8")),
    *(_norm(scaled) for scaled in (False, True)),
    *(
        _case("QuantizedInstanceNorm", [feed(_X), *_ends(-1, 2)], f"{given}", {0: "quint8"},
              output_range_given=given, given_y_min=-1.5, given_y_max=1.75)
        for given in (False, True)
    ),
    *(
        _case("QuantizedResizeBilinear", [feed(x), np.int32(size), *_ends(-1, 2)],
              f"{kind} {size} {corners} {half}", {0: kind}, align_corners=corners,
              half_pixel_centers=half)
        for x, kind in ((_X, "quint8"), (_WIDE, "qint32"))
        for size, corners, half in (([7, 4], False, False), ([7, 4], True, False),
                                    ([2, 9], False, True), ([3, 5], False, True))
    ),
    *(
        Case("QuantizeAndDequantize", [feed(normal(3, 5) * 2)], f"{given}", via="Identity",
             patch={"signed_input": True, "num_bits": 5, "range_given": given,
                    "input_min": -1.5, "input_max": 1.25},
             reference=lambda tf, x, given=given: tf.raw_ops.QuantizeAndDequantizeV2(
                 input=x, input_min=-1.5, input_max=1.25, num_bits=5, range_given=given))
        for given in (False, True)
    ),
    *(
        _case("RequantizePerChannel", [feed(_WIDE), *_EACH, *_ends(low, 0.6)], kind,
              {0: "qint32"}, out_type=kind)
        for kind, low in (("qint8", -0.5), ("quint8", 0.0))
    ),
    *(
        _case("RequantizationRangePerChannel", [feed(x), *_EACH], note, {0: "qint32"},
              clip_value_max=limit)
        for x, limit, note in ((_WIDE, 1e9, "signed"), (np.abs(_WIDE), 0.1, "clipped"))
    ),
    _case("QuantizedResizeBilinear", [feed(_X, (None, None, None, 4)), feed(np.int32([4, 7])),
                                      *_ends(-1, 2)], "open", {0: "quint8"}),
    _case("QuantizedAdd", [feed(_X, (None, 3, 5, 4)), feed(_ROW), *_FOUR], "open", _BYTES,
          Toutput="qint32"),
    _case("QuantizedAvgPool", [feed(_X, (None, None, None, 4)), *_ends(-1, 2)], "open",
          {0: "quint8"}, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID"),
    Case("QuantizedReluX", [feed(_X), np.float32(6), *_ends(-3, 9)],
         build=lambda tf, x, top, low, high: _relu_x(tf, x, top, low, high),
         reference=lambda tf, x, top, low, high: _relu6(tf, x, low, high)),
]  # fmt: skip


def _concat(tf, values, ends, kind):
    values = [tf.bitcast(v, getattr(tf, kind)) for v in values]
    y, low, high = tf.raw_ops.QuantizedConcat(
        concat_dim=2, values=values, input_mins=ends[::2], input_maxes=ends[1::2]
    )
    return [tf.bitcast(y, tf.uint8), low, high]


def _relu_x(tf, x, top, low, high):
    y = tf.raw_ops.QuantizedReluX(
        features=tf.bitcast(x, tf.quint8), max_value=top, min_features=low, max_features=high
    )
    return [tf.bitcast(y[0], tf.uint8), y[1], y[2]]


def _relu6(tf, x, low, high):
    y = tf.raw_ops.QuantizedRelu6(
        features=tf.bitcast(x, tf.quint8), min_features=low, max_features=high
    )
    return [tf.bitcast(y[0], tf.uint8), y[1], y[2]]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
