"""Values at the edge of what a dtype holds: NaN, infinities, signed zeros, overflow, ties."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal, uniform

NAN, INF = np.nan, np.inf
EDGES = np.float32([0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 1.5, -2.5, 1e-4, 1e-30, 3e38, INF, -INF, NAN])
# quotients of these are no denormal numbers, which TensorFlow takes for 0
BESIDE = np.where(np.abs(EDGES) < 1e-9, np.float32(1e-4), EDGES)
BESIDE = np.where(np.isfinite(EDGES) & (EDGES > 1e9), np.float32(300), BESIDE)
LEFT, RIGHT = np.meshgrid(BESIDE, BESIDE, indexing="ij")
FUNCTION = {"rtol": 1e-5, "atol": 1e-6, "why": "exp, log and their like in float32"}


def signs(op, values):
    """The case as 1 / result, which tells 0.0 from -0.0."""

    def build(tf, x):
        made = getattr(tf.raw_ops, op)
        (name,) = [n for n in inspect.signature(made).parameters if n in ("x", "features")]
        return tf.raw_ops.Reciprocal(x=made(**{name: x}))

    return Case(op, [feed(values)], "signs of zeros", build=build, rtol=1e-5)


ROWS = np.float32([[1, NAN, 3, 2], [NAN] * 4, [INF, 1, -INF, 0], [-INF] * 4, [2, 5, 5, 1],
                   [NAN, 1, 2, 3], [3, 2, 1, NAN]])  # fmt: skip
WIDE = np.where(ints(6, 40, high=12, seed=5) == 0, np.float32(NAN), normal(6, 40, seed=6))
I32 = np.int32([0, 1, -1, 2, -3, 7, -8, 2**31 - 1, -(2**31)])
I64 = np.int64([0, 1, -1, 2, -3, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
U64 = np.uint64([0, 1, 2, 2**53 + 1, 2**63, 2**63 + 1, 2**64 - 1, 7, 12345678901234567890])
U8, I8 = np.uint8([0, 1, 2, 127, 128, 200, 255]), np.int8([0, 1, -1, 2, -3, 127, -128])
HALF = [uniform(*shape, dtype="float16", low=0.5) for shape in ((2, 4096), (4096, 3))]
TINY = np.float64([0, -0.0, 1e-300, -1e-20, 1e-16, 1e-8, -1e-5, 1e-3])


def pairs(values):
    left, right = np.meshgrid(values, values, indexing="ij")
    keep = right.ravel() != 0
    return feed(left.ravel()[keep]), feed(right.ravel()[keep])


_UNARY = ("Abs", "Neg", "Sign", "Round", "Rint", "Floor", "Ceil", "Sqrt", "Rsqrt", "Exp", "Log",
          "Log1p", "Expm1", "Tanh", "Sigmoid", "Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "Erf",
          "Erfc", "Relu", "Relu6", "Elu", "Selu", "Softplus", "Softsign", "Square", "Reciprocal",
          "IsNan", "IsInf", "IsFinite", "LeakyRelu", "Acos", "Asin", "Atanh", "Acosh", "Lgamma",
          "Digamma", "Erfinv", "Ndtri", "Tan")  # fmt: skip
_BINARY = ("Maximum", "Minimum", "Pow", "RealDiv", "FloorDiv", "FloorMod", "Mod", "Atan2", "Sub",
           "SquaredDifference", "DivNoNan", "MulNoNan", "Xdivy", "Xlogy", "Xlog1py", "Equal",
           "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "TruncateDiv")  # fmt: skip
_ZEROS = ("Neg", "Sqrt", "Sin", "Tan", "Tanh", "Asin", "Atan", "Sinh", "Asinh", "Atanh", "Expm1",
          "Log1p", "Erf", "Floor", "Ceil", "Round", "Rint", "Sign", "Abs", "Relu", "Relu6",
          "LeakyRelu", "Elu", "Softsign", "Square", "Reciprocal")  # fmt: skip

CASES = [
    *(Case(op, [feed(EDGES)], "edges", **FUNCTION) for op in _UNARY),
    *(Case(op, [feed(EDGES.astype("float64"))], "float64 edges", rtol=1e-10)
      for op in _UNARY if op != "Erf"),  # TensorFlow's float64 one is NaN at infinity
    *(Case(op, [feed(LEFT), feed(RIGHT)], "edges", **FUNCTION) for op in _BINARY),
    *(Case(op, [feed(LEFT.astype("float64")), feed(RIGHT.astype("float64"))], "float64 edges",
           rtol=1e-10) for op in _BINARY),
    *(signs(op, np.float32([0.0, -0.0, -0.25, 0.25, -1e-30])) for op in _ZEROS),
    *(Case(op, [feed(TINY)], "near 0", rtol=1e-14, atol=0)
      for op in ("Expm1", "Log1p", "Tanh", "Sinh", "Asinh", "Atanh", "Erf", "Sin", "Tan")),
    *(Case(op, [feed(TINY[3:].astype("float32"))], "float32 near 0", rtol=1e-6, atol=0)
      for op in ("Expm1", "Log1p", "Tanh", "Sinh", "Asinh", "Atanh", "Erf", "Sin", "Tan", "Elu")),
    Case("Erfc", [feed(np.linspace(-3, 9.1, 60, dtype="float32"))], "tail", rtol=1e-5, atol=0),
    Case("Erfc", [feed(np.linspace(-3, 26.4, 90))], "float64 tail", rtol=1e-12, atol=0),
    *(Case(op, [feed(np.float64([0.1, 1, 1.5, 2, 2.5, 8, 30, 170.5, 1e5]))], "float64",
           rtol=1e-11, atol=1e-13) for op in ("Lgamma", "Digamma")),
    Case("Erfinv", [feed(np.linspace(-0.99999, 0.99999, 41))], "float64", rtol=1e-10, atol=1e-14),
    Case("ClipByValue", [feed(EDGES), np.float32(-1), np.float32(1)], "edges"),
    Case("ClipByValue", [feed(EDGES), feed(np.float32(-1)), feed(np.float32(1))], "fed edges"),
    # reductions
    *(
        Case(op, [feed(x), np.int32([axis])], f"NaN, {x.shape} along {axis}", **FUNCTION)
        for op in ("Max", "Min", "Sum", "Mean", "Prod")
        for x in (ROWS, WIDE)
        for axis in (0, 1)
    ),
    *(
        Case(op, [feed(x), np.int32(axis)], f"NaN, {x.shape} along {axis}")
        for op in ("ArgMax", "ArgMin")
        for x in (ROWS, WIDE)
        for axis in (0, 1)
    ),
    *(Case(op, [feed(np.float32([[1, 3, 3, 1], [2, 2, 2, 2]])), np.int32(1)], "ties")
      for op in ("ArgMax", "ArgMin")),
    *(Case(op, [feed(np.zeros((3, 0), "float32")), np.int32([1])], "of nothing")
      for op in ("Sum", "Prod", "Mean", "Max", "Min", "EuclideanNorm")),
    *(Case(op, [feed(np.zeros((3, 0), "int32")), np.int32([1])], "of no integers")
      for op in ("Sum", "Prod", "Max", "Min")),
    *(Case(op, [feed(np.zeros((3, 0), "bool")), np.int32([1])], "of nothing")
      for op in ("All", "Any")),
    *(Case("Mean", [feed(ints(3, 7, low=-50, high=50, dtype=t)), np.int32([1])], t)
      for t in ("int32", "int64", "int8", "int16")),
    *(Case("Mean", [feed(ints(3, 40, low=100, high=255, dtype=t)), np.int32([1])], t)
      for t in ("uint8", "uint16")),
    *(Case(op, [feed(ints(3, 40, low=100, high=255, dtype="uint8")), np.int32([1])], "uint8 wraps")
      for op in ("Sum", "Prod")),
    *(Case("Sum", [feed(uniform(3, 5000, low=0.5, dtype=t)), np.int32([1])], f"long {t}",
           rtol=1e-2, why="11 or 8 bits") for t in ("float16",)),
    *(
        Case(op, arguments, "long float16", attrs, rtol=2e-3, why="11 bits; sums beyond 2048")
        for op, arguments, attrs in (
            ("MatMul", [feed(HALF[0]), feed(HALF[1])], {}),
            ("BatchMatMulV2", [feed(HALF[0][None]), HALF[1][None]], {}),
            ("Einsum", [[feed(HALF[0]), feed(HALF[1])]], {"equation": "ab,bc->ac"}),
        )
    ),
    Case("Conv2D", [feed(uniform(1, 4, 4, 512, dtype="float16", low=0.5)),
                    uniform(3, 3, 512, 4, dtype="float16", low=0.5)], "long float16",
         {"strides": [1, 1, 1, 1], "padding": "SAME"}, rtol=3e-3, why="11 bits; long sums"),
    Case("TopKV2", [feed(np.float32([[1, 3, 3, 1, 2], [5, 5, 5, 5, 5]])), np.int32(4)], "ties"),
    Case("TopKV2", [feed(np.float32([[INF, 3, -INF, 1, -0.0]])), np.int32(5)], "infinities"),
    Case("Unique", [feed(np.float32([3, 1, 3, -0.0, 0.0, 2, 1]))], "order"),
    # integers
    *(Case(op, [*pairs(v)], v.dtype.name)
      for op in ("FloorDiv", "FloorMod", "TruncateDiv", "Div", "Add", "Sub", "Mul", "Maximum",
                 "Minimum", "SquaredDifference")
      for v in (I32[:-1], I64[:-1])),
    *(Case(op, [*pairs(v)], v.dtype.name)
      for op in ("FloorDiv", "FloorMod", "TruncateDiv", "AddV2", "Sub", "Mul", "Maximum",
                 "Minimum", "Less", "Greater", "NotEqual")
      for v in (U64, U8, I8[:-1])),
    *(Case(op, [feed(I32), feed(I32[::-1].copy())], "wraps")
      for op in ("Add", "Sub", "Mul", "SquaredDifference")),
    *(Case(op, [feed(v)], f"{v.dtype} edges") for op in ("Abs", "Neg", "Square", "Sign")
      for v in (I32, I64)),
    *(Case("Pow", [feed(np.asarray([0, 1, -1, 2, -3, 7, 10], t)), feed(np.asarray(p, t))],
           f"{t} {p}") for t in ("int32", "int64") for p in (0, 1, 2, 3, 31)),
    *(Case(op, [feed(v), feed(np.asarray(s, v.dtype))], f"{v.dtype} by {s}")
      for op in ("LeftShift", "RightShift")
      for v, s in ((I32, 31), (I32, 32), (I32, 40), (I64, 63), (I64, 70), (U8, 9), (I8, 8),
                   (U64, 64))),
    # casts
    *(
        Case("Cast", [feed(np.float32([0.5, -0.5, 1.9, -1.9, 254.7, 255, 100000, 0]))],
             f"float32 to {t}", {"DstT": t})
        for t in ("int32", "int64", "bool", "float16", "float64", "bfloat16")
    ),
    *(
        Case("Cast", [feed(np.float32([0.5, 1.9, 100.7, 120, 0, 3]))], f"float32 to {t}",
             {"DstT": t})
        for t in ("uint8", "int8", "uint16", "int16", "uint32", "uint64")
    ),
    *(
        Case("Cast", [feed(np.float32([3e9, -3e9, 1e20, -1e20, INF, -INF, NAN, 300, -300]))],
             f"float32 out of range to {t}", {"DstT": t})
        for t in ("int32", "int64", "int8", "uint8", "int16", "uint16", "uint32", "uint64", "bool",
                  "float16", "bfloat16")
    ),
    *(
        Case("Cast", [feed(v)], f"{v.dtype} to {t}", {"DstT": t}, rtol=1e-7)
        for v in (I32, I64, U64, U8, I8, np.array([True, False]))
        for t in ("int8", "uint8", "int32", "int64", "uint64", "float32", "float64", "bool",
                  "float16", "bfloat16")
        if t != v.dtype.name
    ),
    # softmax
    *(
        Case(op, [feed(np.float32([[1e4, 1e4 - 1, 0], [-1e4, -1e4, -1e4], [88, 89, -200],
                                   [-INF, 0, 1], [3, 3, 3]]))], "large", **FUNCTION)
        for op in ("Softmax", "LogSoftmax")
    ),
    *(
        Case(op, [feed(np.float32([[INF, 0, 1], [NAN, 0, 1], [-INF, -INF, -INF]]))], "no numbers",
             **FUNCTION)
        for op in ("Softmax", "LogSoftmax")
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
