"""Systems of equations in storage of their own: tridiagonal, banded, and least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.decompose import tall_svd, turned
from dlcc.compiler.frontend.ops.solve import eliminated, substituted
from dlcc.compiler.frontend.ops.table import OpTable

BANDED = OpTable()

R = relax.op


def _dense(g: Emitter, x: relax.Expr, high: int) -> relax.Expr:
    """Diagonals (…, bands, n), the highest first, as matrices (…, n, n).

    Element (i, j) stands in row `high - (j - i)` at i: each is stored in the row that it is in.
    """
    *lead, bands, n = g.shape(x)
    zero = tirx.const(0, g.dtype(x))

    def compute(t: te.Tensor) -> te.Tensor:
        def element(*at: Any) -> Any:
            i, j = at[-2], at[-1]
            band = high - (j - i)
            inside = tirx.all(band >= 0, band < bands)
            return tirx.if_then_else(inside, t(*at[:-2], band, i), zero)

        return te.compute([*lead, n, n], element, name="dense_bands")

    return g.te(compute, x, name="dense_bands")


@BANDED.op("TridiagonalSolve")
def tridiagonal_solve(g: Emitter, node: Node) -> relax.Expr:
    """Diagonals (…, 3, n), upper first, and right sides (…, n, k).

    Solved as dense matrices with row pivots: more work than the three diagonals need, the same
    result for systems that need pivots.
    """
    diagonals, sides = g.args(node)
    return eliminated(g, _dense(g, diagonals, 1), sides)


@BANDED.op("TridiagonalMatMul")
def tridiagonal_matmul(g: Emitter, node: Node) -> relax.Expr:
    """Upper, main and lower diagonal, (…, 1, n) each, times (…, n, k)."""
    *diagonals, x = g.args(node)
    rank = g.rank(x)
    return R.matmul(_dense(g, g.emit(R.concat(diagonals, rank - 2)), 1), x)


@BANDED.op("BandedTriangularSolve")
def banded_triangular_solve(g: Emitter, node: Node) -> relax.Expr:
    """Diagonals (…, bands, n), the highest first; the main one is a lower matrix' first row and
    an upper one's last.

    Source: tensorflow/core/kernels/linalg/banded_triangular_solve_op.cc.
    """
    bands, sides = g.args(node)
    lower, adjoint = bool(node.attr("lower", True)), bool(node.attr("adjoint", False))
    a = _dense(g, bands, 0 if lower else g.static_shape(node, bands)[-2] - 1)
    return substituted(g, turned(g, a) if adjoint else a, sides, lower != adjoint)


@BANDED.op("MatrixSolveLs", "BatchMatrixSolveLs")
def least_squares(g: Emitter, node: Node) -> relax.Expr:
    """x of the least |A x - b|² + λ |x|², of the least length where that leaves a choice.

    By singular values σ in float64, which does not square the condition of A: with A = U σ Vᵀ it is
    V (σ / (σ² + λ)) Uᵀ b. `fast=False` has no λ, and leaves out what is below A's precision.
    Source: Golub and Van Loan, "Matrix Computations", 4th edition, 5.5.1 and 6.1.4.
    """
    given = g.dtype(g.arg(node, 0))
    a, b, penalty = (g.emit(R.astype(g.arg(node, i), "float64")) for i in range(3))
    *lead, m, n = g.static_shape(node, a)
    sigma, left, right = tall_svd(g, a if m >= n else turned(g, a), False)
    left, right = (left, right) if m >= n else (right, left)
    zero = g.const(0, "float64")
    if node.attr("fast", True):
        least = zero
    else:
        penalty, step = zero, min(m, n) * float(np.finfo(given).eps)
        least = R.multiply(R.max(sigma, [-1], True), g.const(step, "float64"))
    inverse = R.divide(sigma, R.add(R.multiply(sigma, sigma), penalty))
    inverse = g.emit(R.where(R.greater(sigma, least), inverse, zero))
    seen = R.multiply(g.reshape(inverse, [*lead, min(m, n), 1]), R.matmul(turned(g, left), b))
    return R.astype(R.matmul(right, seen), given)
