"""Factorisations and solutions of systems of linear equations, one matrix after the other."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.table import OpTable

SOLVE = OpTable()

R = relax.op


@SOLVE.op("Cholesky", "BatchCholesky")
def cholesky(g: Emitter, node: Node) -> relax.Expr:
    """L with L Lᵀ = x, of the lower half of x; NaN where x is not positive definite.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, algorithm 4.2.1.
    """
    x = g.arg(node, 0)
    *lead, n, _ = dims = g.shape(x)
    dtype = g.dtype(x)

    def body(a: Any, out: Any) -> None:
        with T.serial(0, product(lead)) as m:
            base = m * n * n
            with T.serial(0, n) as i, T.serial(0, n) as j:
                out[base + i * n + j] = tirx.Select(
                    j <= i, a[base + i * n + j], tirx.const(0, dtype)
                )
            with T.serial(0, n) as j:
                with T.serial(0, j) as k, T.serial(0, n - j) as i:
                    at = base + (j + i) * n
                    out[at + j] = out[at + j] - out[at + k] * out[base + j * n + k]
                out[base + j * n + j] = tirx.sqrt(out[base + j * n + j])
                with T.serial(0, n - j - 1) as i:
                    at = base + (j + 1 + i) * n + j
                    out[at] = out[at] / out[base + j * n + j]

    return loop_kernel(g, "cholesky", [x], [(dims, dtype)], body)[0]


@SOLVE.op("MatrixTriangularSolve", "BatchMatrixTriangularSolve")
def triangular_solve(g: Emitter, node: Node) -> relax.Expr:
    """x with A x = b (or Aᵀ x = b), A triangular: by substitution."""
    a, b = g.args(node)
    if node.attr("adjoint"):
        rank = g.rank(a)
        a = g.emit(R.permute_dims(a, [*range(rank - 2), rank - 1, rank - 2]))
    lower = bool(node.attr("lower", True)) != bool(node.attr("adjoint"))
    return substituted(g, a, b, lower)


def substituted(g: Emitter, a: relax.Expr, b: relax.Expr, lower: bool) -> relax.Expr:
    """x with A x = b, A lower or upper triangular."""
    *lead, n, columns = g.shape(b)
    a = g.emit(R.broadcast_to(a, relax.ShapeExpr([*lead, n, n])))
    dtype = g.dtype(b)

    def body(m: Any, rhs: Any, out: Any) -> None:
        with T.serial(0, product(lead)) as batch, T.serial(0, n) as step:
            row = step if lower else n - 1 - step
            here, matrix = (batch * n + row) * columns, batch * n * n + row * n
            with T.serial(0, columns) as c:
                out[here + c] = rhs[here + c]
                with T.serial(0, step) as k:
                    other = k if lower else n - 1 - k
                    known = out[(batch * n + other) * columns + c]
                    out[here + c] = out[here + c] - m[matrix + other] * known
                out[here + c] = out[here + c] / m[matrix + row]

    return loop_kernel(g, "triangular_solve", [a, b], [([*lead, n, columns], dtype)], body)[0]


def eliminated(g: Emitter, a: relax.Expr, b: relax.Expr) -> relax.Expr:
    """The solution of A x = b, by elimination with row pivots.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, section 3.4, as Gauss-Jordan.
    """
    *lead, n, columns = g.shape(b)
    dtype = g.dtype(a)

    def body(given: Any, rhs: Any, out: Any, m: Any, held: Any, best: Any) -> None:
        with T.serial(0, product([*lead, n, n])) as i:
            m[i] = given[i]
        with T.serial(0, product([*lead, n, columns])) as i:
            out[i] = rhs[i]
        with T.serial(0, product(lead)) as batch, T.serial(0, n) as k:
            swap_pivot(m, (batch, k, n), held, best)
            with T.If(best[0] != k), T.Then():
                rows = (batch * n + k) * columns, (batch * n + best[0]) * columns
                _swap(out, *rows, columns, held)
            _clear_column(m, out, (batch, k, n, columns), held)

    shape = [*lead, n, columns]
    outputs = [(shape, dtype), ([*lead, n, n], dtype), ([1], dtype), ([1], "int64")]
    return loop_kernel(g, "solve", [a, b], outputs, body)[0]


def swap_pivot(m: Any, at: tuple[Any, Any, Any], held: Any, best: Any) -> None:
    """Exchange row k with the one from there on that has the largest element in column k: best[0].

    at: number of the matrix, k, rows of a matrix.   held, best: scratch memory."""
    batch, k, n = at
    best[0] = tirx.Cast("int64", k)
    with T.serial(0, n - k) as i:
        size = tirx.abs(m[(batch * n + k + i) * n + k])
        with T.If(size > tirx.abs(m[(batch * n + best[0]) * n + k])), T.Then():
            best[0] = tirx.Cast("int64", k + i)
    with T.If(best[0] != k), T.Then():
        _swap(m, (batch * n + k) * n, (batch * n + best[0]) * n, n, held)


def _swap(buffer: Any, first: Any, second: Any, count: Any, held: Any) -> None:
    """Exchange two runs of elements that start at flat positions."""
    with T.serial(0, count) as c:
        held[0] = buffer[first + c]
        buffer[first + c] = buffer[second + c]
        buffer[second + c] = held[0]


def _clear_column(m: Any, out: Any, at: tuple[Any, Any, Any, Any], held: Any) -> None:
    """Make column k that of the identity: divide row k, and subtract it from all others."""
    batch, k, n, columns = at
    held[0] = m[(batch * n + k) * n + k]
    with T.serial(0, n) as c:
        m[(batch * n + k) * n + c] = m[(batch * n + k) * n + c] / held[0]
    with T.serial(0, columns) as c:
        out[(batch * n + k) * columns + c] = out[(batch * n + k) * columns + c] / held[0]
    with T.serial(0, n) as row, T.If(row != k), T.Then():
        held[0] = m[(batch * n + row) * n + k]
        with T.serial(0, n) as c:
            where = (batch * n + row) * n + c
            m[where] = m[where] - held[0] * m[(batch * n + k) * n + c]
        with T.serial(0, columns) as c:
            where = (batch * n + row) * columns + c
            out[where] = out[where] - held[0] * out[(batch * n + k) * columns + c]


def _transposed(g: Emitter, x: relax.Expr) -> relax.Expr:
    rank = g.rank(x)
    return g.emit(R.permute_dims(x, [*range(rank - 2), rank - 1, rank - 2]))


def _identity(g: Emitter, x: relax.Expr) -> relax.Expr:
    dims = g.shape(x)
    return g.emit(R.broadcast_to(R.eye(dims[-1], dtype=g.dtype(x)), relax.ShapeExpr(dims)))


@SOLVE.op("MatrixInverse", "BatchMatrixInverse")
def matrix_inverse(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    x = _transposed(g, x) if node.attr("adjoint") else x
    return eliminated(g, x, _identity(g, x))


@SOLVE.op("MatrixSolve", "BatchMatrixSolve")
def matrix_solve(g: Emitter, node: Node) -> relax.Expr:
    a, b = g.args(node)
    return eliminated(g, _transposed(g, a) if node.attr("adjoint") else a, b)
