"""Factorisations and solutions of systems of linear equations in complex numbers."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.complex import complex_arg
from dlcc.compiler.frontend.ops.complex_products import multiply_into
from dlcc.compiler.frontend.ops.slice import cut
from dlcc.compiler.frontend.ops.solve import eliminated
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Complex

COMPLEX_MATRIX = OpTable()

R = relax.op


def adjoint(g: Emitter, z: Complex) -> Complex:
    """The conjugate transpose."""
    rank = g.rank(z.real)
    order = [*range(rank - 2), rank - 1, rank - 2]
    real, imag = (g.emit(R.permute_dims(p, order)) for p in (z.real, z.imag))
    return Complex(real, g.emit(R.negative(imag)))


def embedded(g: Emitter, z: Complex) -> relax.Expr:
    """((a, -b), (b, a)) for a + b i: real matrices of twice the size that multiply alike."""
    rank = g.rank(z.real)
    top = g.emit(R.concat([z.real, g.emit(R.negative(z.imag))], rank - 1))
    return g.emit(R.concat([top, g.emit(R.concat([z.imag, z.real], rank - 1))], rank - 2))


def halves(g: Emitter, x: relax.Expr, columns: Any) -> Complex:
    """The first `columns` columns of a matrix: the upper half real, the lower one imaginary."""
    *lead, double, _ = g.shape(x)
    n = double // 2 if isinstance(double, int) else tirx.floordiv(double, 2)
    ones, zeros = [1] * (len(lead) + 2), [0] * len(lead)
    return Complex(
        *(g.emit(cut(g, x, [*zeros, at, 0], ones, [*lead, n, columns])) for at in (0, n))
    )


def _identity(g: Emitter, z: Complex) -> relax.Expr:
    dims = g.shape(z.real)
    eye = R.eye(dims[-1], dtype=g.dtype(z.real))
    return g.emit(R.broadcast_to(eye, relax.ShapeExpr(dims)))


def _square(g: Emitter, node: Node) -> Complex:
    z = complex_arg(g, node, 0)
    return adjoint(g, z) if node.attr("adjoint") else z


def solved(g: Emitter, a: Complex, b: Complex) -> Complex:
    """x with A x = b: the real system of twice the size."""
    sides = g.emit(R.concat([b.real, b.imag], g.rank(b.real) - 2))
    made = eliminated(g, embedded(g, a), sides)
    return halves(g, made, g.shape(b.real)[-1])


@COMPLEX_MATRIX.op("MatrixSolve", "BatchMatrixSolve")
def complex_solve(g: Emitter, node: Node) -> Complex:
    return solved(g, _square(g, node), complex_arg(g, node, 1))


@COMPLEX_MATRIX.op("MatrixInverse", "BatchMatrixInverse")
def complex_inverse(g: Emitter, node: Node) -> Complex:
    z = _square(g, node)
    eye = _identity(g, z)
    return solved(g, z, Complex(eye, g.emit(R.zeros_like(eye))))


def _quotient(z: tuple[Any, Any], by: tuple[Any, Any]) -> tuple[Any, Any]:
    """z / by, pairs of numbers that are read before either is written."""
    size = by[0] * by[0] + by[1] * by[1]
    return (z[0] * by[0] + z[1] * by[1]) / size, (z[1] * by[0] - z[0] * by[1]) / size


@COMPLEX_MATRIX.op("MatrixTriangularSolve", "BatchMatrixTriangularSolve")
def complex_triangular_solve(g: Emitter, node: Node) -> Complex:
    """x with A x = b, A triangular: by substitution. A broadcasts to b's batch."""
    a, b = _square(g, node), complex_arg(g, node, 1)
    lower = bool(node.attr("lower", True)) != bool(node.attr("adjoint"))
    *lead, n, columns = g.shape(b.real)
    dtype = g.dtype(b.real)
    whole = relax.ShapeExpr([*lead, n, n])
    a = Complex(*(g.emit(R.broadcast_to(p, whole)) for p in (a.real, a.imag)))

    def body(re: Any, im: Any, br: Any, bi: Any, x: Any, y: Any, s: Any) -> None:
        with T.serial(0, product(lead)) as batch, T.serial(0, n) as step:
            row = step if lower else n - 1 - step
            matrix = (batch * n + row) * n
            with T.serial(0, columns) as c:
                here = (batch * n + row) * columns + c
                s[0], s[1] = br[here], bi[here]
                with T.serial(0, step) as k:
                    other = k if lower else n - 1 - k
                    at, to = matrix + other, (batch * n + other) * columns + c
                    s[0] = s[0] - (re[at] * x[to] - im[at] * y[to])
                    s[1] = s[1] - (re[at] * y[to] + im[at] * x[to])
                pivot = re[matrix + row], im[matrix + row]
                x[here], y[here] = _quotient((s[0], s[1]), pivot)

    shape = ([*lead, n, columns], dtype)
    parts = [a.real, a.imag, b.real, b.imag]
    outputs: Any = [shape, shape, ((2,), dtype)]
    return Complex(*loop_kernel(g, "complex_substitution", parts, outputs, body)[:2])


