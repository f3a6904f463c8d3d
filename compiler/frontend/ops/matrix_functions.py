"""Functions of matrices through Schur's form: roots, logarithms, eigenvalues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.complex_parts import PART_DTYPES
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.complex import complex_arg
from dlcc.compiler.frontend.ops.complex_matrix import adjoint
from dlcc.compiler.frontend.ops.schur import (
    WIDE,
    Pair,
    bound,
    load,
    minus,
    over,
    plus,
    real,
    root,
    schur,
    size_of,
    store,
    times,
)
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Complex, is_complex

MATRIX_FUNCTIONS = OpTable()

R = relax.op

# an eigenvalue's logarithm of up to 40 is below 0.08 after these roots, and of a series in steps
# of its square ten terms leave 1e-22
_ROOTS, _TERMS = 8, 10


def _matmul(g: Emitter, a: Complex, b: Complex) -> Complex:
    def dot(x: relax.Expr, y: relax.Expr) -> relax.Expr:
        return R.matmul(x, y)

    return Complex(
        g.emit(R.subtract(dot(a.real, b.real), dot(a.imag, b.imag))),
        g.emit(R.add(dot(a.real, b.imag), dot(a.imag, b.real))),
    )


def _as(g: Emitter, z: Complex, dtype: str) -> Complex:
    return Complex(*(g.emit(R.astype(p, dtype)) for p in (z.real, z.imag)))


def _of_triangle(
    g: Emitter, node: Node, name: str, count: int, f: Callable[[Sequence[Pair], Any, Any], None]
) -> Complex:
    """u f(t) uᴴ for z = u t uᴴ. f(buffers, base, n): fills buffer 1 from 0; `count` in all."""
    z = complex_arg(g, node, 0)
    t, u = schur(g, z)
    *lead, n, _ = dims = g.shape(z.real)

    def body(*given: Any) -> None:
        buffers = [given[k : k + 2] for k in range(0, 2 * count, 2)]
        with T.serial(0, product(lead)) as m:
            f(buffers, m * n * n, n)

    made = loop_kernel(g, name, [t.real, t.imag], [(dims, WIDE)] * (2 * count - 2), body)
    whole = _matmul(g, _matmul(g, u, Complex(*made[:2])), adjoint(g, u))
    return _as(g, whole, g.dtype(z.real))


def _fill(z: Pair, base: Any, n: Any, diagonal: float) -> None:
    with T.serial(0, n) as i, T.serial(0, n) as j:
        here = tirx.Select(i == j, real(diagonal), real(0))
        store(z, base + i * n + j, (here, real(0)))


def _less_products(total: Pair, at: Any, pairs: tuple[Pair, Pair], where: Any) -> None:
    """total[at] less a[i, k] b[k, j] for i < k < j: what the triangle's elements between give."""
    (a, b), (base, n, i, j) = pairs, where
    with T.serial(0, n) as k, T.If(tirx.all(k > i, k < j)), T.Then():
        term = times(load(a, base + i * n + k), load(b, base + k * n + j))
        store(total, at, minus(load(total, at), term))


def _columns(n: Any, visit: Callable[[Any, Any], None]) -> None:
    """visit(i, j) for the elements on and above the diagonal, column by column, upwards."""
    with T.serial(0, n) as j, T.serial(0, j + 1) as up:
        visit(j - up, j)


def triangle_root(t: Pair, out: Pair, base: Any, n: Any) -> None:
    """The square root of an upper triangle.

    Source: Higham, "Functions of Matrices", 2008, algorithm 6.3 (Björck and Hammarling).
    """
    _fill(out, base, n, 0.0)

    def visit(i: Any, j: Any) -> None:
        at = base + i * n + j
        with T.If(i == j):
            with T.Then():
                store(out, at, root(load(t, at)))
            with T.Else():
                store(out, at, load(t, at))
                _less_products(out, at, (out, out), (base, n, i, j))
                both = plus(load(out, base + i * n + i), load(out, base + j * n + j))
                store(out, at, over(load(out, at), bound(both)))

    _columns(n, visit)


