"""Decompositions of matrices: orthogonal, triangular, singular values, eigenvalues.

Each batch of matrices is decomposed one after the other, by a kernel that is a loop in an order.
Signs and order of vectors are a choice that no definition makes; they follow LAPACK's where told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.solve import swap_pivot
from dlcc.compiler.frontend.ops.table import OpTable

DECOMPOSE = OpTable()

R = relax.op

# rotations of all pairs converge quadratically: 15 sweeps settle float64 for any size in use
_SWEEPS = 15


def turned(g: Emitter, x: relax.Expr) -> relax.Expr:
    """Matrices transposed."""
    rank = g.rank(x)
    return g.emit(R.permute_dims(x, [*range(rank - 2), rank - 1, rank - 2]))


def _first(g: Emitter, x: relax.Expr, axis: int, count: Any) -> relax.Expr:
    return g.emit(R.strided_slice(x, [axis], [0], [count]))


@DECOMPOSE.op("Qr")
def qr(g: Emitter, node: Node) -> list[relax.Expr]:
    """x (m, n) = Q R by Householder's reflections; Q (m, k) and R (k, n), k = min(m, n) or m.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, algorithm 5.2.1, with the sign
    of LAPACK's geqrf.
    """
    x = g.arg(node, 0)
    *lead, m, n = g.static_shape(node, x)
    dtype, least = g.dtype(x), min(m, n)
    kept = m if node.attr("full_matrices", False) else least

    def body(a: Any, q: Any, r: Any, v: Any, s: Any) -> None:
        with T.serial(0, product(lead)) as b:
            with T.serial(0, m * n) as i:
                r[b * m * n + i] = a[b * m * n + i]
            with T.serial(0, m) as i, T.serial(0, m) as j:
                q[b * m * m + i * m + j] = tirx.Cast(dtype, i == j)
            with T.serial(0, least) as k:
                _reflector(r, b * m * n, (m, n), k, v, s, dtype)
                # H R from the left, and Q H from the right
                _reflect(r, lambda i, j: b * m * n + i * n + j, (m, n), k, v, s)
                _reflect(q, lambda i, j: b * m * m + j * m + i, (m, m), k, v, s)

    outputs = [([*lead, m, m], dtype), ([*lead, m, n], dtype), ((m,), dtype), ((4,), dtype)]
    q, r = loop_kernel(g, "qr", [x], outputs, body)[:2]
    rank = len(lead)
    r = _upper(g, _first(g, r, rank, kept))
    return [_first(g, q, rank + 1, kept), r]


def _upper(g: Emitter, x: relax.Expr) -> relax.Expr:
    return g.emit(R.triu(x))


def _reflector(
    r: Any, base: Any, size: tuple[int, int], k: Any, v: Any, s: Any, dtype: str
) -> None:
    """v and s[0]: I - s[0] v vᵀ clears column k below the diagonal; s[0] is 0 where it is clear."""
    m, n = size
    zero, one = tirx.const(0, dtype), tirx.const(1, dtype)
    s[1] = zero
    with T.serial(0, m) as i:
        v[i] = tirx.if_then_else(i < k, zero, r[base + i * n + k])
        with T.If(i > k), T.Then():
            s[1] = s[1] + v[i] * v[i]
    s[2] = v[k]
    s[0] = zero
    with T.If(s[1] > zero), T.Then():
        norm = tirx.sqrt(s[2] * s[2] + s[1])
        s[3] = tirx.Select(s[2] < zero, norm, -norm)  # the new diagonal element
        s[0] = (s[3] - s[2]) / s[3]
        with T.serial(0, m) as i, T.If(i > k), T.Then():
            v[i] = v[i] / (s[2] - s[3])
        v[k] = one


def _reflect(x: Any, at: Any, size: tuple[int, int], k: Any, v: Any, s: Any) -> None:
    """x - s[0] v (vᵀ x), of the elements x[at(i, j)], i as in v."""
    m, n = size
    with T.serial(0, n) as j:
        s[1] = s[1] * 0
        with T.serial(0, m - k) as i:
            s[1] = s[1] + v[k + i] * x[at(k + i, j)]
        with T.serial(0, m - k) as i:
            x[at(k + i, j)] = x[at(k + i, j)] - s[0] * s[1] * v[k + i]


@DECOMPOSE.op("Lu")
def lu(g: Emitter, node: Node) -> list[relax.Expr]:
    """Both triangles in one matrix, and the order of rows, by elimination with row pivots.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, algorithm 3.4.1.
    """
    x = g.arg(node, 0)
    *lead, n, _ = g.static_shape(node, x)
    dtype, index = g.dtype(x), str(node.attr("output_idx_type", "int32"))

    def body(a: Any, m: Any, p: Any, held: Any, place: Any, best: Any) -> None:
        with T.serial(0, product(lead)) as b:
            with T.serial(0, n * n) as i:
                m[b * n * n + i] = a[b * n * n + i]
            with T.serial(0, n) as i:
                p[b * n + i] = tirx.Cast(index, i)
            with T.serial(0, n) as k:
                swap_pivot(m, (b, k, n), held, best)
                place[0] = p[b * n + k]
                p[b * n + k] = p[b * n + best[0]]
                p[b * n + best[0]] = place[0]
                with T.serial(0, n - 1 - k) as i:
                    row = (b * n + k + 1 + i) * n
                    m[row + k] = m[row + k] / m[(b * n + k) * n + k]
                    with T.serial(0, n - 1 - k) as j:
                        above = m[(b * n + k) * n + k + 1 + j]
                        m[row + k + 1 + j] = m[row + k + 1 + j] - m[row + k] * above

    outputs = [([*lead, n, n], dtype), ([*lead, n], index), ((1,), dtype), ((1,), index),
               ((1,), "int64")]  # fmt: skip
    return loop_kernel(g, "lu", [x], outputs, body)[:2]


def _angle(alpha: Any, beta: Any, gamma: Any, s: Any, dtype: str) -> None:
    """s[0], s[1]: cosine and sine that make ((alpha, gamma), (gamma, beta)) diagonal.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, algorithm 8.5.1.
    """
    zero, one = tirx.const(0, dtype), tirx.const(1, dtype)
    safe = tirx.Select(gamma == zero, one, gamma)
    s[2] = (beta - alpha) / (tirx.const(2, dtype) * safe)
    size = one / (tirx.abs(s[2]) + tirx.sqrt(one + s[2] * s[2]))
    s[2] = tirx.Select(gamma == zero, zero, tirx.Select(s[2] >= zero, size, -size))
    s[0] = one / tirx.sqrt(one + s[2] * s[2])
    s[1] = s[0] * s[2]


def _rotate(x: Any, first: Any, second: Any, s: Any) -> None:
    """Two elements turned by the angle."""
    s[3] = x[first]
    x[first] = s[0] * s[3] - s[1] * x[second]
    x[second] = s[1] * s[3] + s[0] * x[second]


@DECOMPOSE.op("SelfAdjointEigV2", "BatchSelfAdjointEigV2")
def self_adjoint_eig(g: Emitter, node: Node) -> list[relax.Expr]:
    """Eigenvalues (…, n), rising, and eigenvectors as columns, of the lower half of x.

    Source: Jacobi's method, Golub and Van Loan, "Matrix Computations", 4th edition, 8.5.
    """
    x = g.arg(node, 0)
    *lead, n, _ = g.static_shape(node, x)
    dtype = g.dtype(x)

    def body(given: Any, values: Any, v: Any, a: Any, s: Any) -> None:
        with T.serial(0, product(lead)) as b:
            base = b * n * n
            with T.serial(0, n) as i, T.serial(0, n) as j:
                lower = tirx.if_then_else(j <= i, given[base + i * n + j], given[base + j * n + i])
                a[i * n + j] = lower
                v[base + i * n + j] = tirx.Cast(dtype, i == j)
            with T.serial(0, _SWEEPS), T.serial(0, n) as p, T.serial(0, n - 1 - p) as step:
                q = p + 1 + step
                _angle(a[p * n + p], a[q * n + q], a[p * n + q], s, dtype)
                with T.serial(0, n) as k:
                    _rotate(a, k * n + p, k * n + q, s)
                    _rotate(v, base + k * n + p, base + k * n + q, s)
                with T.serial(0, n) as k:
                    _rotate(a, p * n + k, q * n + k, s)
            with T.serial(0, n) as i:
                values[b * n + i] = a[i * n + i]
            _sort_columns(values, b * n, [(v, base, n, n)], n, s, descending=False)

    outputs = [([*lead, n], dtype), ([*lead, n, n], dtype), ([n, n], dtype), ((4,), dtype)]
    values, vectors = loop_kernel(g, "eigen", [x], outputs, body)[:2]
    return [values, vectors]


def _sort_columns(
    keys: Any, start: Any, matrices: Sequence[Any], n: int, s: Any, *, descending: bool
) -> None:
    """Sort keys[start:start + n], and the columns of (buffer, base, rows, columns) along."""

    def swap(buffer: Any, first: Any, second: Any) -> None:
        s[3] = buffer[first]
        buffer[first] = buffer[second]
        buffer[second] = s[3]

    with T.serial(0, n) as turn, T.serial(0, n - 1 - turn) as i:
        here, after = keys[start + i], keys[start + i + 1]
        with T.If(here < after if descending else here > after), T.Then():
            swap(keys, start + i, start + i + 1)
            for buffer, base, rows, columns in matrices:
                with T.serial(0, rows) as k:
                    swap(buffer, base + k * columns + i, base + k * columns + i + 1)


@DECOMPOSE.op("SelfAdjointEig", "BatchSelfAdjointEig")
def self_adjoint_eig_v1(g: Emitter, node: Node) -> relax.Expr:
    """(…, n + 1, n): a row of eigenvalues above the eigenvectors."""
    values, vectors = self_adjoint_eig(g, node)
    *lead, n, _ = g.shape(vectors)
    return R.concat([g.emit(g.reshape(values, [*lead, 1, n])), vectors], len(lead))


@DECOMPOSE.op("Svd", "BatchSvd")
def svd(g: Emitter, node: Node) -> list[relax.Expr]:
    """Singular values, falling, and the left (m, k) and right (n, k) vectors as columns.

    Source: the one-sided method of Hestenes, Golub and Van Loan, "Matrix Computations", 4th
    edition, 8.6.3: columns of x are turned in pairs until all are orthogonal.
    """
    x = g.arg(node, 0)
    *_lead, m, n = g.static_shape(node, x)
    wide = m < n
    values, u, v = tall_svd(g, turned(g, x) if wide else x, bool(node.attr("full_matrices")))
    u, v = (v, u) if wide else (u, v)
    if not node.attr("compute_uv", True):
        nothing = relax.ShapeExpr([0])
        return [values, *(g.emit(R.zeros(nothing, g.dtype(x))) for _ in range(2))]
    return [values, u, v]


def tall_svd(g: Emitter, x: relax.Expr, full: bool) -> tuple[relax.Expr, relax.Expr, relax.Expr]:
    """(values (n,), u (m, n) or (m, m), v (n, n)) for m >= n."""
    dims = g.shape(x)
    lead, m, n = dims[:-2], int(dims[-2]), int(dims[-1])
    dtype = g.dtype(x)
    kept = m if full else n

    def body(given: Any, values: Any, u: Any, v: Any, a: Any, s: Any) -> None:
        with T.serial(0, product(lead)) as b:
            with T.serial(0, m * n) as i:
                a[i] = given[b * m * n + i]
            with T.serial(0, n) as i, T.serial(0, n) as j:
                v[b * n * n + i * n + j] = tirx.Cast(dtype, i == j)
            with T.serial(0, _SWEEPS), T.serial(0, n) as p, T.serial(0, n - 1 - p) as step:
                _turn_pair(a, (v, b * n * n), (p, p + 1 + step), (m, n), s, dtype)
            with T.serial(0, n) as j:
                s[4] = tirx.const(0, dtype)
                with T.serial(0, m) as i:
                    s[4] = s[4] + a[i * n + j] * a[i * n + j]
                values[b * n + j] = tirx.sqrt(s[4])
            matrices = [(a, 0, m, n), (v, b * n * n, n, n)]
            _sort_columns(values, b * n, matrices, n, s, descending=True)
            _left_vectors(a, values, u, (b, m, n, kept), s, dtype)

    outputs = [([*lead, n], dtype), ([*lead, m, kept], dtype), ([*lead, n, n], dtype),
               ([m, n], dtype), ((8,), dtype)]  # fmt: skip
    made = loop_kernel(g, "svd", [x], outputs, body)
    return made[0], made[1], made[2]


def _turn_pair(a: Any, right: Any, pair: Any, size: tuple[int, int], s: Any, dtype: str) -> None:
    """Make columns p and q of a orthogonal; turn those of the right vectors along."""
    (v, base), (p, q), (m, n) = right, pair, size
    for k in range(4, 7):
        s[k] = tirx.const(0, dtype)
    with T.serial(0, m) as i:
        x, y = a[i * n + p], a[i * n + q]
        s[4], s[5], s[6] = s[4] + x * x, s[5] + y * y, s[6] + x * y
    _angle(s[4], s[5], s[6], s, dtype)
    with T.serial(0, m) as i:
        _rotate(a, i * n + p, i * n + q, s)
    with T.serial(0, n) as i:
        _rotate(v, base + i * n + p, base + i * n + q, s)


def _left_vectors(a: Any, values: Any, u: Any, size: Any, s: Any, dtype: str) -> None:
    """Columns of a made unit vectors; what has no length, or is beyond them, from unit vectors.

    Source: Gram and Schmidt, each vector orthogonalised twice.
    """
    b, m, n, kept = size
    base, zero, one = b * m * kept, tirx.const(0, dtype), tirx.const(1, dtype)
    tiny = tirx.const(1e-30, dtype)
    with T.serial(0, kept) as j:
        s[7] = zero
        with T.If(j < n), T.Then():
            s[7] = values[b * n + tirx.min(j, n - 1)]
        with T.If(s[7] > tiny):
            with T.Then(), T.serial(0, m) as i:
                u[base + i * kept + j] = a[i * n + tirx.min(j, n - 1)] / s[7]
            with T.Else(), T.serial(0, m) as axis, T.If(s[7] <= tiny), T.Then():
                with T.serial(0, m) as i:
                    u[base + i * kept + j] = tirx.Cast(dtype, i == axis)
                _orthogonalise(u, base, (m, kept, j), s, dtype)
                # a unit vector that the others nearly span is of no use: the next one is tried
                enough = s[6] > tirx.const(0.25 / m, dtype)
                s[7] = tirx.Select(enough, one, zero)


def _orthogonalise(u: Any, base: Any, size: Any, s: Any, dtype: str) -> None:
    """Column j less its parts along the columns before, of length 1; s[6]: its length² before."""
    m, kept, j = size
    for turn in range(2):
        with T.serial(0, j) as k:
            s[5] = tirx.const(0, dtype)
            with T.serial(0, m) as i:
                s[5] = s[5] + u[base + i * kept + k] * u[base + i * kept + j]
            with T.serial(0, m) as i:
                at = base + i * kept
                u[at + j] = u[at + j] - s[5] * u[at + k]
        s[4] = tirx.const(0, dtype)
        with T.serial(0, m) as i:
            s[4] = s[4] + u[base + i * kept + j] * u[base + i * kept + j]
        if turn == 0:
            s[6] = s[4]
    with T.serial(0, m) as i:
        at = base + i * kept + j
        u[at] = u[at] / tirx.max(tirx.sqrt(s[4]), tirx.const(1e-30, dtype))
