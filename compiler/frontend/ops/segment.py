"""Sums, means and extremes of rows by segment number, and counts by value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable

SEGMENT = OpTable()

R = relax.op

# how an element joins those before it, and what a segment without elements has
Join = tuple[Callable[[Any, Any], Any], Callable[[str], Any]]


def _zero(dtype: str) -> Any:
    return tirx.const(0, dtype)


def _one(dtype: str) -> Any:
    return tirx.const(1, dtype)


_ADD: Join = (lambda a, b: a + b, _zero)
_MUL: Join = (lambda a, b: a * b, _one)
_SORTED: dict[str, Join] = {
    "SegmentSum": _ADD,
    "SegmentMean": _ADD,
    "SegmentProd": _MUL,
    "SegmentMax": (tirx.max, _zero),
    "SegmentMin": (tirx.min, _zero),
    "SegmentSumV2": _ADD,
    "SegmentProdV2": _MUL,
    "SegmentMaxV2": (tirx.max, tirx.min_value),
    "SegmentMinV2": (tirx.min, tirx.max_value),
    "UnsortedSegmentSum": _ADD,
    "UnsortedSegmentProd": _MUL,
    "UnsortedSegmentMax": (tirx.max, tirx.min_value),
    "UnsortedSegmentMin": (tirx.min, tirx.max_value),
}
_SPARSE = {
    f"SparseSegment{how}{which}": how
    for how in ("Sum", "Mean", "SqrtN")
    for which in ("", "WithNumSegments")
}


def last_segment(g: Emitter, node: Node, index: int) -> Dim:
    """The number of segments that sorted ids name: the last id + 1; 0 for no ids."""
    ids = g.arg(node, index)
    known = g.known(node, index)
    if known is not None:
        return int(known[-1]) + 1 if known.size else 0
    top = g.emit(R.max(ids))
    return g.measured(node, g.emit(R.add(top, g.const(1, g.dtype(ids)))))[0]


def _scale(g: Emitter, how: str, total: relax.Expr, count: relax.Expr) -> relax.Expr:
    """The sums divided by the number of rows in each, or by its square root."""
    dtype = g.dtype(total)
    rest = [1] * (g.rank(total) - 1)
    number = R.astype(R.maximum(count, g.const(1, "int32")), dtype)
    number = g.reshape(g.emit(number), [*g.shape(count), *rest])
    return R.divide(total, R.sqrt(number) if how == "SqrtN" else number)


def _reduced(
    g: Emitter,
    tensors: Sequence[relax.Expr],
    join: Join,
    segments: Dim,
    row_of: Callable[[Any, Any], Any],
) -> tuple[relax.Expr, relax.Expr]:
    """(segments, …) and how many rows each segment has. tensors: data, ids, and perhaps more.

    row_of(i, buffers): the row of the data that id i speaks of.
    """
    data, ids = tensors[:2]
    lead = g.rank(ids) if len(tensors) == 2 else 1
    dims = g.shape(data)[lead:]
    inner, count, dtype = product(dims), product(g.shape(ids)), g.dtype(data)
    join_two, neutral = join

    def body(*buffers: Any) -> None:
        t, at, out, sizes = buffers[0], buffers[1], buffers[-2], buffers[-1]
        with T.serial(0, segments) as s:
            sizes[s] = tirx.const(0, "int32")
            with T.serial(0, inner) as j:
                out[s * inner + j] = neutral(dtype)
        with T.serial(0, count) as i:
            s = wide(at[i])
            with T.If(tirx.all(s >= 0, s < segments)), T.Then():
                with T.serial(0, inner) as j:
                    value = t[row_of(i, buffers) * inner + j]
                    joined = join_two(out[s * inner + j], value)
                    out[s * inner + j] = tirx.Select(sizes[s] == 0, value, joined)
                sizes[s] = sizes[s] + 1

    outputs = [([segments, *dims], dtype), ([segments], "int32")]
    total, sizes = loop_kernel(g, "segments", tensors, outputs, body)
    return total, sizes


def _limited(neutral: Callable[[str], Any]) -> Callable[[str], Any]:
    """The value of empty segments, at most the largest finite bfloat16."""
    largest = float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)

    def limited(dtype: str) -> Any:
        value = float(neutral(dtype).value)
        return tirx.const(min(max(value, -largest), largest), dtype)

    return limited


@SEGMENT.op(*_SORTED)
def segment(g: Emitter, node: Node) -> relax.Expr:
    """Rows joined by segment number; a number that is negative or too large is left out.

    Source of the values for empty segments: tensorflow/core/kernels/segment_reduction_ops_impl.h.
    """
    data, ids = g.arg(node, 0), g.arg(node, 1)
    given = len(node.inputs) > 2
    segments = g.dims(node, 2)[0] if given else last_segment(g, node, 1)
    join = _SORTED[node.op]
    if g.input_dtype(node, 0) == "bfloat16":  # read as float32, whose limits are no bfloat16
        join = join[0], _limited(join[1])
    total, sizes = _reduced(g, [data, ids], join, segments, lambda i, _: i)
    return _scale(g, "Mean", total, sizes) if node.op == "SegmentMean" else total


@SEGMENT.op(*_SPARSE)
def sparse_segment(g: Emitter, node: Node) -> relax.Expr:
    """As segment, of rows picked by an index each."""
    data, indices, ids = (g.arg(node, i) for i in range(3))
    given = len(node.inputs) > 3
    segments = g.dims(node, 3)[0] if given else last_segment(g, node, 2)
    tensors = [data, ids, indices]
    total, sizes = _reduced(g, tensors, _ADD, segments, lambda i, b: wide(b[2][i]))
    how = _SPARSE[node.op]
    return total if how == "Sum" else _scale(g, how, total, sizes)


@SEGMENT.op("Bincount", "DenseBincount")
def bincount(g: Emitter, node: Node) -> relax.Expr:
    """How often each value in [0, size) appears in a vector or in each row of a matrix.

    With weights, their sums; with binary_output, whether it appears at all.
    """
    x, weights = g.arg(node, 0), g.arg(node, 2)
    (size,) = g.dims(node, 1)
    dtype = g.dtype(weights)
    weighted = g.empty(weights) is None and g.shape(weights) != [0]
    dims = g.shape(x)
    rows, columns = (1, product(dims)) if len(dims) < 2 or node.op == "Bincount" else dims
    binary = bool(node.attr("binary_output", False))

    def body(t: Any, w: Any, out: Any) -> None:
        with T.serial(0, product([rows, size])) as i:
            out[i] = tirx.const(0, dtype)
        with T.serial(0, rows) as r, T.serial(0, columns) as c:
            at = wide(t[r * columns + c])
            with T.If(tirx.all(at >= 0, at < size)), T.Then():
                step = w[r * columns + c] if weighted and not binary else _one(dtype)
                out[r * size + at] = step if binary else out[r * size + at] + step

    shape = [size] if len(dims) < 2 or node.op == "Bincount" else [rows, size]
    return loop_kernel(g, "bincount", [x, weights], [(shape, dtype)], body)[0]
