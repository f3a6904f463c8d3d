"""Integers with a scale and a zero point."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import feed, ints, normal
from test_quantized import _case

_X = normal(3, 4, 5, scale=3)
_INT8 = ints(3, 4, 5, low=-128, high=128, dtype="int8", seed=1)
_INT32 = ints(3, 4, 5, low=-100000, high=100000, seed=2)
_SCALES, _ZEROS = np.float32([0.02, 0.3, 1.5, 0.004]), np.int32([3, -7, 0, 100])
_ONE = [feed(np.float32(0.03)), feed(np.int32(-5))]
_EACH = [feed(_SCALES), feed(_ZEROS)]
_LIMITS = {"quantization_min_val": -128, "quantization_max_val": 127}
_ALL = {"quantization_min_val": -(1 << 31), "quantization_max_val": (1 << 31) - 1}


def _with(prefix, limits=_LIMITS, axis=-1):
    named = {f"{prefix}{key}": value for key, value in limits.items()}
    return {**named, f"{prefix}quantization_axis": axis}


def _dot(axis, output):
    own = [feed(_SCALES), feed(_ZEROS)] if axis == 1 else _ONE
    new = [feed(_SCALES * 40), feed(_ZEROS)] if output == 1 else _ONE
    attrs = {**_with("lhs_"), **_with("rhs_", axis=axis), **_with("output_", _ALL, output)}
    args = [feed(_INT8[0]), feed(_INT8[1].T), *_ONE, *own, *new]
    return _case("UniformQuantizedDot", args, f"{axis} {output}", {0: "qint8", 1: "qint8"},
                 Tout="qint32", **attrs)  # fmt: skip


CASES = [
    *(
        _case("UniformQuantize", [feed(_X), *own], f"{kind} {axis}", {}, Tout=kind,
              **_with("", axis=axis))
        for kind in ("qint8", "qint32") for own, axis in ((_ONE, -1), (_EACH, 1))
    ),
    *(
        _case("UniformDequantize", [feed(x), *own], f"{kind} {axis}", {0: kind},
              Tout="float32", **_with("", axis=axis))
        for x, kind in ((_INT8, "qint8"), (_INT32, "qint32"))
        for own, axis in ((_ONE, -1), (_EACH, 1))
    ),
    *(
        _case("UniformRequantize", [feed(x), *own, *new], f"{kind} {a} {b}", {0: kind},
              Tout="qint8", **_with("input_", axis=a), **_with("output_", axis=b))
        for x, kind in ((_INT8, "qint8"), (_INT32, "qint32"))
        for own, a in ((_ONE, -1), (_EACH, 1)) for new, b in ((_ONE, -1), (_EACH, 1))
    ),
    *(
        _case("UniformQuantizedAdd", [feed(_INT32), feed(_INT32[0]), *_EACH, *_EACH, *new],
              f"{axis}", {0: "qint32", 1: "qint32"}, **_with("lhs_", _ALL, 1),
              **_with("rhs_", _ALL, 0), **_with("output_", _ALL, axis))
        for new, axis in (([feed(_SCALES * 2), feed(_ZEROS)], 1),)
    ),
    _case("UniformRequantize", [feed(_INT8, (None, 4, 5)), feed(_SCALES, (None,)), feed(_ZEROS),
                                feed(_SCALES * 2, (None,)), feed(_ZEROS)], "open", {0: "qint8"},
          Tout="qint8", **_with("input_", axis=1), **_with("output_", axis=1)),
    _case("UniformQuantizedAdd", [feed(_INT32), feed(_INT32[0, :, :1]), *_ONE, *_ONE, *_ONE],
          "a tensor's", {0: "qint32", 1: "qint32"}, **_with("lhs_", _ALL), **_with("rhs_", _ALL),
          **_with("output_", _ALL)),
    *(
        _case("UniformQuantizedClipByValue", [feed(_INT32), feed(low), feed(high), *own],
              f"{axis}", {0: "qint32", 1: "qint32", 2: "qint32"}, **_with("", _ALL, axis))
        for low, high, own, axis in (
            (np.int32(-500), np.int32(70000), _ONE, -1),
            (np.int32([-5, 0, 3, -90000]), np.int32([5, 10, 4, 90000]), _EACH, 1),
        )
    ),
    *(_dot(axis, output) for axis, output in ((-1, -1), (1, -1), (1, 1))),
    *(
        _case("UniformQuantizedDotHybrid", [feed(x), feed(_INT8[1].T), *own], f"{note} {axis}",
              {1: "qint8"}, Tout="float32", **_with("rhs_", axis=axis))
        for x, note in ((_X[0], "normal"), (np.abs(_X[0]) * np.float32([[0], [1], [-1], [5]]), "0"))
        for own, axis in ((_ONE, -1), (_EACH, 1))
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
