"""Rows of tensors as sets, and as sequences to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.dims import Dim, larger_dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable

SETS = OpTable()

# whether an element belongs to the result, from whether it is in the first and in the second set
_MEMBER = {
    "a-b": lambda a, b: tirx.all(a, tirx.Not(b)),
    "b-a": lambda a, b: tirx.all(b, tirx.Not(a)),
    "intersection": lambda a, b: tirx.all(a, b),
    "union": lambda a, b: tirx.any(a, b),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of elements: the values, and where each row begins, up to the end of the last."""

    values: relax.Expr
    starts: relax.Expr
    lead: Sequence[Dim]

    @property
    def tensors(self) -> list[relax.Expr]:
        return [self.values, self.starts]


def dense_rows(g: Emitter, x: relax.Expr) -> Rows:
    """The last axis of a tensor as rows."""
    *lead, width = g.shape(x)
    rows = product(lead)

    def body(_: Any, out: Any) -> None:
        with T.serial(0, rows + 1) as r:
            out[r] = wide(r) * width

    starts = loop_kernel(g, "row_starts", [x], [([rows + 1], "int64")], body)[0]
    return Rows(x, starts, lead)


def sparse_rows(g: Emitter, node: Node, index: int, lead: Sequence[Dim]) -> Rows:
    """A sparse tensor (inputs `index` and the next two), in order, as rows of the shape `lead`."""
    indices, values = g.arg(node, index), g.arg(node, index + 1)
    count, rank, rows = g.shape(indices)[0], len(lead) + 1, product(lead)

    def body(at: Any, out: Any) -> None:
        with T.serial(0, rows + 1) as r:
            out[r] = tirx.const(0, "int64")
        with T.serial(0, count) as i:
            row = tirx.const(0, "int64")
            for k, extent in enumerate(lead):
                row = row * extent + at[wide(i) * rank + k]
            out[row + 1] = out[row + 1] + 1
        with T.serial(0, rows) as r:
            out[r + 1] = out[r] + out[r + 1]

    starts = loop_kernel(g, "row_starts", [indices], [([rows + 1], "int64")], body, lead)[0]
    return Rows(values, starts, lead)