@MATRIX_FUNCTIONS.op("MatrixSquareRoot")
def matrix_square_root(g: Emitter, node: Node) -> Complex | relax.Expr:
    """The principal root; NaN for a real matrix whose root is not real."""
    made = _of_triangle(
        g, node, "matrix_root", 2, lambda z, base, n: triangle_root(z[0], z[1], base, n)
    )
    if is_complex(g.value(node, 0)):
        return made
    rank, large = g.rank(made.real), R.abs(made.real)
    scale = R.max(large, [rank - 2, rank - 1], True)
    rest = R.max(R.abs(made.imag), [rank - 2, rank - 1], True)
    dtype = g.dtype(made.real)
    tiny = g.const(1e-6 if dtype == "float32" else 1e-12, dtype)
    none = g.emit(R.greater(rest, R.multiply(tiny, R.add(scale, rest))))
    return R.where(none, g.const(float("nan"), dtype), made.real)


def _right_divided(a: Pair, b: Pair, out: Pair, base: Any, n: Any) -> None:
    """out with out b = a, all upper triangles."""
    _fill(out, base, n, 0.0)
    with T.serial(0, n) as j, T.serial(0, j + 1) as i:
        at = base + i * n + j
        store(out, at, load(a, at))
        with T.serial(0, n) as k, T.If(tirx.all(k >= i, k < j)), T.Then():
            term = times(load(out, base + i * n + k), load(b, base + k * n + j))
            store(out, at, minus(load(out, at), term))
        store(out, at, over(load(out, at), load(b, base + j * n + j)))


def _product(a: Pair, b: Pair, out: Pair, base: Any, n: Any) -> None:
    _fill(out, base, n, 0.0)
    with T.serial(0, n) as i, T.serial(0, n) as j, T.serial(0, n) as k:
        at = base + i * n + j
        term = times(load(a, base + i * n + k), load(b, base + k * n + j))
        store(out, at, plus(load(out, at), term))


def _copy(a: Pair, out: Pair, base: Any, n: Any) -> None:
    with T.serial(0, n * n) as i:
        store(out, base + i, load(a, base + i))


def _triangle_log(z: Sequence[Pair], base: Any, n: Any) -> None:
    """log t = 2 ** (k + 1) artanh((r - 1) / (r + 1)), r the 2 ** k-th root of t.

    Source: Higham, "Functions of Matrices", 2008, 11.5 (inverse scaling and squaring), with the
    series of artanh.
    """
    t, out, r, held, ratio, power = z
    _copy(t, r, base, n)
    with T.serial(0, _ROOTS):
        triangle_root(r, held, base, n)
        _copy(held, r, base, n)
    _copy(r, held, base, n)
    with T.serial(0, n) as i:
        at, one = base + i * n + i, (real(1), real(0))
        store(r, at, minus(load(r, at), one))
        store(held, at, plus(load(held, at), one))
    _right_divided(r, held, ratio, base, n)
    _product(ratio, ratio, r, base, n)
    _copy(ratio, power, base, n)
    _copy(ratio, out, base, n)
    for k in range(1, _TERMS):
        _product(power, r, held, base, n)
        _copy(held, power, base, n)
        with T.serial(0, n * n) as i:
            term = load(power, base + i)
            share = (term[0] / real(2 * k + 1), term[1] / real(2 * k + 1))
            store(out, base + i, plus(load(out, base + i), share))
    _scaled_with_exact_diagonal(t, out, base, n)


def _scaled_with_exact_diagonal(t: Pair, out: Pair, base: Any, n: Any) -> None:
    with T.serial(0, n) as i, T.serial(0, n) as j:
        at, factor = base + i * n + j, real(2.0 ** (_ROOTS + 1))
        here = load(out, at)
        store(out, at, (factor * here[0], factor * here[1]))
        with T.If(i == j), T.Then():
            a, b = load(t, at)
            size = tirx.log(tirx.sqrt(a * a + b * b))
            store(out, at, (size, tirx.atan2(b, a)))


@MATRIX_FUNCTIONS.op("MatrixLogarithm")
def matrix_logarithm(g: Emitter, node: Node) -> Complex:
    """The principal logarithm; an element that rounding leaves below the axis is not moved."""
    return _of_triangle(g, node, "matrix_log", 6, _triangle_log)


