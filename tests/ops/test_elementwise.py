"""Arithmetic and functions of each element."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal, uniform

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-4, np.inf, -np.inf, np.nan], np.float32)
HALF = {"rtol": 2e-3, "atol": 2e-3, "why": "float16 has 11 bits; TensorFlow rounds in between"}
FUNCTION = {"rtol": 1e-5, "atol": 2e-6, "why": "exp, log and their like in float32"}

_ANY = ("Abs", "Neg", "Sign", "Ceil", "Floor", "Exp", "Sin", "Cos", "Tanh", "Atan", "Sigmoid",
        "Square", "Round", "Rint", "Expm1", "Erf", "Erfc", "Asinh", "Sinh", "Cosh",
        "Tan")  # fmt: skip
_POSITIVE = ("Sqrt", "Log", "Rsqrt", "Log1p", "Reciprocal", "Inv", "Lgamma", "Digamma")
_UNIT = ("Asin", "Acos", "Atanh", "Erfinv")

# quotients of more bits than a float has
FAR = np.float64([1e10, -1e30, 3e38, 6e22, np.inf, np.nan, 5, -5, -0.0, 1])
DIVISORS = np.float64([3, 7, 0.1, -0.3, 2, 1, np.inf, np.inf, 3, 0])

CASES = [
    *(Case(op, [feed(normal(3, 5, scale=2))], **FUNCTION) for op in _ANY),
    *(Case(op, [feed(uniform(3, 5, low=0.01, high=6))], **FUNCTION) for op in _POSITIVE),
    *(Case(op, [feed(uniform(3, 5, low=-0.95, high=0.95))], **FUNCTION) for op in _UNIT),
    *(
        Case(op, [feed(normal(3, 5, dtype="float64", scale=2))], "float64")
        for op in (*_ANY[:9], "Round", "Expm1", "Erf")
    ),
    *(
        Case(op, [feed(normal(3, 5, dtype="float16"))], "float16", **HALF)
        for op in ("Abs", "Exp", "Tanh", "Sigmoid", "Round", "Floor", "Erf", "Expm1", "Square")
    ),
    *(
        Case(op, [feed(ints(3, 5, low=-9, dtype=dtype))], dtype)
        for op in ("Abs", "Neg", "Sign", "Square")
        for dtype in ("int32", "int64")
    ),
    *(
        Case(op, [feed(SPECIAL)], "special values", **FUNCTION)
        for op in ("Abs", "Neg", "Floor", "Ceil", "Round", "Exp", "Tanh", "Sigmoid", "Sqrt",
                   "Log", "Log1p", "Expm1", "Sign", "Square", "Erf", "Rsqrt")
    ),
    Case("Expm1", [feed(np.float32([1e-7, -1e-6, 1e-3, 0.49, 0.51, 30, -30]))], "near 0",
         rtol=1e-6, atol=0),
    Case("Log1p", [feed(np.float32([1e-7, -1e-6, 1e-3, 0.5, 1e9, 1e20]))], "near 0",
         rtol=1e-6, atol=0),
    Case("Digamma", [feed(np.float32([-0.5, -2.3, 0.1, 1.0, 8.5, 100, 0]))], "negative",
         rtol=1e-5, atol=1e-5),
    Case("Lgamma", [feed(np.float32([-0.5, -2.3, 0.1, 1.0, 2.0, 8.5, 100, 1e6, -2]))], "negative",
         rtol=2e-5, atol=2e-6),
    Case("Round", [feed(np.float32([0.5, 1.5, 2.5, -0.5, -1.5, 3.49]))], "halves"),
    Case("Acosh", [feed(uniform(3, 5, low=1, high=9))], **FUNCTION),
    Case("Ndtri", [feed(uniform(20, low=1e-4, high=0.999))], rtol=1e-5, atol=2e-6),
    Case("Zeta", [feed(uniform(9, low=1.1, high=9)), feed(uniform(9, low=0.1, high=5))],
         rtol=2e-5),
    Case("Polygamma", [feed(np.float32([0, 1, 2, 3, 4])), feed(uniform(5, low=0.2, high=5))],
         rtol=1e-4, why="factorials through lgamma in float32"),
]  # fmt: skip

X, Y = normal(2, 3, 5), normal(2, 3, 5, seed=1)
_BINARY = ("Add", "AddV2", "Sub", "Mul", "Maximum", "Minimum", "Atan2", "RealDiv", "Div",
           "FloorDiv", "FloorMod", "Mod", "SquaredDifference", "DivNoNan")  # fmt: skip
_INTEGER = ("Add", "Sub", "Mul", "Maximum", "Minimum", "Div", "TruncateDiv", "FloorDiv",
            "FloorMod", "TruncateMod", "SquaredDifference")  # fmt: skip
NONZERO = ints(4, 5, low=1, high=7) * np.where(ints(4, 5, high=2, seed=3), 1, -1)

CASES += [
    *(Case(op, [feed(X), feed(Y)], **FUNCTION) for op in _BINARY),
    *(Case(op, [feed(X), feed(Y[0, :, :1])], "right broadcast") for op in _BINARY[:9]),
    *(Case(op, [feed(Y[:1, 0]), feed(X)], "left broadcast") for op in _BINARY[:9]),
    *(
        Case(op, [feed(FAR.astype(t)), feed(DIVISORS.astype(t))], f"far {t}")
        for op in ("FloorMod", "TruncateMod") for t in ("float32", "float64")
    ),
    *(Case(op, [feed(X), np.float32(2.5)], "constant") for op in ("Add", "FloorMod", "FloorDiv")),
    *(
        Case(op, [feed(ints(4, 5, low=-20, high=20, dtype=t)), feed(NONZERO.astype(t))], t)
        for op in _INTEGER
        for t in ("int32", "int64")
    ),
    *(
        Case(op, [feed(ints(4, 5, high=20, dtype=t)), feed(ints(4, 5, low=1, dtype=t))], t)
        for op in ("AddV2", "Mul", "Maximum", "FloorDiv")
        for t in ("uint8", "int8", "int16", "uint16")
    ),
    *(
        Case(op, [feed(X.astype("float16")), feed(Y.astype("float16"))], "float16", **HALF)
        for op in ("Add", "Mul", "Sub", "RealDiv", "Maximum")
    ),
    Case("Maximum", [feed(SPECIAL), np.float32(0.25)], "special values"),
    Case("Minimum", [feed(SPECIAL), np.float32(0.25)], "special values"),
    Case("Add", [feed(np.zeros((0, 3), np.float32)), feed(np.float32([1, 2, 3]))], "empty"),
    Case("Mul", [feed(X, (None, 3, None)), feed(Y, (None, 3, None))], "open dimensions"),
    Case("Add", [feed(X, (None, 3, None)), feed(Y[0, 0])], "open and broadcast"),
    Case("TruncateDiv", [feed(ints(3, low=-9)), np.int32(4)], "constant"),
    Case("BiasAddV1", [feed(X), feed(Y[0, 0])]),
    Case("MulNoNan", [feed(SPECIAL), feed(np.float32([0, 1, 2, 0, 1, 0, 2, 0, 0, 0]))]),
    Case("DivNoNan", [feed(SPECIAL), feed(np.float32([0, 1, 2, 0, 1, 0, 2, 0, 0, 0]))], "zeros"),
    *(
        Case(op, [feed(np.float32([0, 1, 2, 0, 3])), feed(np.float32([0, 2, 0.5, np.inf, 1]))])
        for op in ("Xdivy", "Xlogy", "Xlog1py")
    ),
    Case("Xlog1py", [feed(np.float32([1, 2, 3])), feed(np.float32([1e-7, -1e-6, 1e-3]))],
         "near 0", rtol=1e-6, atol=0),
    *(Case("Pow", [feed(uniform(3, 5, low=0.1, high=3)), np.float32(p)], str(p), **FUNCTION)
      for p in (2, 0.5, 3, -1.5)),
    Case("Pow", [feed(normal(4)), feed(np.float32([2, 3, -1, 0]))], "negative base", **FUNCTION),
    Case("Pow", [feed(ints(6, low=-3, high=4)), feed(ints(6, high=7, seed=1))], "int32"),
    Case("AddN", [[feed(X), feed(Y), feed(X + 1)]]),
    Case("AddN", [[feed(X)]], "of one"),
    Case("AccumulateNV2", [[feed(X), feed(Y)]], attrs={"shape": [2, 3, 5]}),
    Case("ClipByValue", [feed(X), np.float32(-0.5), np.float32(0.7)]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
