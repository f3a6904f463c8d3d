"""Ragged tensors to variants and back, as loops over the rows of a ragged tensor have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.variants import Layout, from_word, put_element, zero

RAGGED_VARIANT = OpTable()


@RAGGED_VARIANT.op("RaggedTensorToVariant")
def to_variant(g: Emitter, node: Node) -> relax.Expr:
    """A ragged tensor as one variant, or each of its rows as a variant of its own.

    Source: tensorflow/core/kernels/ragged_tensor_to_variant_op.cc.
    """
    *splits, values = g.args(node)
    batched = bool(node.attr("batched_input", False))
    dims = g.shape(values)
    if batched and not splits:
        return _dense_rows(g, node, values)
    if not dims:
        raise BadNode(node, "values without an axis to be ragged along")
    if batched:
        return _ragged_rows(g, node, splits, values)
    lengths = [g.shape(s)[0] for s in splits]
    length = 1 + dims[0] + sum(n + 1 for n in lengths)
    layout = Layout((), length, tuple(dims[1:]))
    each = product(dims[1:])

    def body(*buffers: Any) -> None:
        out, s = buffers[-2:]
        _clear(out, layout)
        levels = [(b, 0, wide(n), zero()) for b, n in zip(buffers, lengths, strict=False)]
        data = (buffers[len(splits)], 0, wide(dims[0]), each, layout.depth)
        put_element(out, 0, layout.row, levels, data, s)

    outputs = [(layout.shape, "int64"), ((1,), "int64")]
    return loop_kernel(g, "to_variant", [*splits, values], outputs, body)[0]


def _clear(out: Any, layout: Layout) -> None:
    with T.serial(0, product(layout.shape)) as i:
        out[i] = zero()


def _dense_rows(g: Emitter, node: Node, values: relax.Expr) -> relax.Expr:
    """The rows of a dense tensor as variants without splits."""
    dims = g.shape(values)
    if len(dims) < 2:
        raise BadNode(node, "variants that hold scalars")
    layout = Layout((dims[0],), 1 + dims[1], tuple(dims[2:]))
    each = product(dims[2:])

    def body(data: Any, out: Any, s: Any) -> None:
        _clear(out, layout)
        with T.serial(0, dims[0]) as i:
            rows = (data, wide(i) * dims[1], wide(dims[1]), each, layout.depth)
            put_element(out, layout.at(i, 0), layout.row, [], rows, s)

    outputs = [(layout.shape, "int64"), ((1,), "int64")]
    return loop_kernel(g, "to_variant", [values], outputs, body)[0]


def _ragged_rows(
    g: Emitter, node: Node, splits: Sequence[relax.Expr], values: relax.Expr
) -> relax.Expr:
    """The rows of a ragged tensor as variants, each with one level less."""
    count, inner = g.shape(splits[0])[0] - 1, tuple(g.shape(values)[1:])

    def longest(*buffers: Any) -> None:
        out, s = buffers[-2:]
        out[0] = tirx.const(1, "int64")
        with T.serial(0, count) as i:
            spans = _spans(buffers[: len(splits)], i, s)
            rows = [last - first for first, last in spans]
            out[0] = tirx.max(out[0], 1 + rows[-1] + sum(n + 2 for n in rows[:-1]))

    scratch = ((2 * len(splits),), "int64")
    size = loop_kernel(g, "longest_row", splits, [((1,), "int64"), scratch], longest)[0]
    layout = Layout((count,), g.measured(node, size)[0], inner)
    each = product(inner)

    def body(*buffers: Any) -> None:
        out, s, spot = buffers[-3:]
        _clear(out, layout)
        with T.serial(0, count) as i:
            *upper, (first, last) = _spans(buffers[: len(splits)], i, s)
            levels = [
                (b, lo, hi - lo + 1, wide(b[lo]))
                for b, (lo, hi) in zip(buffers[1:], upper, strict=False)
            ]
            data = (buffers[len(splits)], first, last - first, each, layout.depth)
            put_element(out, layout.at(i, 0), layout.row, levels, data, spot)

    outputs = [(layout.shape, "int64"), scratch, ((1,), "int64")]
    return loop_kernel(g, "to_variant", [*splits, values], outputs, body, [layout.length])[0]


def _spans(splits: Sequence[Any], row: Any, s: Any) -> list[tuple[Any, Any]]:
    """Where what row `row` holds begins and ends in each level below it; kept in s."""
    first, last = wide(row), wide(row) + 1
    for level, buffer in enumerate(splits):
        s[2 * level], s[2 * level + 1] = wide(buffer[first]), wide(buffer[last])
        first, last = s[2 * level], s[2 * level + 1]
    return [(s[2 * level], s[2 * level + 1]) for level in range(len(splits))]


@RAGGED_VARIANT.op("RaggedTensorFromVariant")
def from_variant(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """The splits of each level and the values: of one variant, or of a batch as rows.

    Source: tensorflow/core/kernels/ragged_tensor_from_variant_op.cc.
    """
    encoded = g.arg(node, 0)
    layout = Layout.of(g, node, encoded)
    rank = int(node.attr("output_ragged_rank", 0))
    levels = rank - len(layout.batch)
    if levels < 0 or int(node.attr("input_ragged_rank", -1)) not in (-1, levels):
        raise BadNode(node, f"{rank} levels of rows from {len(layout.batch)} axes of variants")
    sizes = _sizes(g, node, encoded, layout, levels)
    dtypes = (str(node.attr("Tsplits", "int64")), str(node.attr("Tvalues")))
    shapes = [*([n] for n in sizes[:-1]), [sizes[-1], *layout.inner]]
    own = [dtypes[0]] * len(sizes[:-1]) + [dtypes[1]]
    if layout.batch:
        shapes, own = [[product(layout.batch) + 1], *shapes], [dtypes[0], *own]

    def body(x: Any, *outs: Any) -> None:
        _take_elements(x, outs[:-1], outs[-1], layout, levels)

    outputs = [*zip(shapes, own, strict=True), ((3 + levels,), "int64")]
    made = loop_kernel(g, "from_variant", [encoded], outputs, body, sizes)[:-1]
    return [*_outer_splits(g, layout.batch, dtypes[0]), *made]


def _outer_splits(g: Emitter, batch: Sequence[Dim], dtype: str) -> list[relax.Expr]:
    """The splits of the axes of a batch but the last: rows of one length."""

    def even(rows: Dim, length: Dim) -> relax.Expr:
        def body(out: Any) -> None:
            with T.serial(0, rows + 1) as r:
                out[r] = tirx.Cast(dtype, wide(r) * length)

        return loop_kernel(g, "even_splits", [], [([rows + 1], dtype)], body, [length])[0]

    return [even(batch[i], batch[i + 1]) for i in range(len(batch) - 1)]


def _sizes(g: Emitter, node: Node, encoded: relax.Expr, layout: Layout, levels: int) -> list[Dim]:
    """How many splits each level has in all, and how many values there are."""
    count = product(layout.batch)

    def body(x: Any, out: Any, s: Any) -> None:
        for k in range(levels):
            out[k] = tirx.const(1 if layout.batch else 0, "int64")
        out[levels] = zero()
        with T.serial(0, count) as i:
            s[0] = tirx.const(1, "int64")
            for k in range(levels):
                number = x[layout.at(i, s[0])]
                # splits of the elements share their first one, 0
                out[k] = out[k] + number - (1 if layout.batch else 0)
                s[0] = s[0] + 1 + number
            out[levels] = out[levels] + x[layout.at(i, 0)]

    outputs = [((levels + 1,), "int64"), ((1,), "int64")]
    return g.measured(node, loop_kernel(g, "variant_sizes", [encoded], outputs, body)[0])


def _take_elements(x: Any, outs: Sequence[Any], s: Any, layout: Layout, levels: int) -> None:
    """Emit the splits and values of all elements, one behind the other.

    s[0]: the next row of an element; s[1]: values so far; s[2]: rows so far; s[3 + k]: splits of
    level k so far.
    """
    batched = bool(layout.batch)
    *splits, values = outs
    each = product(layout.inner)
    for k in range(3 + levels):
        s[k] = zero()
    if batched:
        for buffer in splits:
            buffer[0] = tirx.const(0, buffer.dtype)
    own = splits[1:] if batched else splits
    with T.serial(0, product(layout.batch)) as i:
        s[0] = tirx.const(1, "int64")
        for k, buffer in enumerate(own):
            _take_splits(x, buffer, s, layout, (i, k, batched))
        with T.serial(0, x[layout.at(i, 0)]) as r, T.serial(0, each) as j:
            word = x[layout.at(i, s[0] + r) + j * layout.depth]
            values[(s[1] + r) * each + j] = from_word(word, values.dtype)
        s[1] = s[1] + x[layout.at(i, 0)]
        if batched:
            rows = x[layout.at(i, 1)] - 1 if levels else x[layout.at(i, 0)]
            s[2] = s[2] + rows
            splits[0][i + 1] = tirx.Cast(splits[0].dtype, s[2])


def _take_splits(x: Any, buffer: Any, s: Any, layout: Layout, which: tuple[Any, int, bool]) -> None:
    """Emit the splits of one level of one element, behind those of the elements before."""
    i, k, batched = which
    number = x[layout.at(i, s[0])]
    if not batched:
        with T.serial(0, number) as j:
            buffer[j] = tirx.Cast(buffer.dtype, x[layout.at(i, s[0] + 1 + j)])
    else:
        with T.serial(0, number - 1) as j:
            buffer[s[3 + k] + 1 + j] = buffer[s[3 + k]] + tirx.Cast(
                buffer.dtype, x[layout.at(i, s[0] + 2 + j)]
            )
        s[3 + k] = s[3 + k] + number - 1
    s[0] = s[0] + 1 + number
