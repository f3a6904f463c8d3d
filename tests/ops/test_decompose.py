"""Decompositions of matrices: what is unique is compared, and that the factors make the matrix."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, normal

SOLVED = {"rtol": 1e-3, "atol": 1e-4, "why": "float32, another order of steps"}
TALL, WIDE = normal(2, 6, 4), normal(2, 3, 7)
SQUARE = normal(2, 5, 5)
SYMMETRIC = SQUARE + SQUARE.transpose(0, 2, 1)
LOW_RANK = (normal(5, 2) @ normal(2, 4)).astype("float32")
# nearly dependent columns: condition 1e8
STEEP = normal(6, 4, dtype="float64")
STEEP[:, 3] = STEEP[:, 0] + 1e-8 * STEEP[:, 3]
# the main diagonal is the largest
LARGE_MAIN = np.float32([[0], [4], [0]])
BANDS = {True: np.float32([[4], [0], [0]]), False: np.float32([[0], [0], [4]])}


def svd_parts(tf, x, full=False):
    """Values, the matrix put together again, and the products that are to be identities."""
    s, u, v = tf.raw_ops.Svd(input=x, full_matrices=full)
    k = min(x.shape[-2:])
    whole = tf.matmul(u[..., :k] * s[..., None, :], v[..., :k], transpose_b=True)
    return [s, whole, tf.matmul(u, u, transpose_a=True), tf.matmul(v, v, transpose_a=True)]


def eigen_parts(tf, x):
    e, v = tf.raw_ops.SelfAdjointEigV2(input=x)
    return [e, tf.matmul(v * e[..., None, :], v, transpose_b=True)]


CASES = [
    *(
        Case("Svd", [feed(x)], f"{x.shape} {full}", **SOLVED,
             build=lambda tf, x, full=full: svd_parts(tf, x, full))
        for x in (TALL, WIDE, SQUARE) for full in (False, True)
    ),
    Case("Svd", [feed(LOW_RANK)], "low rank", build=lambda tf, x: svd_parts(tf, x, True), **SOLVED),
    Case("Svd", [feed(np.zeros((3, 2), np.float32))], "zeros", build=svd_parts, **SOLVED),
    Case("Svd", [feed(TALL.astype("float64"))], "float64", build=svd_parts, rtol=1e-10, atol=1e-10),
    Case("Svd", [feed(TALL)], "values", attrs={"compute_uv": False}, outputs=(0,), **SOLVED),
    Case("SelfAdjointEigV2", [feed(SYMMETRIC)], build=eigen_parts, **SOLVED),
    Case("SelfAdjointEigV2", [feed(SYMMETRIC.astype("float64"))], "float64", build=eigen_parts,
         rtol=1e-10, atol=1e-10),
    Case("SelfAdjointEigV2", [feed(np.eye(3, dtype=np.float32) * [3, 1, 1])], "equal values",
         build=lambda tf, x: eigen_parts(tf, tf.cast(x, "float32")), **SOLVED),
    *(
        Case("Qr", [feed(x)], f"{x.shape} {full}", attrs={"full_matrices": full}, **SOLVED)
        for x in (TALL, WIDE, SQUARE) for full in (False, True)
    ),
    Case("Qr", [feed(np.float32([[0, 1], [0, 2], [0, 3]]))], "zero column", **SOLVED),
    Case("Lu", [feed(SQUARE)], **SOLVED),
    Case("TridiagonalSolve", [feed(normal(2, 3, 6) + LARGE_MAIN), feed(normal(2, 6, 2))],
         **SOLVED),
    Case("TridiagonalSolve", [feed(np.float32([[1, 2, 0], [0, 1, 5], [0, 3, 4]])),
                              feed(normal(3, 2))], "pivots", **SOLVED),
    Case("TridiagonalMatMul", [*(feed(normal(2, 1, 5, seed=i)) for i in range(3)),
                               feed(normal(2, 5, 3))], **SOLVED),
    *(
        Case("BandedTriangularSolve", [feed(normal(2, 3, 6) + BANDS[lower]), feed(normal(2, 6, 2))],
             f"{lower} {adjoint}", attrs={"lower": lower, "adjoint": adjoint}, **SOLVED)
        for lower in (False, True) for adjoint in (False, True)
    ),
    *(
        Case("MatrixSolveLs", [feed(x), feed(normal(2, x.shape[1], 2)), np.float64(penalty)],
             f"{x.shape} {penalty}", attrs={"fast": penalty > 0}, **SOLVED)
        for x in (TALL, WIDE) for penalty in (0.0, 0.5)
    ),
    *(
        Case("MatrixSolveLs", [feed(x), feed(normal(len(x), 2, dtype="float64")), np.float64(0)],
             note, attrs={"fast": False}, rtol=1e-6, atol=1e-6,
             why="condition 1e8: normal equations would lose all digits")
        for note, x in (("ill-conditioned", STEEP), ("wide ill-conditioned", STEEP.T.copy()),
                        ("rank 3 of 4", STEEP[:, [0, 1, 2, 2]]))
    ),
    Case("Lu", [feed(SQUARE.astype("float64"))], "float64", attrs={"output_idx_type": "int64"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
