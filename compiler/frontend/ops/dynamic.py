"""Ops whose result is as long as the values say: a full-size buffer, a count, then a cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable

DYNAMIC = OpTable()

R = relax.op


def _is_set(value: Any, dtype: str) -> Any:
    return value if dtype == "bool" else value != tirx.const(0, dtype)


@DYNAMIC.op("Where", fold=lambda node, x: np.argwhere(x).astype(np.int64))
def where(g: Emitter, node: Node) -> relax.Expr:
    """Coordinates of the elements that are not 0, in row-major order: (count, rank) int64."""
    x = g.arg(node, 0)
    dims, dtype = g.shape(x), g.dtype(x)
    rank = len(dims)

    def body(t: Any, out: Any, count: Any) -> None:
        count[0] = tirx.const(0, "int64")
        with T.serial(0, product(dims)) as i, T.If(_is_set(t[i], dtype)), T.Then():
            rest = wide(i)
            for axis in reversed(range(rank)):
                out[count[0] * rank + axis] = tirx.floormod(rest, dims[axis])
                rest = tirx.floordiv(rest, dims[axis])
            count[0] = count[0] + 1

    outputs = [((product(dims), rank), "int64"), ((1,), "int64")]
    full, count = loop_kernel(g, "where", [x], outputs, body)
    return first_rows(g, node, [full], count)[0]


@DYNAMIC.op("Unique", "UniqueV2", "UniqueWithCounts", "UniqueWithCountsV2")
def unique(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Distinct values by first appearance, each element's position among them, their counts.

    Each element is looked up among the values found so far: cheap where there are few.
    """
    x = g.arg(node, 0)
    if g.rank(x) != 1 and node.op.endswith("V2") and g.static(node, 1, "the axis").size:
        raise BadNode(node, "unique slices along an axis are not supported, only unique values")
    (size,) = g.shape(x)
    dtype = node.attr("out_idx", "int32")
    one, zero = tirx.const(1, dtype), tirx.const(0, dtype)

    def body(t: Any, values: Any, position: Any, counts: Any, found: Any) -> None:
        found[0] = tirx.const(0, "int64")
        with T.serial(0, size) as i:
            position[i] = -one
            with T.serial(0, found[0]) as k, T.If(values[k] == t[i]), T.Then():
                position[i] = tirx.Cast(dtype, k)
            with T.If(position[i] < zero):
                with T.Then():
                    position[i] = tirx.Cast(dtype, found[0])
                    values[found[0]] = t[i]
                    counts[found[0]] = one
                    found[0] = found[0] + 1
                with T.Else():
                    counts[wide(position[i])] = counts[wide(position[i])] + one

    outputs = [((size,), g.dtype(x)), ((size,), dtype), ((size,), dtype), ((1,), "int64")]
    values, position, counts, found = loop_kernel(g, "unique", [x], outputs, body)
    kept, times = first_rows(g, node, [values, counts], found)
    return [kept, position, times] if "Counts" in node.op else [kept, position]


def _fold_list_diff(node: Node, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    kept = ~np.isin(x, y)
    return [x[kept], np.flatnonzero(kept).astype(node.attr("out_idx", "int32"))]


@DYNAMIC.op("ListDiff", fold=_fold_list_diff)
def list_diff(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """The elements of x that are not in y, and their positions."""
    x, y = g.args(node)
    (n,), (m,) = g.shape(x), g.shape(y)
    dtype = node.attr("out_idx", "int32")

    def body(a: Any, b: Any, values: Any, index: Any, count: Any, seen: Any) -> None:
        count[0] = tirx.const(0, "int64")
        with T.serial(0, n) as i:
            seen[0] = tirx.const(0, "int32")
            with T.serial(0, m) as k, T.If(b[k] == a[i]), T.Then():
                seen[0] = tirx.const(1, "int32")
            with T.If(seen[0] == 0), T.Then():
                values[count[0]] = a[i]
                index[count[0]] = tirx.Cast(dtype, i)
                count[0] = count[0] + 1

    outputs = [((n,), g.dtype(x)), ((n,), dtype), ((1,), "int64"), ((1,), "int32")]
    values, index, count, _ = loop_kernel(g, "list_diff", [x, y], outputs, body)
    return first_rows(g, node, [values, index], count)


@DYNAMIC.op("DynamicPartition")
def dynamic_partition(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Rows of the data by the number of their partition, in order."""
    x, partitions = g.args(node)
    lead = g.rank(partitions)
    dims = g.shape(x)
    rows, inner = product(dims[:lead]), product(dims[lead:])
    shape = [rows, *dims[lead:]]
    return [
        _partition(g, node, (x, partitions), number, (rows, inner, shape))
        for number in range(int(node.attr("num_partitions", 1)))
    ]


def _partition(
    g: Emitter, node: Node, tensors: Sequence[Any], number: int, form: tuple[Any, Any, Any]
) -> relax.Expr:
    rows, inner, shape = form

    def body(t: Any, which: Any, out: Any, count: Any) -> None:
        count[0] = tirx.const(0, "int64")
        with T.serial(0, rows) as i, T.If(which[i] == number), T.Then():
            with T.serial(0, inner) as j:
                out[count[0] * inner + j] = t[i * inner + j]
            count[0] = count[0] + 1

    outputs = [(shape, g.dtype(tensors[0])), ((1,), "int64")]
    full, count = loop_kernel(g, "partition", tensors, outputs, body)
    return first_rows(g, node, [full], count)[0]


@DYNAMIC.op("DynamicStitch", "ParallelDynamicStitch")
def dynamic_stitch(g: Emitter, node: Node) -> relax.Expr:
    """Rows put where the indices say; among equal indices the last one holds.

    The result has max(index) + 1 rows; a row that no index names is 0.
    """
    half = len(node.inputs) // 2
    tensors = g.args(node)
    indices, data = tensors[:half], tensors[half:]
    dims = g.shape(data[0])[g.rank(indices[0]) :]
    inner = product(dims)
    counts = [product(g.shape(i)) for i in indices]
    rows = _stitched_rows(g, node, indices)

    def body(*buffers: Any) -> None:
        *given, out = buffers
        with T.serial(0, product([rows, *dims])) as i:
            out[i] = tirx.const(0, g.dtype(data[0]))
        for at, values, count in zip(given[:half], given[half:], counts, strict=True):
            with T.serial(0, count) as i, T.serial(0, inner) as j:
                out[wide(at[i]) * inner + j] = values[i * inner + j]

    outputs = [([rows, *dims], g.dtype(data[0]))]
    return loop_kernel(g, "dynamic_stitch", tensors, outputs, body)[0]


def _stitched_rows(g: Emitter, node: Node, indices: Sequence[relax.Expr]) -> Dim:
    numbers = [g.known(node, i) for i in range(len(indices))]
    if all(n is not None for n in numbers):
        return max((int(n.max()) for n in numbers if n is not None and n.size), default=-1) + 1
    flat = [g.emit(g.reshape(i, [product(g.shape(i))])) for i in indices]
    last = R.max(R.concat(flat, axis=0) if len(flat) > 1 else flat[0])
    return g.measured(node, g.emit(R.add(g.emit(last), g.const(1, "int32"))))[0]
