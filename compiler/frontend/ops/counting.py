"""How often values appear in the rows of sparse and ragged tensors, and counts as sparse tensors.

Rows are told by their splits, also those of dense and of sparse tensors, whose elements are in
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable

COUNTING = OpTable()


def _zero() -> Any:
    return tirx.const(0, "int64")


def _sparse_splits(g: Emitter, node: Node, indices: relax.Expr, shape: int) -> relax.Expr:
    """Where the elements of each row of a sparse tensor begin; a vector is one row."""
    dims, (count, rank) = g.dims(node, shape), g.shape(indices)
    rows = dims[0] if len(dims) > 1 else 1

    def body(at: Any, out: Any) -> None:
        with T.serial(0, rows + 1) as r:
            out[r] = _zero() if rank == 2 else wide(r) * count
        if rank == 2:
            with T.serial(0, count) as i:
                out[at[i * rank] + 1] = out[at[i * rank] + 1] + 1
            with T.serial(0, rows) as r:
                out[r + 1] = out[r + 1] + out[r]

    return loop_kernel(g, "row_splits", [indices], [([rows + 1], "int64")], body, [rows])[0]


def _dense_splits(g: Emitter, values: relax.Expr) -> relax.Expr:
    """Splits of the rows of a matrix, or of a vector as one row."""
    dims = g.shape(values)
    rows, length = (1, dims[0]) if len(dims) == 1 else (dims[0], dims[1])

    def body(out: Any) -> None:
        with T.serial(0, rows + 1) as r:
            out[r] = wide(r) * length

    return loop_kernel(g, "row_splits", [], [([rows + 1], "int64")], body, [length])[0]


def _weighted(g: Emitter, weights: relax.Expr) -> bool:
    return 0 not in g.shape(weights)


@COUNTING.op("SparseBincount", "RaggedBincount")
def bincount(g: Emitter, node: Node) -> relax.Expr:
    """How often each value in [0, size) appears in a row; with weights, their sums.

    Source: tensorflow/core/kernels/bincount_op.cc.
    """
    sparse = node.op == "SparseBincount"
    values, weights = g.arg(node, 1), g.arg(node, 3 + sparse)
    splits = _sparse_splits(g, node, g.arg(node, 0), 2) if sparse else g.arg(node, 0)
    (bins,), dtype = g.dims(node, 2 + sparse), g.dtype(weights)
    binary, weighted = bool(node.attr("binary_output", False)), _weighted(g, weights)
    rows = g.shape(splits)[0] - 1
    vector = sparse and len(g.dims(node, 2)) == 1
    shape = [bins] if vector else [rows, bins]

    def body(ends: Any, v: Any, w: Any, out: Any) -> None:
        with T.serial(0, product(shape)) as i:
            out[i] = tirx.const(0, dtype)
        with T.serial(0, rows) as r, T.serial(0, wide(ends[r + 1]) - wide(ends[r])) as k:
            i = wide(ends[r]) + wide(k)
            at = wide(v[i])
            with T.If(tirx.all(at >= 0, at < bins)), T.Then():
                one = tirx.const(1, dtype)
                step = w[i] if weighted and not binary else one
                place = wide(r) * bins + at
                out[place] = one if binary else out[place] + step

    tensors = [splits, values, weights]
    return loop_kernel(g, "bincount_rows", tensors, [(shape, dtype)], body)[0]


@COUNTING.op("DenseCountSparseOutput")
def dense_count(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Source: tensorflow/core/kernels/count_ops.cc."""
    values, weights = g.args(node)
    return _counts(g, node, (_dense_splits(g, values), values, weights), g.rank(values))


@COUNTING.op("SparseCountSparseOutput")
def sparse_count(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    values, weights = g.arg(node, 1), g.arg(node, 3)
    splits = _sparse_splits(g, node, g.arg(node, 0), 2)
    return _counts(g, node, (splits, values, weights), len(g.dims(node, 2)))


@COUNTING.op("RaggedCountSparseOutput")
def ragged_count(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    splits, values, weights = g.args(node)
    return _counts(g, node, (splits, values, weights), 2)


def _counts(
    g: Emitter, node: Node, tensors: tuple[relax.Expr, relax.Expr, relax.Expr], rank: int
) -> Sequence[relax.Expr]:
    """The values of each row once each, in order, with their counts: a sparse tensor.

    Its last dimension is maxlength, or without it the largest value and 1, at least minlength.
    Source: tensorflow/core/kernels/count_ops.cc, GetOutputSize.
    """
    splits, values, weights = tensors
    limit = int(node.attr("maxlength", -1))
    size = limit if limit > 0 else max(int(node.attr("minlength", -1)), 0)
    binary, dtype = bool(node.attr("binary_output", False)), g.dtype(weights)
    weighted = _weighted(g, weights) and not binary
    rows, most = g.shape(splits)[0] - 1, product(g.shape(values))
    one = tirx.const(1, dtype)

    def body(ends: Any, v: Any, w: Any, *outs: Any) -> None:
        at, out, shape, n, s = outs
        n[0], shape[0] = _zero(), wide(rows)
        shape[rank - 1] = wide(size)
        with T.serial(0, rows) as r:
            first, length = wide(ends[r]), wide(ends[r + 1]) - wide(ends[r])
            s[0] = wide(-1)
            with T.serial(0, length):
                _next_value(v, first, length, limit, s)
                with T.If(s[1] >= 0), T.Then():
                    out[n[0]] = tirx.const(0, dtype)
                    with T.serial(0, length) as k, T.If(wide(v[first + k]) == s[1]), T.Then():
                        step = w[first + k] if weighted else one
                        out[n[0]] = one if binary else out[n[0]] + step
                    at[n[0] * rank] = wide(r)
                    at[n[0] * rank + rank - 1] = s[1]
                    if limit <= 0:
                        shape[rank - 1] = tirx.max(shape[rank - 1], s[1] + 1)
                    s[0], n[0] = s[1], n[0] + 1

    outputs = [([most, rank], "int64"), ([most], dtype), ((rank,), "int64"), ((1,), "int64"),
               ((2,), "int64")]  # fmt: skip
    made = loop_kernel(g, "counts", list(tensors), outputs, body)
    return [*first_rows(g, node, made[:2], made[3]), made[2]]


def _next_value(v: Any, first: Any, length: Any, limit: int, s: Any) -> None:
    """s[1]: the least value of a row above s[0] and below the limit; -1 where there is none."""
    s[1] = wide(-1)
    with T.serial(0, length) as k:
        value = wide(v[first + k])
        fits = value < limit if limit >= 0 else tirx.const(True, "bool")
        nearer = tirx.any(s[1] < 0, value < s[1])
        with T.If(tirx.all(value > s[0], fits, nearer)), T.Then():
            s[1] = value
