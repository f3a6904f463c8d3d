"""Comparisons, logic and choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax

from dlcc.compiler.frontend.broadcasting import broadcast, operands
from dlcc.compiler.frontend.choice import truth
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Value, known

LOGIC = OpTable()

R = relax.op

_TWO: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "Less": (R.less, np.less),
    "LessEqual": (R.less_equal, np.less_equal),
    "Greater": (R.greater, np.greater),
    "GreaterEqual": (R.greater_equal, np.greater_equal),
    "Equal": (R.equal, np.equal),
    "LogicalAnd": (R.logical_and, np.logical_and),
    "LogicalOr": (R.logical_or, np.logical_or),
}


def _two(name: str, call: Callable[..., Any], fold: Callable[..., Any]) -> None:
    def convert(g: Emitter, node: Node) -> relax.Expr:
        return call(*operands(g, node))

    convert.__name__ = name.lower()
    LOGIC.op(name, fold=lambda node, x, y: np.asarray(fold(x, y)))(convert)


for _name, _calls in _TWO.items():
    _two(_name, *_calls)


@LOGIC.op("NotEqual", fold=lambda node, x, y: np.asarray(np.not_equal(x, y)))
def not_equal(g: Emitter, node: Node) -> relax.Expr:
    return differ(g, *operands(g, node))


def differ(g: Emitter, x: relax.Expr, y: relax.Expr) -> relax.Expr:
    """x != y, true for NaN; TVM's own is false there, and so is what it makes of not (x == y)."""
    if not g.dtype(x).startswith(("float", "bfloat")):
        return R.not_equal(x, y)
    return R.logical_or(R.not_equal(x, y), R.logical_or(R.isnan(x), R.isnan(y)))


@LOGIC.op("LogicalXor", fold=lambda node, x, y: np.logical_xor(x, y))
def logical_xor(g: Emitter, node: Node) -> relax.Expr:
    return R.logical_xor(*operands(g, node))


@LOGIC.op("ToBool")
def to_bool(g: Emitter, node: Node) -> Value:
    """Whether a number is not 0, or a tensor of any other rank has elements."""
    decided = truth(g, node, g.value(node, 0))
    return known(np.bool_(decided)) if isinstance(decided, bool) else decided


@LOGIC.op("LogicalNot", fold=lambda node, x: np.logical_not(x))
def logical_not(g: Emitter, node: Node) -> relax.Expr:
    return R.logical_not(g.arg(node, 0))


@LOGIC.op("IsNan")
def is_nan(g: Emitter, node: Node) -> relax.Expr:
    return R.isnan(g.arg(node, 0))


@LOGIC.op("IsInf")
def is_inf(g: Emitter, node: Node) -> relax.Expr:
    return R.isinf(g.arg(node, 0))


@LOGIC.op("IsFinite")
def is_finite(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    return R.logical_not(R.logical_or(R.isnan(x), R.isinf(x)))


@LOGIC.op("ApproximateEqual")
def approximate_equal(g: Emitter, node: Node) -> relax.Expr:
    x, y = g.args(node)
    tolerance = g.const(node.attr("tolerance", 1e-5), g.dtype(x))
    return R.less(R.abs(R.subtract(x, y)), tolerance)


def _fold_select(node: Node, c: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if node.op == "Select" and 0 < c.ndim < x.ndim:
        c = c.reshape(c.shape + (1,) * (x.ndim - c.ndim))
    return np.where(c, x, y)


@LOGIC.op("Select", "SelectV2", fold=_fold_select)
def select(g: Emitter, node: Node) -> relax.Expr:
    """Select (V1) takes a vector condition over the first axis; V2 broadcasts as NumPy does."""
    c, x, y = g.args(node)
    if node.op == "Select" and 0 < g.rank(c) < g.rank(x):
        c = g.reshape(c, [*g.shape(c), *[1] * (g.rank(x) - g.rank(c))])
    x, y = broadcast(g, x, y) if g.shape(x) != g.shape(y) else (x, y)
    if len(g.shape(c)) != g.rank(x) or not all(isinstance(d, int) for d in g.shape(x)):
        c, x = broadcast(g, c, x)
        y = g.emit(R.broadcast_to(y, relax.ShapeExpr(g.shape(x))))
    return R.where(c, x, y)
