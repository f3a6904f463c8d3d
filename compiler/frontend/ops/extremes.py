"""The larger and the smaller: of two, within bounds, along axes. NaN is passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.frontend.axes import Lane, axis_at
from dlcc.compiler.frontend.broadcasting import operands
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.math import binary_kernel, is_integer, or_nan
from dlcc.compiler.frontend.ops.reduce import keeps, reduce_axes
from dlcc.compiler.frontend.ops.reduce_open import axes_are_computed, reduce_computed
from dlcc.compiler.frontend.ops.table import OpTable

EXTREMES = OpTable()

R = relax.op

_OF_TWO = {
    "Maximum": (R.maximum, tirx.max, np.maximum),
    "Minimum": (R.minimum, tirx.min, np.minimum),
}


def is_float(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat"))


@EXTREMES.op(*_OF_TWO, fold=lambda node, x, y: _OF_TWO[node.op][2](x, y))
def extreme(g: Emitter, node: Node) -> relax.Expr:
    """The larger or smaller one. TVM's gives the second operand where either is no number, so a
    constant comes first and NaN is passed on; of two computed operands, a kernel sees to it.
    """
    call, pick, _ = _OF_TWO[node.op]
    constant = [_is_number(g.known(node, i)) for i in range(2)]
    if not any(constant) and is_float(g.dtype(g.arg(node, 0))):
        return binary_kernel(g, g.arg(node, 0), g.arg(node, 1), or_nan(pick), "extreme")
    x, y = operands(g, node)
    return call(y, x) if constant[1] else call(x, y)


def _is_number(array: np.ndarray | None) -> bool:
    return array is not None and not np.any(np.isnan(array))


@EXTREMES.op("ClipByValue")
def clip_by_value(g: Emitter, node: Node) -> relax.Expr:
    """Bounds first: see `extreme`."""
    x, low, high = g.args(node)
    return R.minimum(high, R.maximum(low, x))


# op -> the extreme of two expressions, of a tensor, of an array
_ALONG: dict[str, tuple[Callable[..., Any], Callable[..., relax.Expr], Callable[..., Any]]] = {
    "Max": (tirx.max, R.max, np.max),
    "Min": (tirx.min, R.min, np.min),
}


def _fold_along(node: Node, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    where = tuple(int(a) for a in axes.reshape(-1))
    start = _weakest(node.op == "Max", x.dtype.name)
    _, _, along = _ALONG[node.op]
    return np.asarray(along(x, axis=where, keepdims=keeps(node), initial=start), x.dtype)


def _weakest(largest: bool, dtype: str) -> float:
    """The largest (or smallest) of no numbers."""
    if is_integer(dtype):
        return np.iinfo(dtype).min if largest else np.iinfo(dtype).max
    return -np.inf if largest else np.inf


@EXTREMES.op("Max", "Min", fold=_fold_along)
def extreme_along(g: Emitter, node: Node) -> relax.Expr:
    if axes_are_computed(g, node):
        return reduce_computed(g, node)
    x = g.arg(node, 0)
    axes = reduce_axes(g, node, g.rank(x))
    if not axes:
        return x
    pick, call, _ = _ALONG[node.op]
    if not is_float(g.dtype(x)):
        return call(x, axes, keeps(node))

    def start(dtype: str) -> Any:
        return tirx.const(_weakest(node.op == "Max", str(dtype)), dtype)

    reducer = te.comm_reducer(or_nan(pick), start, name=node.op.lower())
    return _reduced(g, x, axes, keeps(node), lambda t, at, by: reducer(t[at], axis=by))


def _reduced(
    g: Emitter,
    x: relax.Expr,
    axes: Sequence[int],
    keep: bool,
    reduce: Callable[[te.Tensor, tuple[Any, ...], list[Any]], Any],
) -> relax.Expr:
    """A kernel of reductions along axes: reduce(tensor, index, iterators)."""

    def compute(t: te.Tensor) -> te.Tensor:
        by = {a: te.reduce_axis((0, t.shape[a]), name=f"k{a}") for a in axes}
        kept = [1 if a in by else d for a, d in enumerate(t.shape) if keep or a not in by]

        def element(*i: Any) -> Any:
            rest = iter(i)
            at = []
            for axis in range(len(t.shape)):
                place = next(rest) if keep or axis not in by else None
                at.append(by.get(axis, place))
            return reduce(t, tuple(at), list(by.values()))

        return te.compute(kept, element, name="extreme")

    return g.te(compute, x, name="extreme")


@EXTREMES.op("ArgMax", "ArgMin")
def arg_extreme(g: Emitter, node: Node) -> relax.Expr:
    """The first position of the extreme; NaN is none, and 0 is the place where there is none.

    Source: Eigen's ArgMaxTupleReducer, which goes on where a number is strictly more extreme.
    """
    x, dtype = g.arg(node, 0), node.attr("output_type", "int64")
    if g.rank(x) == 0:
        return g.const(0, dtype)
    if g.dtype(x) == "bool":
        x = g.emit(R.astype(x, "int8"))
    lane = Lane.of(g, g.normal(x), axis_at(g, node, 1, g.rank(x)))
    return lane.back(g, _places(g, lane.x, lane.axis, dtype, node.op == "ArgMax"), [])


def _places(g: Emitter, x: relax.Expr, axis: int, dtype: str, largest: bool) -> relax.Expr:
    """Where along an axis the extreme stands."""

    def joined(old: Any, new: Any) -> Any:
        better = new[1] > old[1] if largest else new[1] < old[1]
        better = tirx.any(better, tirx.all(new[1] == old[1], new[0] < old[0]))
        return [tirx.Select(better, n, o) for n, o in zip(new, old, strict=True)]

    def start(index: str, value: str) -> Any:
        weakest = tirx.min_value if largest else tirx.max_value
        return tirx.const(0, index), weakest(value)

    reducer = te.comm_reducer(joined, start, name="places")

    def compute(t: te.Tensor) -> te.Tensor:
        k = te.reduce_axis((0, t.shape[axis]), name="k")
        dims = [d for a, d in enumerate(t.shape) if a != axis]

        def element(*i: Any) -> Any:
            at = (*i[:axis], k, *i[axis:])
            return reducer((tirx.Cast(dtype, k), t[at]), axis=k)

        places, _ = te.compute(dims, element, name="places")
        return te.compute(dims, lambda *i: places(*i), name="arg_extreme")

    return g.te(compute, x, name="arg_extreme")