@MATRIX_FUNCTIONS.op("Eig")
def eig(g: Emitter, node: Node) -> list[Complex | relax.Expr]:
    """Eigenvalues, and eigenvectors of length 1 as columns.

    Those of a complex matrix rise in size, as Eigen sorts them; those of a real one come in the
    order in which they are found, which is mostly Eigen's. Which multiple of a vector is given,
    no definition says.
    Source: Golub and Van Loan, "Matrix Computations", 4th edition, 7.6.4.
    """
    z = complex_arg(g, node, 0)
    dtype = PART_DTYPES[str(node.attr("Tout", "complex64"))]
    t, u = schur(g, z)
    *lead, n, _ = dims = g.shape(z.real)

    def body(a: Any, b: Any, x: Any, y: Any, er: Any, ei: Any) -> None:
        with T.serial(0, product(lead)) as m, T.serial(0, n) as k:
            _eigenvector((a, b), (x, y), (m * n * n, n, k))
            store((er, ei), m * n + k, load((a, b), m * n * n + k * n + k))

    outputs: Any = [*[(dims, WIDE)] * 2, *[([*lead, n], WIDE)] * 2]
    x, y, er, ei = loop_kernel(g, "eigenvectors", [t.real, t.imag], outputs, body)
    vectors = _matmul(g, u, Complex(x, y))
    values, columns = [er, ei], [vectors.real, vectors.imag]
    if is_complex(g.value(node, 0)):
        order = _by_size(g, er, ei)
        values = [_picked(g, p, order, len(lead)) for p in values]
        columns = [_picked(g, p, order, len(lead) + 1) for p in columns]
    if not node.attr("compute_v", True):
        nothing = g.emit(R.zeros(relax.ShapeExpr([0]), dtype))
        return [_as(g, Complex(*values), dtype), Complex(nothing, nothing)]
    return [_as(g, Complex(*values), dtype), _as(g, _unit(g, Complex(*columns)), dtype)]


def _eigenvector(t: Pair, x: Pair, where: tuple[Any, Any, Any]) -> None:
    """Column k of x: with t x = t[k, k] x and x[k] = 1."""
    base, n, k = where
    value = load(t, base + k * n + k)
    with T.serial(0, n) as up:
        i = n - 1 - up
        at = base + i * n + k
        store(x, at, (tirx.Cast(WIDE, i == k), real(0)))
        with T.If(i < k), T.Then():
            store(x, at, (-t[0][at], -t[1][at]))
            _less_products(x, at, (t, x), (base, n, i, k))
            gap = bound(minus(load(t, base + i * n + i), value))
            # equal eigenvalues: a vector as if they differed by a rounding
            tiny = real(2.0**-52) * size_of(value) + real(1e-300)
            none = size_of(gap) < tiny
            gap = bound((tirx.Select(none, tiny, gap[0]), gap[1]))
            store(x, at, over(load(x, at), gap))


def _by_size(g: Emitter, er: relax.Expr, ei: relax.Expr) -> relax.Expr:
    size = g.emit(R.add(R.multiply(er, er), R.multiply(ei, ei)))
    return g.emit(R.argsort(size, -1, False, "int64"))


def _picked(g: Emitter, x: relax.Expr, order: relax.Expr, axis: int) -> relax.Expr:
    """Elements of vectors, or columns of matrices, in an order."""
    if g.rank(x) > g.rank(order):
        *lead, n = g.shape(order)
        spread = g.reshape(order, [*lead, 1, n])
        order = g.emit(R.broadcast_to(g.emit(spread), relax.ShapeExpr(g.shape(x))))
    return g.emit(R.gather_elements(x, order, axis))


def _unit(g: Emitter, z: Complex) -> Complex:
    """Columns of length 1."""
    squares = R.add(R.multiply(z.real, z.real), R.multiply(z.imag, z.imag))
    length = g.emit(R.sqrt(R.sum(squares, [g.rank(z.real) - 2], True)))
    return Complex(*(g.emit(R.divide(p, length)) for p in (z.real, z.imag)))
