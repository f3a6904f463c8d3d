"""Comparisons, logic, choice, casts and bits."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal

SPECIAL = np.array([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan], np.float32)
FLAGS = ints(3, 4, high=2).astype(bool)
X, Y = normal(3, 4), normal(3, 4, seed=1)
_COMPARE = ("Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual")

CASES = [
    *(Case(op, [feed(X), feed(Y)]) for op in _COMPARE),
    *(Case(op, [feed(SPECIAL), feed(SPECIAL[:, None])], "special values") for op in _COMPARE),
    *(
        Case(op, [feed(ints(9, high=3, dtype=t)), feed(ints(9, high=3, seed=1, dtype=t))], t)
        for op in _COMPARE
        for t in ("int8", "uint8", "int32", "int64")
    ),
    *(Case(op, [feed(FLAGS), feed(~FLAGS[:, :1])]) for op in ("LogicalAnd", "LogicalOr")),
    Case("LogicalNot", [feed(FLAGS)]),
    *(Case(op, [feed(SPECIAL)]) for op in ("IsNan", "IsInf", "IsFinite")),
    Case("IsNan", [feed(SPECIAL.astype("float64"))], "float64"),
    Case("ApproximateEqual", [feed(X), feed(X + 1e-3)], attrs={"tolerance": 1e-2}),
    Case("Select", [feed(FLAGS), feed(X), feed(Y)]),
    Case("Select", [feed(FLAGS[:, 0]), feed(X), feed(Y)], "vector condition"),
    Case("Select", [feed(np.bool_(True)), feed(X), feed(Y)], "scalar condition"),
    Case("SelectV2", [feed(FLAGS[0]), feed(X), feed(Y[:, :1])], "broadcast"),
    Case("SelectV2", [feed(FLAGS), np.float32(1), feed(ints(1)[0].astype("float32"))], "scalars"),
    Case("SelectV2", [feed(FLAGS, (None, 4)), feed(X, (None, 4)), feed(Y, (None, 4))], "open"),
    *(
        Case(op, [feed(ints(3, 5, dtype=t)), feed(ints(3, 5, seed=1, dtype=t))], t)
        for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")
        for t in ("int8", "uint16", "int32", "uint64")
    ),
    *(Case("Invert", [feed(ints(9, low=0, dtype=t))], t) for t in ("int32", "uint8", "int64")),
    *(
        Case("PopulationCount", [feed(ints(9, low=low, high=100, dtype=t))], t)
        for t, low in (("int32", -100), ("uint8", 0), ("int64", -100), ("int8", -100))
    ),
    *(
        Case(op, [feed(ints(9, low=-99, high=99, dtype=t)), feed(ints(9, low=-2, high=70,
                                                                       dtype=t))], t)
        for op in ("LeftShift", "RightShift")
        for t in ("int32", "int64", "int8")
    ),
    *(
        Case("Cast", [feed(np.array([0, 1, 2.75, 100, 9]).astype(a))], f"{a} to {b}",
             attrs={"DstT": b})
        for a in ("float32", "float64", "float16", "int32", "int64", "uint8", "bool")
        for b in ("float32", "float16", "int8", "int32", "uint8", "int64", "bool", "uint32")
        if a != b
    ),
    Case("Cast", [feed(np.float32([-2.75, -0.5, 2.5, -1e9]))], "toward zero",
         attrs={"DstT": "int32"}),
    Case("Cast", [feed(SPECIAL)], "special values to bool", attrs={"DstT": "bool"}),
    Case("Cast", [feed(ints(5, low=-500, high=500))], "wraps", attrs={"DstT": "int8"}),
    *(
        Case("Bitcast", [feed(ints(2, 8, low=-99, high=99).astype(a))], f"{a} to {b}",
             attrs={"type": b})
        for a, b in (("float32", "int32"), ("int32", "float32"), ("int32", "uint8"),
                     ("float32", "int16"), ("int64", "int32"))
    ),
    Case("Bitcast", [feed(ints(3, 4, high=200, dtype="uint8"))], "widened",
         attrs={"type": "int32"}),
    Case("Bitcast", [feed(ints(3, 2, low=-99, high=99))], "widened to int64",
         attrs={"type": "int64"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
