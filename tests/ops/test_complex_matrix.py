"""Products and matrices of complex numbers."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed
from test_complex import LOOSE, ZEROED, Z, signal

SQUARE = signal(2, 4, 4) + 3 * np.eye(4, dtype=np.complex64)
POSITIVE = SQUARE @ SQUARE.conj().transpose(0, 2, 1)
SOLVED = {"rtol": 1e-3, "atol": 1e-4, "why": "elimination in float32, another order of pivots"}
WIDE = {"rtol": 1e-9, "atol": 1e-10}
IDS = np.int32([0, 0, 2])


def _wide(x):
    return feed(x.astype("complex128"))


CASES = [
    *(Case("Prod", [feed(ZEROED if axes else Z), np.int32(axes)], f"complex {axes}",
           attrs={"keep_dims": keep}, **LOOSE)
      for axes, keep in (([0], False), ([1], True), ([0, 1], False), ([], False))),
    Case("Prod", [feed(Z, (None, 5)), np.int32([-1])], "complex open", **LOOSE),
    Case("Prod", [_wide(np.zeros((0, 3))), np.int32([0])], "complex empty"),
    *(Case("Cumprod", [feed(Z), np.int32(axis)], f"complex {axis} {reverse} {exclusive}",
           attrs={"reverse": reverse, "exclusive": exclusive}, **LOOSE)
      for axis, reverse, exclusive in ((0, False, False), (1, True, False), (-1, True, True),
                                       (0, False, True))),
    Case("Cumprod", [_wide(Z), feed(np.int32(1))], "complex computed", **WIDE),
    Case("SegmentProd", [feed(Z), feed(IDS)], "complex", **LOOSE),
    Case("UnsortedSegmentProd", [feed(Z), feed(np.int32([3, -1, 3])), np.int32(4)], "complex",
         **LOOSE),
    Case("UnsortedSegmentProd", [_wide(Z), feed(np.arange(15).reshape(3, 5) % 4), np.int32(4)],
         "complex elements", **WIDE),
    *(Case("MatrixSolve", [feed(SQUARE), feed(signal(2, 4, 3))], f"complex {adjoint}",
           attrs={"adjoint": adjoint}, **SOLVED) for adjoint in (False, True)),
    Case("MatrixSolve", [_wide(SQUARE[0]), _wide(signal(4, 1))], "complex128", **WIDE),
    Case("MatrixInverse", [feed(SQUARE[:, ::-1].copy())], "complex", **SOLVED),
    Case("MatrixInverse", [feed(SQUARE, (None, 4, 4))], "complex adjoint",
         attrs={"adjoint": True}, **SOLVED),
    *(Case("MatrixTriangularSolve", [feed(SQUARE), feed(signal(2, 4, 3))],
           f"complex {lower} {adjoint}", attrs={"lower": lower, "adjoint": adjoint}, **SOLVED)
      for lower in (False, True) for adjoint in (False, True)),
    Case("Cholesky", [feed(POSITIVE)], "complex", **SOLVED),
    Case("Cholesky", [_wide(POSITIVE[0])], "complex128", rtol=1e-6, atol=1e-6),
    Case("MatrixDeterminant", [feed(SQUARE[:, ::-1].copy())], "complex", **SOLVED),
    Case("MatrixDeterminant", [_wide(SQUARE[:, [1, 2, 0, 3]])], "complex128", **WIDE),
    Case("LogMatrixDeterminant", [feed(SQUARE[:, ::-1].copy())], "complex", **SOLVED),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)


def test_a_singular_matrix_has_the_determinant_zero():
    import tensorflow as tf
    from op_cases import run_dlcc

    singular = np.zeros((2, 2), np.complex64)
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder("complex64", [2, 2], name="x")
        tf.raw_ops.MatrixDeterminant(input=x, name="y")
    found = run_dlcc(graph.as_graph_def(), ["y"], {"x": singular})
    assert found["y"] == 0
