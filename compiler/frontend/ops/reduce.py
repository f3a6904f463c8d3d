"""Reductions over axes, positions of extremes, and running sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.axes import Lane, axis_at
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.math import is_integer
from dlcc.compiler.frontend.ops.reduce_open import axes_are_computed, reduce_computed
from dlcc.compiler.frontend.ops.slice import cut
from dlcc.compiler.frontend.ops.table import OpTable

REDUCE = OpTable()

R = relax.op


def reduce_axes(g: Emitter, node: Node, rank: int) -> list[int]:
    """Input 1 as axes from 0, sorted; no axes given by an empty vector means no reduction."""
    axes = g.static(node, 1, "the axes").reshape(-1)
    return sorted({int(a) % rank for a in axes}) if rank else []


def keeps(node: Node) -> bool:
    """Whether reduced axes stay, with one element."""
    return bool(node.attr("keep_dims", node.attr("keepdims", False)))


def _fold(f: Callable[..., Any]) -> Callable[..., Any]:
    def fold(node: Node, x: np.ndarray, axes: np.ndarray) -> Any:
        where = tuple(int(a) for a in axes.reshape(-1))
        if x.dtype == object:
            return np.asarray(f(x, axis=where, keepdims=keeps(node)), object)
        return f(x, axis=where, keepdims=keeps(node)).astype(x.dtype)

    return fold


_SIMPLE: dict[str, tuple[Callable[..., relax.Expr], Callable[..., Any], bool]] = {
    "Sum": (R.sum, np.sum, True),
    "Prod": (R.prod, np.prod, True),
}


def _simple(name: str, call: Callable[..., relax.Expr], fold: Any, symbolic: bool) -> None:
    def convert(g: Emitter, node: Node) -> relax.Expr:
        if axes_are_computed(g, node):
            return reduce_computed(g, node)
        x = g.arg(node, 0)
        axes = reduce_axes(g, node, g.rank(x))
        return call(x, axes, keeps(node)) if axes else x

    convert.__name__ = name.lower()
    REDUCE.op(name, fold=_fold(fold), symbolic=symbolic)(convert)


for _name, _calls in _SIMPLE.items():
    _simple(_name, *_calls)


def _fold_mean(node: Node, x: np.ndarray, axes: np.ndarray) -> Any:
    if x.dtype.kind not in "f" or x.size == 0:
        return None
    return _fold(np.mean)(node, x, axes)


@REDUCE.op("Mean", fold=_fold_mean)
def mean(g: Emitter, node: Node) -> relax.Expr:
    """Integers are summed in 64 bits and divided toward zero."""
    if axes_are_computed(g, node):
        return reduce_computed(g, node)
    x = g.arg(node, 0)
    axes = reduce_axes(g, node, g.rank(x))
    if not axes:
        return x
    dtype, dims = g.dtype(x), g.shape(x)
    if not is_integer(dtype) and 0 in [dims[a] for a in axes]:
        return R.add(R.sum(x, axes, keeps(node)), g.const(np.nan, dtype))
    if not is_integer(dtype):
        return R.mean(x, axes, keeps(node))
    dims = g.static_shape(node, x)
    count = max(int(np.prod([dims[a] for a in axes])), 1)
    wide = "uint64" if dtype == "uint64" else "int64"
    total = g.emit(R.sum(R.astype(x, wide), axes, keeps(node)))

    def divided(t: te.Tensor) -> te.Tensor:
        n = tirx.const(count, wide)
        quotient = te.compute(t.shape, lambda *i: tirx.truncdiv(t[i], n), name="quotient")
        return te.compute(t.shape, lambda *i: tirx.Cast(dtype, quotient[i]), name="mean")

    return g.te(divided, total, name="mean")


def _logical(name: str, call: Callable[..., relax.Expr]) -> None:
    """All and Any: the minimum and maximum of bytes that are 0 or 1."""

    def convert(g: Emitter, node: Node) -> relax.Expr:
        if axes_are_computed(g, node):
            return reduce_computed(g, node)
        x = g.arg(node, 0)
        axes = reduce_axes(g, node, g.rank(x))
        if not axes:
            return x
        return R.astype(call(R.astype(x, "int8"), axes, keeps(node)), "bool")

    convert.__name__ = name.lower()
    numpy = np.all if name == "All" else np.any
    REDUCE.op(name, fold=_fold(numpy))(convert)


_logical("All", R.min)
_logical("Any", R.max)


@REDUCE.op("EuclideanNorm")
def euclidean_norm(g: Emitter, node: Node) -> relax.Expr:
    if axes_are_computed(g, node):
        return reduce_computed(g, node)
    x = g.arg(node, 0)
    axes = reduce_axes(g, node, g.rank(x))
    if not axes:
        return R.abs(x)
    total = g.emit(R.sum(R.multiply(x, x), axes, keeps(node)))
    if not is_integer(g.dtype(x)):
        return R.sqrt(total)
    return R.astype(R.sqrt(R.astype(total, "float64")), g.dtype(x))


@REDUCE.op("Cumsum", "Cumprod")
def cumulative(g: Emitter, node: Node) -> relax.Expr:
    """Running sum or product along an axis, in one pass, with `exclusive` and `reverse`."""
    x = g.arg(node, 0)
    lane = Lane.of(g, x, axis_at(g, node, 1, g.rank(x)))
    x, axis = lane.x, lane.axis
    reverse, exclusive = bool(node.attr("reverse")), bool(node.attr("exclusive"))
    if reverse:
        x = g.emit(R.flip(x, axis))
    call, neutral = (R.cumsum, 0) if node.op == "Cumsum" else (R.cumprod, 1)
    total = g.emit(call(x, axis, g.dtype(x)))
    if exclusive:
        total = g.emit(_shifted(g, total, axis, neutral))
    return lane.back(g, R.flip(total, axis) if reverse else total, [lane.extent])


@REDUCE.op("CumulativeLogsumexp")
def cumulative_log_sum_exp(g: Emitter, node: Node) -> relax.Expr:
    """log of the running sum of exp."""
    x = g.arg(node, 0)
    lane = Lane.of(g, x, axis_at(g, node, 1, g.rank(x)))
    reverse, exclusive = bool(node.attr("reverse")), bool(node.attr("exclusive"))
    dims, dtype = g.shape(lane.x), g.dtype(x)
    extent, inner = dims[lane.axis], product(dims[lane.axis + 1 :])

    def body(t: Any, out: Any, last: Any) -> None:
        with T.serial(0, product(dims[: lane.axis])) as o, T.serial(0, inner) as i:
            last[0] = tirx.const(-np.inf, dtype)
            with T.serial(0, extent) as k:
                at = (o * extent + (extent - 1 - k if reverse else k)) * inner + i
                last[1] = _log_add(last[0], t[at])
                out[at] = last[0] if exclusive else last[1]
                last[0] = last[1]

    made = loop_kernel(g, "log_sum_exp", [lane.x], [(dims, dtype), ((2,), dtype)], body)[0]
    return lane.back(g, made, [lane.extent])


def _log_add(a: Any, b: Any) -> Any:
    """log(exp a + exp b)."""
    high, low = tirx.Select(a < b, b, a), tirx.Select(a < b, a, b)
    nothing = high == tirx.const(-np.inf, high.ty.dtype)
    return tirx.Select(nothing, high, high + tirx.log1p(tirx.exp(low - high)))


def _shifted(g: Emitter, x: relax.Expr, axis: int, neutral: int) -> relax.Expr:
    """Each element moved one place on along the axis; the first is the neutral one."""
    dtype = g.dtype(x)

    def compute(t: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            before = tuple(v - 1 if d == axis else v for d, v in enumerate(i))
            first = tirx.const(neutral, dtype)
            return tirx.if_then_else(i[axis] == 0, first, t[before])

        return te.compute(t.shape, element, name="exclusive")

    return g.te(compute, x, name="exclusive")


def sortable(g: Emitter, node: Node) -> tuple[relax.Expr, Callable[[relax.Expr], relax.Expr]]:
    """Input 0 in a dtype that the runtime's library sorts, and the way back; raises BadNode.

    uint64 without its highest bit's weight is int64 in the same order.
    """
    x = g.arg(node, 0)
    if g.dtype(x) == "bool":
        raise BadNode(node, "sorts no bool", hint="cast it to int8 before")
    if g.dtype(x) != "uint64":
        return x, lambda t: t
    return _turned(g, x, "int64"), lambda t: _turned(g, t, "uint64")


def _turned(g: Emitter, x: relax.Expr, dtype: str) -> relax.Expr:
    """64-bit integers of the other signedness in the same order: the highest bit turned over."""

    def compute(t: te.Tensor) -> te.Tensor:
        high = tirx.const(1, "uint64") << tirx.const(63, "uint64")
        return te.compute(
            t.shape,
            lambda *i: tirx.reinterpret(dtype, tirx.reinterpret("uint64", t(*i)) ^ high),
            name="turned",
        )

    return g.te(compute, x, name="turned")


@REDUCE.op("TopKV2", "TopK")
def top_k(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """The k largest along the last axis, the lower index first among equals."""
    (x, back), dtype = sortable(g, node), node.attr("index_type", "int32")
    k = int(node.attr("k", 0)) if node.op == "TopK" else g.dims(node, 1)[0]
    taken = k if isinstance(k, int) and k > 0 else -1  # all of them, to be cut
    pair = g.emit(R.topk(x, taken, -1, "both", True, "int64"))
    values, places = (g.emit(relax.TupleGetItem(pair, i)) for i in range(2))
    both = [back(values), g.emit(R.astype(places, dtype))]
    if taken == k:
        return both
    rank, sizes = g.rank(x), [*g.shape(x)[:-1], k]
    return [g.emit(cut(g, t, [0] * rank, [1] * rank, sizes)) for t in both]