@COMPLEX_MATRIX.op("Cholesky", "BatchCholesky")
def complex_cholesky(g: Emitter, node: Node) -> Complex:
    """L with L Lᴴ = x, of the lower half of x, whose diagonal is read as real.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, algorithm 4.2.1.
    """
    z = complex_arg(g, node, 0)
    *lead, n, _ = dims = g.shape(z.real)
    dtype = g.dtype(z.real)
    zero = tirx.const(0, dtype)

    def body(re: Any, im: Any, x: Any, y: Any) -> None:
        with T.serial(0, product(lead)) as m:
            base = m * n * n
            with T.serial(0, n) as i, T.serial(0, n) as j:
                at = base + i * n + j
                x[at] = tirx.Select(j <= i, re[at], zero)
                y[at] = tirx.Select(j < i, im[at], zero)
            with T.serial(0, n) as j:
                own = base + j * n
                with T.serial(0, j) as k, T.serial(0, n - j) as i:
                    at = base + (j + i) * n
                    a, b, c, d = x[at + k], y[at + k], x[own + k], y[own + k]
                    x[at + j] = x[at + j] - (a * c + b * d)
                    y[at + j] = y[at + j] - (b * c - a * d)
                x[own + j], y[own + j] = tirx.sqrt(x[own + j]), zero
                with T.serial(0, n - j - 1) as i:
                    at = base + (j + 1 + i) * n + j
                    x[at], y[at] = x[at] / x[own + j], y[at] / x[own + j]

    outputs = [(dims, dtype), (dims, dtype)]
    return Complex(*loop_kernel(g, "complex_cholesky", [z.real, z.imag], outputs, body))


def _determinant(g: Emitter, z: Complex) -> tuple[Complex, relax.Expr]:
    """(the product of the pivots' directions, the sum of the logarithms of their sizes).

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, algorithm 3.4.1.
    """
    *lead, n, _ = g.shape(z.real)
    dtype = g.dtype(z.real)

    def body(re: Any, im: Any, x: Any, y: Any, log: Any, a: Any, b: Any, s: Any, p: Any) -> None:
        with T.serial(0, product(lead)) as m:
            x[m], y[m], log[m] = (tirx.const(v, dtype) for v in (1, 0, 0))
            with T.serial(0, n * n) as i:
                a[i], b[i] = re[m * n * n + i], im[m * n * n + i]
            with T.serial(0, n) as k:
                _pivot((a, b), n, k, s, p)
                with T.If(p[0] != k), T.Then():
                    x[m], y[m] = -x[m], -y[m]
                s[1], s[2] = a[k * n + k], b[k * n + k]
                s[3] = tirx.sqrt(s[1] * s[1] + s[2] * s[2])
                log[m] = log[m] + tirx.log(s[3])
                s[4] = tirx.Select(s[3] == 0, tirx.const(1, dtype), s[3])
                multiply_into((x, y), m, (s[1] / s[4], s[2] / s[4]), s)
                with T.If(s[3] > 0), T.Then():  # else the whole column is 0 from here
                    _eliminate((a, b), n, k, s)

    vector, square = (lead, dtype), ([n, n], dtype)
    outputs: Any = [vector, vector, vector, square, square, ((8,), dtype), ((1,), "int64")]
    made = loop_kernel(g, "complex_determinant", [z.real, z.imag], outputs, body)
    return Complex(*made[:2]), made[2]


def _pivot(matrix: tuple[Any, Any], n: Any, k: Any, s: Any, place: Any) -> None:
    """Bring the row with the largest element of column k, whose number is place[0], to row k."""
    a, b = matrix

    def size(row: Any) -> Any:
        return a[row * n + k] * a[row * n + k] + b[row * n + k] * b[row * n + k]

    place[0] = tirx.Cast("int64", k)
    with T.serial(0, n - k) as i, T.If(size(k + i) > size(place[0])), T.Then():
        place[0] = tirx.Cast("int64", k + i)
    with T.If(place[0] != k), T.Then(), T.serial(0, n) as c:
        for part in matrix:
            s[0] = part[k * n + c]
            part[k * n + c] = part[place[0] * n + c]
            part[place[0] * n + c] = s[0]


def _eliminate(matrix: tuple[Any, Any], n: Any, k: Any, s: Any) -> None:
    """Subtract row k, whose pivot is s[1] + s[2] i, from those below."""
    a, b = matrix
    with T.serial(0, n - 1 - k) as i:
        row = (k + 1 + i) * n
        s[5], s[6] = _quotient((a[row + k], b[row + k]), (s[1], s[2]))
        with T.serial(0, n - 1 - k) as j:
            at, above = row + k + 1 + j, k * n + k + 1 + j
            a[at] = a[at] - (s[5] * a[above] - s[6] * b[above])
            b[at] = b[at] - (s[5] * b[above] + s[6] * a[above])


@COMPLEX_MATRIX.op("MatrixDeterminant", "BatchMatrixDeterminant")
def complex_determinant(g: Emitter, node: Node) -> Complex:
    sign, log = _determinant(g, complex_arg(g, node, 0))
    size = g.emit(R.exp(log))
    return Complex(*(g.emit(R.multiply(p, size)) for p in (sign.real, sign.imag)))


@COMPLEX_MATRIX.op("LogMatrixDeterminant")
def complex_log_determinant(g: Emitter, node: Node) -> list[Complex]:
    """(sign, log |determinant|), both complex; the latter has no imaginary part."""
    sign, log = _determinant(g, complex_arg(g, node, 0))
    return [sign, Complex(log, g.emit(R.zeros_like(log)))]
