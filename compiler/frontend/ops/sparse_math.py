"""Arithmetic of sparse tensors: with dense ones, with each other, and over axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable

SPARSE_MATH = OpTable()

R = relax.op


def zero() -> Any:
    return tirx.const(0, "int64")


def key(at: Any, i: Any, shape: Any, rank: int) -> Any:
    """The flat position of element i in the dense tensor: sparse tensors are ordered by it."""
    place = zero()
    for k in range(rank):
        place = place * shape[k] + at[wide(i) * rank + k]
    return place


def rank_of(g: Emitter, node: Node, shape: relax.Expr) -> int:
    """The rank of a sparse tensor, from the tensor that holds its shape."""
    return g.static_shape(node, shape)[0]


@SPARSE_MATH.op("SparseTensorDenseAdd")
def sparse_dense_add(g: Emitter, node: Node) -> relax.Expr:
    """A dense tensor with the elements of a sparse one of its shape added."""
    _, values, shape, dense = g.args(node)
    dims, rank = g.shape(dense), rank_of(g, node, shape)
    (count,) = g.shape(values)

    def body(at: Any, v: Any, s: Any, b: Any, out: Any) -> None:
        with T.serial(0, product(dims)) as i:
            out[i] = b[i]
        with T.serial(0, count) as i:
            place = key(at, i, s, rank)
            out[place] = out[place] + v[i]

    return loop_kernel(g, "sparse_dense_add", g.args(node), [(dims, g.dtype(dense))], body)[0]


_CWISE: dict[str, Callable[[Any, Any], Any]] = {
    "SparseDenseCwiseAdd": lambda a, b: a + b,
    "SparseDenseCwiseMul": lambda a, b: a * b,
    "SparseDenseCwiseDiv": lambda a, b: tirx.truncdiv(a, b) if "int" in str(a.ty.dtype) else a / b,
}


@SPARSE_MATH.op(*_CWISE)
def sparse_dense_cwise(g: Emitter, node: Node) -> relax.Expr:
    """The values of a sparse tensor joined with those of a dense one that broadcasts to it.

    Source: tensorflow/core/kernels/sparse_dense_binary_op_shared.cc.
    """
    indices, values, shape, dense = g.args(node)
    dims, rank, dtype = g.shape(dense), rank_of(g, node, shape), g.dtype(values)
    (count,) = g.shape(values)
    first = rank - len(dims)

    def body(at: Any, v: Any, _: Any, b: Any, out: Any) -> None:
        with T.serial(0, count) as i:
            place = zero()
            for k, extent in enumerate(dims):
                own = at[wide(i) * rank + first + k]
                place = place * extent + tirx.Select(wide(extent) == 1, zero(), own)
            out[i] = _CWISE[node.op](v[i], b[place])

    tensors = [indices, values, shape, dense]
    return loop_kernel(g, "sparse_dense_cwise", tensors, [([count], dtype)], body)[0]


@SPARSE_MATH.op("SparseAdd", "SparseSparseMaximum", "SparseSparseMinimum")
def sparse_sparse(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Two sparse tensors of a shape joined element by element; what one lacks is 0.

    A sum of two that is below the threshold is left out.
    Source: tensorflow/core/kernels/sparse_add_op.cc, sparse_sparse_binary_op_shared.cc.
    """
    given = [g.arg(node, i) for i in range(6)]
    dtype, rank = g.dtype(given[1]), rank_of(g, node, given[2])
    counts = [g.shape(given[1])[0], g.shape(given[4])[0]]
    summed = node.op == "SparseAdd"
    tensors = [*given, g.arg(node, 6)] if summed else given
    join = {"SparseAdd": lambda a, b: a + b, "SparseSparseMaximum": tirx.max}.get(node.op, tirx.min)

    def body(*buffers: Any) -> None:
        at, v, size, at2, v2, *rest = buffers
        out, new, total, s = buffers[-4:]
        s[0], s[1], total[0] = zero(), zero(), zero()
        none = tirx.const(0, dtype)
        left = tirx.any(s[0] < counts[0], s[1] < counts[1])
        with T.serial(0, counts[0] + counts[1]), T.If(left), T.Then():
            _next_pair(s, (at, at2), size, counts, rank)
            a = tirx.if_then_else(s[2] <= 0, v[s[0]], none)
            b = tirx.if_then_else(s[2] >= 0, v2[s[1]], none)
            new[total[0]] = join(a, b)
            for k in range(rank):
                out[total[0] * rank + k] = tirx.if_then_else(
                    s[2] <= 0, at[s[0] * rank + k], at2[s[1] * rank + k]
                )
            small = tirx.abs(new[total[0]]) < rest[1][0] if summed else tirx.const(False, "bool")
            total[0] = total[0] + tirx.Select(tirx.all(s[2] == 0, small), wide(0), wide(1))
            s[0] = s[0] + tirx.Select(s[2] <= 0, wide(1), wide(0))
            s[1] = s[1] + tirx.Select(s[2] >= 0, wide(1), wide(0))

    most = counts[0] + counts[1]
    outputs = [([most, rank], "int64"), ([most], dtype), ((1,), "int64"), ((3,), "int64")]
    made = loop_kernel(g, "sparse_sparse", tensors, outputs, body)
    kept = first_rows(g, node, made[:2], made[2])
    return [*kept, given[2]] if summed else kept


