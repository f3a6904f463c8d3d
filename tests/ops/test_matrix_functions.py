"""Roots, logarithms and eigenvalues of general matrices."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, normal, run_dlcc
from test_complex import signal

NEAR = {"rtol": 1e-4, "atol": 1e-4, "why": "Eigen computes in the input's dtype"}
WIDE = {"rtol": 1e-8, "atol": 1e-9}
REAL = normal(2, 3, 4, 4) + 4 * np.eye(4, dtype=np.float32)
SQUARE = signal(2, 5, 5)
ROTATION = np.float32([[0, -1, 0], [1, 0, 0], [0, 0, 2]])
CYCLE = np.roll(np.eye(5, dtype=np.float32), 1, 0)
DEFECTIVE = np.float32([[2, 1, 0], [0, 2, 1], [0, 0, 2]])


def _wide(x):
    return feed(x.astype("complex128"))


def _eigenvalues(tf, x):
    """Of what follows no order that ties would leave open: sums and products of eigenvalues."""
    values, _ = tf.raw_ops.Eig(input=x, Tout="complex64")
    return [tf.reduce_sum(values, -1), tf.reduce_prod(values, -1), tf.sort(tf.abs(values))]


def _restored(tf, x):
    """v diag(e) inverse(v) and the lengths of the vectors."""
    e, v = tf.raw_ops.Eig(input=x, Tout="complex64")
    return [tf.matmul(v * e[..., None, :], tf.linalg.inv(v)), tf.norm(v, axis=-2)]


CASES = [
    Case("MatrixSquareRoot", [feed(REAL)], **NEAR),
    Case("MatrixSquareRoot", [feed(ROTATION)], "rotation", **NEAR),
    Case("MatrixSquareRoot", [feed(DEFECTIVE.astype("float64"))], "defective", **WIDE),
    Case("MatrixSquareRoot", [feed(np.diag(np.float32([-1, 2])))], "not real"),
    Case("MatrixSquareRoot", [feed(np.zeros((2, 2), np.float32))], "zero"),
    Case("MatrixSquareRoot", [feed(SQUARE, (None, 5, 5))], "complex", **NEAR),
    Case("MatrixSquareRoot", [_wide(CYCLE)], "cycle", **WIDE),
    Case("MatrixLogarithm", [feed(SQUARE)], **NEAR),
    Case("MatrixLogarithm", [_wide(REAL)], "complex128", **WIDE),
    Case("MatrixLogarithm", [_wide(DEFECTIVE * 1e4)], "defective", **WIDE),
    Case("MatrixLogarithm", [_wide(CYCLE * (1 + 0.5j))], "cycle", **WIDE),
    Case("MatrixLogarithm", [feed(np.complex64([[[-2]], [[3j]]]))], "of one", **NEAR),
    *(Case("Eig", [feed(x)], f"values {name}", build=_eigenvalues, **NEAR)
      for name, x in (("real", REAL), ("complex", SQUARE), ("cycle", CYCLE),
                      ("rotation", ROTATION))),
    *(Case("Eig", [feed(x)], f"vectors {name}", build=_restored, **NEAR)
      for name, x in (("real", REAL), ("complex", SQUARE), ("rotation", ROTATION))),
    Case("Eig", [feed(np.diag(np.float64([3, -1, 2])))], "alone",
         attrs={"Tout": "complex128", "compute_v": False}, outputs=(0,)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)


def test_a_large_matrix_has_its_eigenvalues():
    import tensorflow as tf

    x = normal(40, 40, dtype="float64")
    with tf.Graph().as_default() as graph:
        given = tf.compat.v1.placeholder("float64", [40, 40], name="x")
        tf.raw_ops.Eig(input=given, Tout="complex128", name="y")
    made = run_dlcc(graph.as_graph_def(), ["y:0", "y:1"], {"x": x})
    e, v = made["y:0"], made["y:1"]
    np.testing.assert_allclose(x @ v, v * e, atol=1e-10)
    np.testing.assert_allclose(np.sort(abs(np.linalg.eigvals(x))), np.sort(abs(e)), rtol=1e-9)
