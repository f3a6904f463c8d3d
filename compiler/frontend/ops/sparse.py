"""Sparse matrices as coordinate lists: (indices, values, dense shape)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import static_int
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable

SPARSE = OpTable()

R = relax.op


@SPARSE.op("SparseToDense")
def sparse_to_dense(g: Emitter, node: Node) -> relax.Expr:
    """Values at their coordinates, a default elsewhere; coordinates outside are left out.

    indices: a scalar, (n,) for a vector, or (n, rank).   values: a scalar or (n,).
    """
    indices, values, default = g.arg(node, 0), g.arg(node, 2), g.arg(node, 3)
    dims, dtype = g.dims(node, 1), g.dtype(values)
    rank = len(dims)
    count = g.shape(indices)[0] if g.rank(indices) else 1
    scalar = g.rank(values) == 0

    def body(at: Any, v: Any, other: Any, out: Any) -> None:
        with T.serial(0, product(dims)) as i:
            out[i] = other[0]
        with T.serial(0, count) as i:
            where = [wide(at[i * rank + axis]) for axis in range(rank)]
            inside = [tirx.all(w >= 0, w < d) for w, d in zip(where, dims, strict=True)]
            with T.If(tirx.all(*inside)), T.Then():
                out[_flat(where, dims)] = v[0] if scalar else v[i]

    tensors = [indices, values, default]
    return loop_kernel(g, "sparse_to_dense", tensors, [(dims, dtype)], body)[0]


def _flat(where: Sequence[Any], dims: Sequence[Any]) -> Any:
    at: Any = tirx.const(0, "int64")
    for w, extent in zip(where, dims, strict=True):
        at = at * extent + w
    return at


@SPARSE.op("SparseTensorDenseMatMul")
def sparse_matmul(g: Emitter, node: Node) -> relax.Expr:
    """(m, k) sparse times (k, n) dense; either may come transposed."""
    indices, values, dense = g.arg(node, 0), g.arg(node, 1), g.arg(node, 3)
    if node.attr("adjoint_b"):
        dense = g.emit(R.permute_dims(dense))
    first = 1 if node.attr("adjoint_a") else 0
    rows = g.dims(node, 2)[first]
    columns = g.shape(dense)[1]
    count, dtype = g.shape(indices)[0], g.dtype(values)

    def body(at: Any, v: Any, b: Any, out: Any) -> None:
        with T.serial(0, product([rows, columns])) as i:
            out[i] = tirx.const(0, dtype)
        with T.serial(0, count) as i, T.serial(0, columns) as j:
            row, column = wide(at[i * 2 + first]), wide(at[i * 2 + 1 - first])
            place = row * columns + j
            out[place] = out[place] + v[i] * b[column * columns + j]

    tensors = [indices, values, dense]
    return loop_kernel(g, "sparse_matmul", tensors, [([rows, columns], dtype)], body)[0]


@SPARSE.op("SparseReshape")
def sparse_reshape(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Coordinates in another shape of the same size, and that shape with its -1 computed."""
    indices, old, new = g.args(node)
    count = g.shape(indices)[0]
    (before,), (after,) = g.static_shape(node, old), g.static_shape(node, new)

    def shape_of(o: Any, n: Any, out: Any) -> None:
        size = product([o[k] for k in range(before)]) if before else tirx.const(1, "int64")
        rest = product([tirx.Select(n[k] < 0, tirx.const(1, "int64"), n[k]) for k in range(after)])
        quotient = tirx.floordiv(size, tirx.max(rest, tirx.const(1, "int64")))
        for k in range(after):
            out[k] = tirx.Select(n[k] < 0, quotient, n[k])

    shape = loop_kernel(g, "sparse_shape", [old, new], [([after], "int64")], shape_of)[0]

    def body(at: Any, o: Any, n: Any, out: Any) -> None:
        same = tirx.all(*(o[k] == n[k] for k in range(min(before, after))))
        with T.serial(0, count) as i:
            rest = _flat([at[i * before + k] for k in range(before)], [o[k] for k in range(before)])
            for k in reversed(range(after)):
                extent = tirx.max(n[k], tirx.const(1, "int64"))
                place = tirx.floormod(rest, extent)
                # for the same shape TensorFlow passes coordinates on, also those outside it
                if before == after:
                    place = tirx.Select(same, at[i * after + k], place)
                out[i * after + k] = place
                rest = tirx.floordiv(rest, extent)

    tensors = [indices, old, shape]
    outputs = [([count, after], "int64")]
    return [loop_kernel(g, "sparse_reshape", tensors, outputs, body)[0], shape]


@SPARSE.op("SparseFillEmptyRows", "RaggedFillEmptyRows")
def fill_empty_rows(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Every row gets an element: (indices, values, row was empty, new position of each element).

    A ragged tensor's indices are the rows alone.
    Source: tensorflow/core/kernels/fill_empty_rows_functor.h.
    """
    indices, values, default = g.arg(node, 0), g.arg(node, 1), g.arg(node, 3)
    count, *own = g.shape(indices)
    rank = static_int(own[0]) if own else 1
    if rank is None:
        raise BadNode(node, "the number of coordinates of an element is not known")
    rows = g.dims(node, 2)[0]
    full = count + rows

    def body(at: Any, v: Any, other: Any, *outs: Any) -> None:
        _fill_rows((count, rank, rows), (at, v, other), outs)

    outputs = [([full, *own], "int64"), ([full], g.dtype(values)), ([rows], "bool"),
               ([count], "int64"), ([rows], "int64"), ([1], "int64")]  # fmt: skip
    made = loop_kernel(g, "fill_empty_rows", [indices, values, default], outputs, body)
    kept = first_rows(g, node, made[:2], made[5])
    return [*kept, made[2], made[3]]


def _fill_rows(sizes: tuple[Any, Any, Any], given: Any, outs: Any) -> None:
    """Count the elements of each row, give each row its place, then put the elements there."""
    (count, rank, rows), (at, v, other) = sizes, given
    out, new, empty, position, start, total = outs
    zero, one = tirx.const(0, "int64"), tirx.const(1, "int64")
    with T.serial(0, rows) as r:
        start[r] = zero
    with T.serial(0, count) as i:
        start[at[i * rank]] = start[at[i * rank]] + one
    total[0] = zero
    with T.serial(0, rows) as r:
        empty[r] = start[r] == zero
        start[r] = total[0] + tirx.max(start[r], one)
        total[0] = start[r]
        with T.If(empty[r]), T.Then():
            new[total[0] - 1] = other[0]
            out[(total[0] - 1) * rank] = wide(r)
            for k in range(1, rank):
                out[(total[0] - 1) * rank + k] = zero
    # backwards, so that `start` counts down to where each row begins and order is kept
    with T.serial(0, count) as back:
        i = count - 1 - back
        row = at[i * rank]
        start[row] = start[row] - one
        position[i] = start[row]
        new[start[row]] = v[i]
        for k in range(rank):
            out[start[row] * rank + k] = at[i * rank + k]