@SETS.op("DenseToDenseSetOperation", "DenseToSparseSetOperation", "SparseToSparseSetOperation")
def set_operation(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Of each pair of rows the elements of the result, in order, as a sparse tensor.

    (…, m) and (…, n) -> indices (k, rank), values (k,), shape (rank,).
    Source: tensorflow/core/kernels/set_kernels.cc.
    """
    how = str(node.attr("set_operation")).lower()
    if how not in _MEMBER:
        raise BadAttr(node, "set_operation", found=how, expected=tuple(_MEMBER))
    if node.op.startswith("Sparse"):
        a = sparse_rows(g, node, 0, g.dims(node, 2)[:-1])
        return _combined(g, node, how, a, sparse_rows(g, node, 3, a.lead))
    a = dense_rows(g, g.arg(node, 0))
    if node.op == "DenseToDenseSetOperation":
        return _combined(g, node, how, a, dense_rows(g, g.arg(node, 1)))
    return _combined(g, node, how, a, sparse_rows(g, node, 1, a.lead))


def _combined(g: Emitter, node: Node, how: str, a: Rows, b: Rows) -> Sequence[relax.Expr]:
    lead, dtype, rank, rows = a.lead, g.dtype(a.values), len(a.lead) + 1, product(a.lead)

    def body(x: Any, x_starts: Any, y: Any, y_starts: Any, *outs: Any) -> None:
        indices, values, shape, best, s = outs
        for axis, size in enumerate(lead):
            shape[axis] = wide(size)
        s[0], shape[rank - 1] = (tirx.const(0, "int64"),) * 2
        with T.serial(0, rows) as r:
            s[1], s[2] = tirx.const(0, "int64"), tirx.const(0, "int64")
            sets = [(t, at[r], at[r + 1] - at[r]) for t, at in ((x, x_starts), (y, y_starts))]
            with T.serial(0, sets[0][2] + sets[1][2]):
                _next_element(sets, best, s)
                member = _MEMBER[how](s[3] > 0, s[4] > 0)
                with T.If(member), T.Then():
                    rest = wide(r)
                    for axis in reversed(range(rank - 1)):
                        indices[s[0] * rank + axis] = tirx.floormod(rest, wide(lead[axis]))
                        rest = tirx.floordiv(rest, wide(lead[axis]))
                    indices[s[0] * rank + rank - 1] = s[1]
                    values[s[0]] = best[0]
                    s[0], s[1] = s[0] + 1, s[1] + 1
                best[1] = best[0]
            shape[rank - 1] = tirx.max(shape[rank - 1], s[1])

    most = product(g.shape(a.values)) + product(g.shape(b.values))
    outputs = [([most, rank], "int64"), ([most], dtype), ((rank,), "int64"), ((2,), dtype),
               ((5,), "int64")]  # fmt: skip
    made = loop_kernel(g, "set_operation", [*a.tensors, *b.tensors], outputs, body, lead)
    count = g.emit(relax.op.strided_slice(made[4], [0], [0], [1]))
    return [*first_rows(g, node, made[:2], count), made[2]]


@SETS.op("EditDistance")
def edit_distance(g: Emitter, node: Node) -> relax.Expr:
    """How many elements to insert, take out or change from each row of one tensor to the other's.

    Normalised by the length of the second; from none to none is 0.
    Source: tensorflow/core/kernels/edit_distance_op.cc.
    """
    shapes = (g.dims(node, 2)[:-1], g.dims(node, 5)[:-1])
    lead = [larger_dim(p, q) for p, q in zip(*shapes, strict=True)]
    tried, truth = (sparse_rows(g, node, k, lead) for k in (0, 3))
    most, normalize = g.shape(truth.values)[0] + 1, bool(node.attr("normalize", True))

    def body(x: Any, x_starts: Any, y: Any, y_starts: Any, out: Any, cost: Any, s: Any) -> None:
        one = tirx.const(1, "int64")
        with T.serial(0, product(lead)) as r:
            (i0, m), (j0, n) = ((t[r], t[r + 1] - t[r]) for t in (x_starts, y_starts))
            with T.serial(0, n + 1) as j:
                cost[j] = wide(j)
            with T.serial(0, m) as i:
                s[0], cost[0] = cost[0], wide(i) + one
                with T.serial(0, n) as j:
                    other = tirx.Cast("int64", x[i0 + i] != y[j0 + j])
                    s[1] = cost[j + 1]
                    cheaper = tirx.min(cost[j + 1], cost[j]) + one
                    cost[j + 1] = tirx.min(s[0] + other, cheaper)
                    s[0] = s[1]
            out[r] = _normalised(cost[n], n) if normalize else tirx.Cast("float32", cost[n])

    outputs = [(lead, "float32"), ([most], "int64"), ((2,), "int64")]
    tensors = [*tried.tensors, *truth.tensors]
    return loop_kernel(g, "edit_distance", tensors, outputs, body, lead)[0]


def _normalised(cost: Any, length: Any) -> Any:
    zero = tirx.const(0, "int64")
    share = tirx.Cast("float32", cost) / tirx.Cast("float32", tirx.max(length, wide(1)))
    none = tirx.if_then_else(cost == zero, tirx.const(0.0), tirx.infinity("float32"))
    return tirx.if_then_else(length == zero, none, share)


@SETS.op("SetSize")
def set_size(g: Emitter, node: Node) -> relax.Expr:
    """How many different elements each row of a sparse tensor has: int32.

    Source: tensorflow/core/kernels/set_kernels.cc, SetSizeOp.
    """
    indices, values, shape = g.args(node)
    *lead, _ = g.dims(node, 2)
    rank, (count,) = len(lead) + 1, g.shape(values)

    def body(at: Any, v: Any, _: Any, out: Any, s: Any) -> None:
        def row(i: Any) -> Any:
            place = tirx.const(0, "int64")
            for k, extent in enumerate(lead):
                place = place * extent + at[wide(i) * rank + k]
            return place

        with T.serial(0, product(lead)) as i:
            out[i] = tirx.const(0, "int32")
        with T.serial(0, count) as i:
            s[0] = tirx.const(1, "int32")
            with T.serial(0, i) as j:
                twice = tirx.all(row(j) == row(i), v[j] == v[i])
                s[0] = tirx.Select(twice, tirx.const(0, "int32"), s[0])
            out[row(i)] = out[row(i)] + s[0]

    outputs = [(lead, "int32"), ((1,), "int32")]
    return loop_kernel(g, "set_size", [indices, values, shape], outputs, body, lead)[0]


def _next_element(sets: Sequence[tuple[Any, Any, Any]], best: Any, s: Any) -> None:
    """best[0]: the least element above best[1]; s[3], s[4]: whether it is in each of the sets.

    s[2]: whether there was an element before.
    """
    zero, one = tirx.const(0, "int64"), tirx.const(1, "int64")
    s[3], s[4] = zero, zero
    for which, (buffer, base, count) in enumerate(sets):
        with T.serial(0, count) as k:
            value = buffer[base + k]
            with T.If(tirx.any(s[2] == zero, value > best[1])), T.Then():
                with T.If(tirx.any(s[3] + s[4] == zero, value < best[0])), T.Then():
                    best[0] = value
                    s[3], s[4] = zero, zero
                with T.If(value == best[0]), T.Then():
                    s[3 + which] = one
    s[2] = tirx.max(s[2], tirx.max(s[3], s[4]))
