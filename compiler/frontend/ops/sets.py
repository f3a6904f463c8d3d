"""Rows of dense tensors as sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr
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


@SETS.op("DenseToDenseSetOperation")
def dense_set_operation(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Of each pair of rows the elements of the result, in order, as a sparse tensor.

    (…, m) and (…, n) -> indices (k, rank), values (k,), shape (rank,).
    """
    how = str(node.attr("set_operation")).lower()
    if how not in _MEMBER:
        raise BadAttr(node, "set_operation", found=how, expected=tuple(_MEMBER))
    a, b = g.args(node)
    *lead, m = g.shape(a)
    n, rank, rows = g.shape(b)[-1], len(lead) + 1, product(lead)
    dtype = g.dtype(a)

    def body(x: Any, y: Any, *outs: Any) -> None:
        indices, values, shape, best, s = outs
        for axis, size in enumerate(lead):
            shape[axis] = wide(size)
        s[0], shape[rank - 1] = (tirx.const(0, "int64"),) * 2
        with T.serial(0, rows) as r:
            s[1], s[2] = tirx.const(0, "int64"), tirx.const(0, "int64")
            with T.serial(0, m + n):
                _next_element(((x, r * m, m), (y, r * n, n)), best, s)
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

    most = rows * (m + n)
    outputs = [([most, rank], "int64"), ([most], dtype), ((rank,), "int64"), ((2,), dtype),
               ((5,), "int64")]  # fmt: skip
    made = loop_kernel(g, "set_operation", [a, b], outputs, body)
    count = g.emit(relax.op.strided_slice(made[4], [0], [0], [1]))
    return [*first_rows(g, node, made[:2], count), made[2]]


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
