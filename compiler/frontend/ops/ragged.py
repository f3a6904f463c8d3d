"""Ragged tensors: rows of different lengths as their values, and where each row begins.

Splits (n + 1,) hold where row i begins and ends among the values of the next level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.math import is_integer
from dlcc.compiler.frontend.ops.table import OpTable

RAGGED = OpTable()

R = relax.op


def _zero() -> Any:
    return tirx.const(0, "int64")


@RAGGED.op("RaggedRange")
def ragged_range(g: Emitter, node: Node) -> list[relax.Expr]:
    """(splits, values): start, start + delta, … below the limit, for each row.

    Source: tensorflow/core/kernels/ragged_range_op.cc.
    """
    given = g.args(node)
    dtype, splits_type = g.dtype(given[0]), str(node.attr("Tsplits", "int64"))
    rows: Dim = next((g.shape(t)[0] for t in given if g.rank(t)), 1)
    scalar = [g.rank(t) == 0 for t in given]

    def row(buffers: Sequence[Any], r: Any) -> list[Any]:
        return [b[0] if s else b[r] for b, s in zip(buffers, scalar, strict=True)]

    def split(*buffers: Any) -> None:
        out = buffers[-1]
        out[0] = tirx.const(0, splits_type)
        with T.serial(0, rows) as r:
            out[r + 1] = out[r] + tirx.Cast(splits_type, _length(*row(buffers[:3], r)))

    splits = loop_kernel(g, "range_splits", given, [([rows + 1], splits_type)], split)[0]
    (total,) = g.measured(node, _last(g, splits, rows))

    def fill(*buffers: Any) -> None:
        ends, out = buffers[3:]
        with T.serial(0, rows) as r, T.serial(0, ends[r + 1] - ends[r]) as k:
            start, _, delta = row(buffers[:3], r)
            out[wide(ends[r]) + wide(k)] = start + tirx.Cast(dtype, k) * delta

    return [splits, loop_kernel(g, "ranges", [*given, splits], [([total], dtype)], fill)[0]]


def _length(start: Any, limit: Any, delta: Any) -> Any:
    """How many numbers a range has."""
    zero, one = tirx.const(0, start.ty.dtype), tirx.const(1, start.ty.dtype)
    none = tirx.any(
        tirx.all(delta > zero, limit <= start),
        tirx.all(delta < zero, limit >= start),
        delta == zero,
    )
    step = tirx.Select(delta == zero, one, tirx.abs(delta))
    way = tirx.abs(limit - start)
    count = tirx.truncdiv(way + step - one, step) if is_integer(str(start.ty.dtype)) else None
    return tirx.Select(none, _zero(), wide(tirx.ceil(way / step) if count is None else count))


def _last(g: Emitter, splits: relax.Expr, rows: Dim) -> relax.Expr:
    """The end of the last row: the number of values. A tensor (1,)."""

    def body(s: Any, out: Any) -> None:
        out[0] = wide(s[rows])

    return loop_kernel(g, "last_split", [splits], [((1,), "int64")], body)[0]


@RAGGED.op("RaggedGather")
def ragged_gather(g: Emitter, node: Node) -> list[relax.Expr]:
    """Rows by index: the splits of each level, outer first, and the values.

    Source: tensorflow/core/kernels/ragged_gather_op.cc.
    """
    levels = int(node.attr("PARAMS_RAGGED_RANK", 1))
    given, values, indices = g.args(node)[:levels], g.arg(node, levels), g.arg(node, levels + 1)
    dtype = g.dtype(given[0])
    dims = g.shape(indices)
    made = [_even_splits(g, product(dims[:k]), dims[k], dtype) for k in range(1, len(dims))]
    rows = g.emit(g.reshape(indices, [product(dims)]))
    for splits in given:
        ends, rows = _expanded(g, node, splits, rows)
        made.append(ends)
    return [*made, g.emit(R.take(values, rows, axis=0))]


def _even_splits(g: Emitter, rows: Dim, length: Dim, dtype: str) -> relax.Expr:
    """Splits of rows that all have one length."""

    def body(out: Any) -> None:
        with T.serial(0, rows + 1) as r:
            out[r] = tirx.Cast(dtype, r * length)

    return loop_kernel(g, "even_splits", [], [([rows + 1], dtype)], body, [length])[0]


def _expanded(
    g: Emitter, node: Node, splits: relax.Expr, rows: relax.Expr
) -> tuple[relax.Expr, relax.Expr]:
    """The splits of the rows chosen, and which values they hold."""
    (count,), dtype = g.shape(rows), g.dtype(splits)

    def split(s: Any, at: Any, out: Any) -> None:
        out[0] = tirx.const(0, dtype)
        with T.serial(0, count) as i:
            out[i + 1] = out[i] + s[wide(at[i]) + 1] - s[wide(at[i])]

    ends = loop_kernel(g, "gathered_splits", [splits, rows], [([count + 1], dtype)], split)[0]
    (total,) = g.measured(node, _last(g, ends, count))

    def fill(s: Any, at: Any, e: Any, out: Any) -> None:
        with T.serial(0, count) as i, T.serial(0, e[i + 1] - e[i]) as k:
            out[wide(e[i]) + wide(k)] = wide(s[wide(at[i])]) + wide(k)

    inner = loop_kernel(g, "gathered", [splits, rows, ends], [([total], "int64")], fill)[0]
    return ends, inner


# ---------------------------------------------------------------- to other kinds of tensors


def _row_numbers(
    g: Emitter, partition: relax.Expr, kind: str, count: Dim
) -> tuple[relax.Expr, relax.Expr, relax.Expr]:
    """Row and position of each of `count` values, and the length of the longest row (1,)."""

    def from_splits(s: Any, row: Any, place: Any, longest: Any) -> None:
        longest[0] = _zero()
        with T.serial(0, g.shape(partition)[0] - 1) as r:
            length = wide(s[r + 1]) - wide(s[r])
            longest[0] = tirx.max(longest[0], length)
            with T.serial(0, length) as k:
                row[wide(s[r]) + k] = wide(r)
                place[wide(s[r]) + k] = wide(k)

    def from_ids(ids: Any, row: Any, place: Any, longest: Any) -> None:
        longest[0] = _zero()
        with T.serial(0, count) as i:
            row[i] = wide(ids[i])
            place[i] = _zero()
            with T.If(i > 0), T.Then(), T.If(row[i] == row[i - 1]), T.Then():
                place[i] = place[i - 1] + 1
            longest[0] = tirx.max(longest[0], place[i] + 1)

    outputs = [([count], "int64"), ([count], "int64"), ((1,), "int64")]
    body = from_splits if kind == "ROW_SPLITS" else from_ids
    row, place, longest = loop_kernel(g, "row_numbers", [partition], outputs, body)
    return row, place, longest


@RAGGED.op("RaggedTensorToSparse")
def ragged_to_sparse(g: Emitter, node: Node) -> list[relax.Expr]:
    """(indices, values, dense shape) of the values."""
    *given, values = g.args(node)
    count, *inner = g.shape(values)
    sizes = [g.shape(s)[0] - 1 for s in given]
    counts = [*sizes[1:], count]
    rows = [_row_numbers(g, s, "ROW_SPLITS", n) for s, n in zip(given, counts, strict=True)]
    each, levels = product(inner), len(given)
    rank = levels + 1 + len(inner)

    def body(*buffers: Any) -> None:
        out, shape = buffers[-2:]
        for level in range(levels):
            shape[level + 1] = buffers[3 * level + 2][0]
        shape[0] = wide(sizes[0])
        for axis, size in enumerate(inner):
            shape[levels + 1 + axis] = wide(size)
        with T.serial(0, count) as i, T.serial(0, each) as j:
            at, base = wide(i), (wide(i) * each + wide(j)) * rank
            for level in reversed(range(levels)):
                out[base + level + 1] = buffers[3 * level + 1][at]
                at = buffers[3 * level][at]
            out[base] = at
            rest = wide(j)
            for axis in reversed(range(len(inner))):
                out[base + levels + 1 + axis] = tirx.floormod(rest, wide(inner[axis]))
                rest = tirx.floordiv(rest, wide(inner[axis]))

    flat = [t for row in rows for t in row]
    outputs = [([count * each, rank], "int64"), ((rank,), "int64")]
    indices, shape = loop_kernel(g, "ragged_to_sparse", flat, outputs, body)
    return [indices, g.emit(g.reshape(values, [count * each])), shape]


@RAGGED.op("RaggedTensorToTensor")
def ragged_to_tensor(g: Emitter, node: Node) -> relax.Expr:
    """Rows filled up with a default to the longest, or filled and cut to a shape.

    Source: tensorflow/core/kernels/ragged_tensor_to_tensor_op.cc.
    """
    kinds = tuple(node.attr("row_partition_types", ()))
    if not set(kinds) <= {"FIRST_DIM_SIZE", "VALUE_ROWIDS", "ROW_SPLITS"}:
        expected = ("FIRST_DIM_SIZE", "VALUE_ROWIDS", "ROW_SPLITS")
        raise BadAttr(node, "row_partition_types", found=kinds, expected=expected)
    values, default = g.arg(node, 1), g.arg(node, 2)
    first = kinds[0] == "FIRST_DIM_SIZE"
    parts = [g.arg(node, 3 + i) for i in range(int(first), len(kinds))]
    rows = g.dims(node, 3)[0] if first else g.shape(parts[0])[0] - 1
    rank = len(parts) + g.rank(values)
    asked = _asked(g, node, rank)
    dims: list[Dim] = [rows if asked[0] is None else asked[0]]
    place = _upper_rows(g, rows, dims[0])
    for level, (part, kind) in enumerate(zip(parts, kinds[int(first) :], strict=True)):
        row, at, longest = _row_numbers(
            g, part, kind, _values_below(g, parts, kinds, values, level)
        )
        size = asked[level + 1]
        dims.append(g.measured(node, longest)[0] if size is None else size)
        place = _placed(g, place, row, at, dims[-1])
    inner = g.shape(values)[1:]
    return _scattered(g, values, default, place, [*dims, *inner])


def _asked(g: Emitter, node: Node, rank: int) -> list[int | None]:
    """The dimensions asked for; None for those that follow from the values."""
    shape = g.static(node, 0, "the shape").reshape(-1)
    if len(shape) != rank:
        return [None] * rank
    return [int(d) if d >= 0 else None for d in shape]


def _values_below(
    g: Emitter, parts: Sequence[relax.Expr], kinds: Sequence[str], values: relax.Expr, level: int
) -> Dim:
    """How many values the rows of a level hold."""
    own = kinds[len(kinds) - len(parts) + level]
    if own == "VALUE_ROWIDS":
        return g.shape(parts[level])[0]
    if level + 1 == len(parts):
        return g.shape(values)[0]
    below = g.shape(parts[level + 1])[0]
    if kinds[len(kinds) - len(parts) + level + 1] == "ROW_SPLITS":
        return below - 1
    raise ValueError("row numbers below splits do not tell how many rows there are")


def _upper_rows(g: Emitter, rows: Dim, kept: Dim) -> relax.Expr:
    """The position of each row of the first level in the result; -1 where it is cut off."""

    def body(out: Any) -> None:
        with T.serial(0, rows) as r:
            out[r] = tirx.Select(wide(r) < wide(kept), wide(r), wide(tirx.const(-1, "int64")))

    return loop_kernel(g, "upper_rows", [], [([rows], "int64")], body, [kept])[0]


def _placed(
    g: Emitter, parent: relax.Expr, row: relax.Expr, at: relax.Expr, size: Dim
) -> relax.Expr:
    """The position of each value in the result, from its row's; -1 where it is cut off."""
    (count,) = g.shape(row)

    def body(above: Any, r: Any, k: Any, out: Any) -> None:
        with T.serial(0, count) as i:
            out[i] = tirx.const(-1, "int64")
            with T.If(tirx.all(k[i] < size, r[i] >= 0)), T.Then(), T.If(above[r[i]] >= 0), T.Then():
                out[i] = above[r[i]] * size + k[i]

    return loop_kernel(g, "placed", [parent, row, at], [([count], "int64")], body, [size])[0]


def _scattered(
    g: Emitter, values: relax.Expr, default: relax.Expr, place: relax.Expr, dims: Sequence[Dim]
) -> relax.Expr:
    """Values at their positions, the default elsewhere."""
    count, *inner = g.shape(values)
    each, own = product(inner), product(g.shape(default))

    def body(v: Any, other: Any, at: Any, out: Any) -> None:
        with T.serial(0, product(dims)) as i:
            out[i] = other[tirx.floormod(wide(i), wide(own))]
        with T.serial(0, count) as i, T.If(at[i] >= 0), T.Then(), T.serial(0, each) as j:
            out[at[i] * each + j] = v[wide(i) * each + j]

    tensors = [values, default, place]
    return loop_kernel(g, "ragged_to_dense", tensors, [(dims, g.dtype(values))], body)[0]