def _next_pair(s: Any, at: tuple[Any, Any], size: Any, counts: Sequence[Any], rank: int) -> None:
    """s[2]: -1 where the next element of the first tensor comes first, 1 that of the second, 0
    where both are in one place."""
    with T.If(s[0] >= counts[0]):
        with T.Then():
            s[2] = tirx.const(1, "int64")
        with T.Else(), T.If(s[1] >= counts[1]):
            with T.Then():
                s[2] = tirx.const(-1, "int64")
            with T.Else():
                a, b = key(at[0], s[0], size, rank), key(at[1], s[1], size, rank)
                step = tirx.Select(a < b, wide(-1), wide(1))
                s[2] = tirx.Select(a == b, zero(), step)


@SPARSE_MATH.op("SparseSoftmax")
def sparse_softmax(g: Emitter, node: Node) -> relax.Expr:
    """Softmax over the elements that each row along the last axis has.

    Source: tensorflow/core/kernels/sparse_softmax_op.cc.
    """
    indices, values, shape = g.args(node)
    rank, dtype = rank_of(g, node, shape), g.dtype(values)
    (count,) = g.shape(values)

    def alike(at: Any, i: Any, j: Any) -> Any:
        pairs = [(at[i * rank + k], at[j * rank + k]) for k in range(rank - 1)]
        return tirx.all(*(a == b for a, b in pairs))

    def body(at: Any, v: Any, _: Any, out: Any, s: Any, f: Any) -> None:
        s[0] = zero()
        with T.serial(0, count) as i:
            # the last element of a row: s[0] is its first
            last = tirx.any(i + 1 == count, tirx.Not(alike(at, i, tirx.min(i + 1, count - 1))))
            with T.If(last), T.Then():
                f[0], f[1] = v[s[0]], tirx.const(0, dtype)
                with T.serial(0, i + 1 - s[0]) as k:
                    f[0] = tirx.max(f[0], v[s[0] + k])
                with T.serial(0, i + 1 - s[0]) as k:
                    out[s[0] + k] = tirx.exp(v[s[0] + k] - f[0])
                    f[1] = f[1] + out[s[0] + k]
                with T.serial(0, i + 1 - s[0]) as k:
                    out[s[0] + k] = out[s[0] + k] / f[1]
                s[0] = wide(i) + 1

    outputs = [([count], dtype), ((1,), "int64"), ((2,), dtype)]
    return loop_kernel(g, "sparse_softmax", [indices, values, shape], outputs, body)[0]


@SPARSE_MATH.op(
    "SparseReduceSum", "SparseReduceMax", "SparseReduceSumSparse", "SparseReduceMaxSparse"
)
def sparse_reduce(g: Emitter, node: Node) -> Any:
    """Sums or maxima over axes, dense with 0 where there was no element, or sparse.

    Source: tensorflow/core/kernels/sparse_reduce_op.cc.
    """
    indices, values, shape = (g.arg(node, i) for i in range(3))
    dims, dtype = g.dims(node, 2), g.dtype(values)
    rank, (count,) = len(dims), g.shape(values)
    gone = {int(a) % rank for a in g.static(node, 3, "the axes").reshape(-1)}
    kept = [k for k in range(rank) if k not in gone]
    keep = bool(node.attr("keep_dims", False))
    left = [1 if k in gone else dims[k] for k in range(rank) if keep or k in kept]
    largest = "Max" in node.op

    def body(at: Any, v: Any, _: Any, out: Any, seen: Any) -> None:
        with T.serial(0, product(left)) as i:
            out[i], seen[i] = tirx.const(0, dtype), tirx.const(False, "bool")
        with T.serial(0, count) as i:
            place = zero()
            for k in kept:
                place = place * dims[k] + at[wide(i) * rank + k]
            joined = tirx.max(out[place], v[i]) if largest else out[place] + v[i]
            out[place] = tirx.Select(seen[place], joined, v[i])
            seen[place] = tirx.const(True, "bool")

    outputs = [(left, dtype), (left, "bool")]
    total, seen = loop_kernel(g, "sparse_reduce", [indices, values, shape], outputs, body, dims)
    return _compacted(g, node, total, seen, left) if node.op.endswith("Sparse") else total


def _compacted(
    g: Emitter, node: Node, total: relax.Expr, seen: relax.Expr, dims: Sequence[Dim]
) -> list[relax.Expr]:
    """The elements of a dense tensor that count as a sparse one: indices, values, shape."""
    rank, most = len(dims), product(dims)

    def body(t: Any, there: Any, out: Any, v: Any, n: Any, shape: Any) -> None:
        n[0] = zero()
        for k, extent in enumerate(dims):
            shape[k] = wide(extent)
        with T.serial(0, most) as i, T.If(there[i]), T.Then():
            v[n[0]] = t[i]
            rest = wide(i)
            for k in reversed(range(rank)):
                out[n[0] * rank + k] = tirx.floormod(rest, wide(dims[k]))
                rest = tirx.floordiv(rest, wide(dims[k]))
            n[0] = n[0] + 1

    outputs = [([most, rank], "int64"), ([most], g.dtype(total)), ((1,), "int64"),
               ((rank,), "int64")]  # fmt: skip
    *made, n, shape = loop_kernel(g, "compacted", [total, seen], outputs, body)
    return [*first_rows(g, node, made, n), shape]


@SPARSE_MATH.op("SparseMatMul")
def sparse_mat_mul(g: Emitter, node: Node) -> relax.Expr:
    """A product of dense matrices of which one has many zeros: computed as any other."""
    a, b = (g.emit(R.astype(x, "float32")) for x in g.args(node))
    a = g.emit(R.permute_dims(a)) if node.attr("transpose_a", False) else a
    b = g.emit(R.permute_dims(b)) if node.attr("transpose_b", False) else b
    return R.matmul(a, b)
