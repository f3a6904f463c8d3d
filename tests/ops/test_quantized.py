"""Quantised inference of TF1: integers with the ends of their range."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal

LOW, HIGH = np.float32(-1.3), np.float32(2.9)
EDGES = np.float32([-9, -1.3, -1.0, -0.5, 0, 0.25, 0.5, 1, 1.7, 2.9, 3, 40])
_PLAIN = {"quint8": "uint8", "qint8": "int8", "qint32": "int32", "quint16": "uint16",
          "qint16": "int16"}  # fmt: skip


def _op(op: str, inputs: dict[int, str], **attrs: Any) -> Any:
    """The op on plain integers; inputs: the quantised dtype of each that has one."""

    def build(tf: Any, *args: Any) -> Any:
        args = tuple(
            tf.bitcast(a, getattr(tf, inputs[i])) if i in inputs else a for i, a in enumerate(args)
        )
        node = getattr(tf.raw_ops, op)
        names = list(inspect.signature(node).parameters)
        made = node(**dict(zip(names, args, strict=False)), **attrs)
        outputs = list(made) if isinstance(made, tuple) else [made]
        plain = [_PLAIN.get(t.dtype.name) for t in outputs]
        return [t if p is None else tf.bitcast(t, getattr(tf, p))
                for t, p in zip(outputs, plain, strict=True)]  # fmt: skip

    return build


def _case(op: str, args: list[Any], note: str, inputs: dict[int, str], **attrs: Any) -> Case:
    return Case(op, args, note, build=_op(op, inputs, **attrs), rtol=1e-6)


_BYTES = ints(3, 5, 4, high=256, dtype="uint8")
_SIGNED = ints(3, 5, 4, low=-128, high=128, dtype="int8")
_WIDE = (normal(4, 6, dtype="float64") * 4e6).astype("int32")
_RANGE = [feed(np.float32(-40)), feed(np.float32(52))]
_IMAGE, _FILTER = ints(2, 6, 5, 3, high=256, dtype="uint8"), ints(3, 2, 3, 4, high=256,
                                                                  dtype="uint8")  # fmt: skip
_TWO = [feed(LOW), feed(HIGH), feed(np.float32(-0.7)), feed(np.float32(1.1))]
_EACH = [feed(np.float32([-1, -0.2, 0, -3, -1])), feed(np.float32([1, 3, 0.5, 0, 9]))]

CASES = [
    *(
        _case("QuantizeV2", [feed(EDGES), feed(LOW), feed(HIGH)], f"{kind} {mode} {how}", {},
              T=kind, mode=mode, round_mode=how, **more)
        for kind in ("quint8", "qint8")
        for mode, how, more in (
            ("MIN_COMBINED", "HALF_AWAY_FROM_ZERO", {}), ("MIN_FIRST", "HALF_AWAY_FROM_ZERO", {}),
            ("SCALED", "HALF_AWAY_FROM_ZERO", {"narrow_range": True}),
            ("SCALED", "HALF_TO_EVEN", {}),
        )
    ),
    _case("QuantizeV2", [feed(normal(3, 5, 4) * 3), *_EACH], "axis", {}, T="qint8", mode="SCALED",
          axis=1),
    _case("QuantizeV2", [feed(EDGES), feed(np.float32(0)), feed(np.float32(0))], "narrow", {},
          T="quint8", mode="MIN_COMBINED"),
    *(
        _case("Dequantize", [feed(x), feed(LOW), feed(HIGH)], f"{kind} {mode}", {0: kind},
              mode=mode, narrow_range=narrow)
        for x, kind in ((_BYTES, "quint8"), (_SIGNED, "qint8"), (_WIDE, "qint32"))
        for mode, narrow in (("MIN_COMBINED", False), ("MIN_FIRST", False), ("SCALED", True))
    ),
    _case("Dequantize", [feed(_SIGNED), *_EACH], "axis", {0: "qint8"}, mode="SCALED", axis=1),
    _case("RequantizationRange", [feed(_WIDE), *_RANGE], "", {0: "qint32"}),
    _case("Requantize", [feed(_WIDE), *_RANGE, feed(np.float32(-0.1)), feed(np.float32(0.2))], "",
          {0: "qint32"}, out_type="quint8"),
    _case("QuantizeDownAndShrinkRange", [feed(_WIDE), *_RANGE], "", {0: "qint32"},
          out_type="quint8"),
    *(
        _case("QuantizedConv2D", [feed(_IMAGE), feed(_FILTER), *_TWO], padding,
              {0: "quint8", 1: "quint8"}, strides=[1, 2, 2, 1], padding=padding)
        for padding in ("SAME", "VALID")
    ),
    *(
        _case("QuantizedMatMul", [feed(_BYTES[0]), feed(_BYTES[1].T if flip else _BYTES[1]), *_TWO],
              f"{flip}", {0: "quint8", 1: "quint8"}, transpose_a=not flip, transpose_b=False)
        for flip in (False,)
    ),
    *(
        _case(op, [feed(_BYTES), feed(np.float32(-3)), feed(np.float32(9))], "", {0: "quint8"})
        for op in ("QuantizedRelu", "QuantizedRelu6")
    ),
    _case("QuantizedMaxPool", [feed(_IMAGE), feed(LOW), feed(HIGH)], "", {0: "quint8"},
          ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME"),
    _case("QuantizedReshape", [feed(_BYTES), np.int32([5, -1]), feed(LOW), feed(HIGH)], "",
          {0: "quint8"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
