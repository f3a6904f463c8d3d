"""Complex numbers and Fourier transforms."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, normal

Z = (normal(3, 5) + 1j * normal(3, 5, seed=1)).astype("complex64")
W = (normal(3, 5, seed=2) + 1j * normal(3, 5, seed=3)).astype("complex64")
WIDE = Z.astype("complex128") + 1e-9
ZEROED = np.where(np.arange(5) == 1, Z * 0, Z)
LOOSE = {"rtol": 1e-4, "atol": 1e-5, "why": "sums in another order"}
_UNARY = ("Square", "Exp", "Expm1", "Log", "Log1p", "Sqrt", "Rsqrt", "Reciprocal", "Inv", "Sin",
          "Cos", "Tan", "Sinh", "Cosh", "Tanh", "Neg", "ZerosLike", "OnesLike",
          "Identity")  # fmt: skip


def signal(*shape, dtype="complex64"):
    return (normal(*shape) + 1j * normal(*shape, seed=1)).astype(dtype)


def _along_first_two():
    """The ND ops have a kernel for GPUs only; the 2D ops of turned tensors are the reference."""
    for op, size in (("fft", 6), ("ifft", 6), ("rfft", 6), ("irfft", 10)):
        x = normal(4, 6, 5) if op == "rfft" else signal(4, 6, 5)
        shape, axes = np.int32([4, size]), np.int32([0, 1])

        def turned(tf, x, shape, axes, op=op):
            lengths = (shape,) if "r" in op else ()
            made = getattr(tf.signal, f"{op}2d")(tf.transpose(x, [2, 0, 1]), *lengths)
            return tf.transpose(made, [1, 2, 0])

        yield Case(f"{op.upper()}ND", [feed(x), shape, axes], reference=turned, **LOOSE)


CASES = [
    Case("Complex", [feed(normal(3, 5)), feed(normal(5))]),
    *(Case(op, [feed(Z)]) for op in ("Real", "Imag", "Conj", "ComplexAbs", "Angle")),
    *(Case(op, [feed(WIDE)], "complex128", attrs={"Tout": "float64"})
      for op in ("Real", "Imag", "ComplexAbs", "Angle")),
    Case("ComplexAbs", [feed(np.complex64([0, 3e30 + 4e30j, np.inf - 1j, -2, 1e-30j]))],
         "extremes"),
    Case("Conj", [feed(np.zeros((0, 3), np.complex64))], "empty"),
    *(Case(op, [feed(Z)], "complex", **LOOSE) for op in _UNARY),
    *(Case(op, [feed(Z), feed(W)], "complex", **LOOSE)
      for op in ("Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "SquaredDifference", "Pow",
                 "Equal", "NotEqual")),
    *(Case(op, [feed(Z)], "complex", **LOOSE) for op in ("Sign", "Sigmoid")),
    *(Case(op, [feed(WIDE)], "complex128", rtol=1e-10)
      for op in ("Sqrt", "Rsqrt", "Sin", "Cosh", "Sigmoid")),
    *(Case(op, [feed(ZEROED), feed(ZEROED[::-1].copy())], "complex zeros", **LOOSE)
      for op in ("DivNoNan", "MulNoNan", "Xdivy", "Xlogy", "Xlog1py")),
    Case("OneHot", [feed(np.int32([1, 0, 5])), np.int32(3), feed(Z[0, 0]), feed(W[0, 0])],
         "complex"),
    Case("Mul", [feed(Z), W[0]], "complex constant", **LOOSE),
    Case("AddV2", [feed(Z, (None, 5)), W[0]], "complex open", **LOOSE),
    Case("AddN", [[feed(Z), feed(W)]], "complex", **LOOSE),
    *(Case(op, [feed(Z), np.int32([1])], "complex", **LOOSE) for op in ("Sum", "Mean")),
    Case("MatMul", [feed(Z), feed(W)], "complex", attrs={"transpose_b": True}, **LOOSE),
    *(Case("BatchMatMulV2", [feed(signal(2, 3, 5)), feed(signal(2, 3, 5))], f"complex {x}",
           attrs={"adj_x": x, "adj_y": not x}, **LOOSE) for x in (False, True)),
    Case("Einsum", [[feed(Z), feed(W)]], "complex", attrs={"equation": "ij,kj->ik"}, **LOOSE),
    Case("Cast", [feed(Z)], "complex to real", attrs={"DstT": "float32"}),
    Case("Cast", [feed(np.complex64([70000.5 + 1j, -3, 5, 0.5]))], "complex to uint16",
         attrs={"DstT": "uint16"}),
    Case("Cast", [feed(normal(4))], "real to complex", attrs={"DstT": "complex128"}),
    Case("Cast", [feed(Z)], "complex to complex", attrs={"DstT": "complex128"}),
    Case("Reshape", [feed(Z), np.int32([5, -1])], "complex"),
    Case("Transpose", [feed(Z), np.int32([1, 0])], "complex"),
    Case("ConjugateTranspose", [feed(Z), np.int32([1, 0])], "complex"),
    Case("ConcatV2", [[feed(Z), feed(W)], np.int32(1)], "complex"),
    Case("Pack", [[feed(Z), W]], "complex", attrs={"axis": -1}),
    Case("Unpack", [feed(Z)], "complex", attrs={"num": 3}),
    Case("StridedSlice", [feed(Z), np.int32([0, 4]), np.int32([2, 0]), np.int32([1, -2])],
         "complex"),
    Case("GatherV2", [feed(Z), feed(np.int32([2, 0])), np.int32(0)], "complex"),
    Case("PadV2", [feed(Z), np.int32([[1, 0], [0, 2]]), np.complex64(1 - 2j)], "complex"),
    Case("SelectV2", [feed(Z.real > 0), feed(Z), feed(W)], "complex"),
    Case("Shape", [feed(Z, (None, 5))], "complex"),
    Case("ExpandDims", [feed(Z), np.int32(1)], "complex"),
    Case("Tile", [feed(Z), np.int32([2, 1])], "complex"),
    *(
        Case(op, [feed(signal(2, n))], str(n), **LOOSE)
        for op in ("FFT", "IFFT") for n in (1, 2, 7, 32, 37, 48, 64, 105, 600, 1009)
    ),
    Case("FFT", [feed(signal(2, 96, dtype="complex128"))], "complex128", rtol=1e-11, atol=1e-11),
    Case("FFT", [feed(signal(3, 12), (None, None))], "open", **LOOSE),
    Case("FFT", [feed(signal(3, 0))], "nothing"),
    *(Case(op, [feed(signal(2, 4, 6, 35))], **LOOSE)
      for op in ("FFT2D", "IFFT2D", "FFT3D", "IFFT3D")),
    *(Case(f"Batch{op}", [feed(signal(2, 4, 6, 8))], via=op, **LOOSE)
      for op in ("FFT", "IFFT", "FFT2D", "IFFT2D", "FFT3D", "IFFT3D")),
    *(
        Case("RFFT", [feed(normal(2, 40)), np.int32([n])], str(n), **LOOSE)
        for n in (40, 33, 7, 1)
    ),
    Case("RFFT", [feed(normal(2, 40)), feed(np.int32([36]))], "computed length", **LOOSE),
    Case("RFFT", [feed(normal(2, 40, dtype="float64")), np.int32([40])], "float64",
         attrs={"Tcomplex": "complex128"}, rtol=1e-11, atol=1e-11),
    Case("RFFT2D", [feed(normal(2, 9, 9)), np.int32([8, 7])], **LOOSE),
    Case("RFFT3D", [feed(normal(4, 6, 9)), np.int32([4, 6, 9])], **LOOSE),
    *(
        Case("IRFFT", [feed(signal(2, 21)), np.int32([n])], str(n), **LOOSE)
        for n in (40, 41, 33, 1)
    ),
    Case("IRFFT", [feed(signal(2, 21, dtype="complex128")), np.int32([40])], "float64",
         attrs={"Treal": "float64"}, rtol=1e-11, atol=1e-11),
    Case("IRFFT2D", [feed(signal(2, 6, 5)), np.int32([6, 8])], **LOOSE),
    Case("IRFFT3D", [feed(signal(4, 6, 5)), np.int32([4, 6, 9])], **LOOSE),
    *_along_first_two(),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
