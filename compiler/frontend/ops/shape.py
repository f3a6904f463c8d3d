"""Shapes as values: Shape, Size, Rank, Fill, Range, Reshape and what only renames dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx, topi
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.axes import axis_at, one_of
from dlcc.compiler.frontend.dims import Dim, same_dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.extents import fits
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel
from dlcc.compiler.frontend.ops.math import is_integer
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Known, known

SHAPE = OpTable()


def _shape_value(g: Emitter, node: Node, index: int) -> list[Dim]:
    value = g.value(node, index)
    return list(value.array.shape) if isinstance(value, Known) else g.shape(value)


def _object_array(dims: Sequence[Dim]) -> np.ndarray:
    array = np.empty(len(dims), object)
    array[:] = dims
    return array


@SHAPE.op("Shape", "VariableShape")
def shape(g: Emitter, node: Node) -> Known:
    return known(_object_array(_shape_value(g, node, 0)), node.attr("out_type", "int32"))


@SHAPE.op("ShapeN")
def shape_n(g: Emitter, node: Node) -> list[Known]:
    dtype = node.attr("out_type", "int32")
    each = (_object_array(_shape_value(g, node, i)) for i in range(len(node.inputs)))
    return [known(dims, dtype) for dims in each]


@SHAPE.op("Size")
def size(g: Emitter, node: Node) -> Known:
    total: Any = 1
    for dim in _shape_value(g, node, 0):
        total = total * dim
    array = np.empty((), object)
    array[()] = total
    return known(array, node.attr("out_type", "int32"))


@SHAPE.op("Rank")
def rank(g: Emitter, node: Node) -> Known:
    return known(np.int32(len(_shape_value(g, node, 0))))


def _fold_reshape(node: Node, x: np.ndarray, dims: np.ndarray) -> Any:
    if dims.dtype == object:
        return None
    return x.reshape([int(d) for d in dims])


@SHAPE.op("Reshape", fold=_fold_reshape, symbolic=True)
def reshape(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    new = g.dims(node, 1)
    if any(g.may_be_negative(d) for d in new):
        return _reshape_by(g, x, new)
    return g.reshape(x, resolve(g.shape(x), new))


def _reshape_by(g: Emitter, x: relax.Expr, new: Sequence[Dim]) -> relax.Expr:
    """A reshape to numbers that are known at run time only, among which may be a -1.

    The -1 is what divides the size by the product of all numbers into -1.
    """
    size, product = _product(g.shape(x)), _product(new)
    rest = tirx.floordiv(_expr(size), tirx.max(-_expr(product), _expr(1)))
    dims = [tirx.Select(d < 0, rest, d) if g.may_be_negative(d) else d for d in new]
    wide = relax.op.broadcast_to(x, relax.ShapeExpr(g.shape(x)))

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        return topi.reshape(t, list(given))

    return g.te(compute, g.emit(wide), *[_expr(d) for d in dims], name="reshape")


def resolve(old: Sequence[Dim], new: Sequence[Dim]) -> list[Dim]:
    """The new shape with its one -1 computed: the product of old over the rest of new.

    Equal symbolic factors cancel, so that (n, 7, 7, 64) reshaped to (n, -1) has (n, 3136).
    """
    wild = [i for i, d in enumerate(new) if isinstance(d, int) and d == -1]
    if not wild:
        return list(new)
    rest = [d for i, d in enumerate(new) if i != wild[0]]
    top, bottom = list(old), []
    for dim in rest:
        same = next((i for i, o in enumerate(top) if o is dim or same_dim(o, dim)), None)
        if same is None:
            bottom.append(dim)
        else:
            top.pop(same)
    quotient = _product(top)
    below = _product(bottom)
    if isinstance(quotient, int) and isinstance(below, int):
        result: Dim = quotient // below if below else 0
    else:
        result = tirx.floordiv(_expr(quotient), _expr(below)) if below != 1 else quotient
    return [result if i == wild[0] else d for i, d in enumerate(new)]


def _expr(dim: Dim) -> Any:
    return tirx.IntImm("int64", dim) if isinstance(dim, int) else dim


def _product(dims: Sequence[Dim]) -> Dim:
    total: Any = 1
    for dim in dims:
        total = dim if isinstance(total, int) and total == 1 else total * dim
    return total


def _squeeze_axes(node: Node, dims: Sequence[Any]) -> list[int]:
    axes = node.attr("squeeze_dims") or node.attr("axis") or ()
    if axes:
        return [int(a) % len(dims) for a in axes]
    return [i for i, d in enumerate(dims) if isinstance(d, int) and d == 1]


def _fold_squeeze(node: Node, x: np.ndarray) -> np.ndarray:
    return np.squeeze(x, tuple(_squeeze_axes(node, x.shape)))


@SHAPE.op("Squeeze", fold=_fold_squeeze, symbolic=True)
def squeeze(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    dims = g.shape(x)
    axes = _squeeze_axes(node, dims)
    if bad := [a for a in axes if isinstance(dims[a], int) and dims[a] != 1]:
        raise BadNode(node, f"cannot squeeze axis {bad[0]} of shape {dims}: it is not 1")
    return g.reshape(x, [d for i, d in enumerate(dims) if i not in axes])


def _fold_expand(node: Node, x: np.ndarray, axis: np.ndarray) -> np.ndarray:
    return np.expand_dims(x, int(axis.reshape(-1)[0]))


@SHAPE.op("ExpandDims", fold=_fold_expand, symbolic=True)
def expand_dims(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    dims = g.shape(x)
    at = axis_at(g, node, 1, len(dims) + 1)
    if isinstance(at, int):
        return g.reshape(x, [*dims[:at], 1, *dims[at:]])
    shape = [one_of([(at > p, d), (at == p, 1)], dims[p - 1]) for p, d in enumerate(dims) if p]
    first = [one_of([(at > 0, dims[0])], 1)] if dims else [1]
    last = [one_of([(at == len(dims), 1)], dims[-1])] if dims else []
    return g.reshape(x, [*first, *shape, *last])


def _fold_fill(node: Node, dims: np.ndarray, value: np.ndarray) -> Any:
    if dims.dtype == object or value.dtype == object or not fits(dims, value.dtype):
        return None
    return np.full([int(d) for d in dims], value)


@SHAPE.op("Fill", fold=_fold_fill, symbolic=True)
def fill(g: Emitter, node: Node) -> relax.Expr:
    dims = g.dims(node, 0)
    value = g.arg(node, 1)
    return relax.op.full(relax.ShapeExpr(dims), value, g.dtype(value))


def _fold_broadcast_to(node: Node, x: np.ndarray, dims: np.ndarray) -> Any:
    if dims.dtype == object or not fits(dims, x.dtype):
        return None
    return np.broadcast_to(x, [int(d) for d in dims])


@SHAPE.op("BroadcastTo", fold=_fold_broadcast_to, symbolic=True)
def broadcast_to(g: Emitter, node: Node) -> relax.Expr:
    return relax.op.broadcast_to(g.arg(node, 0), relax.ShapeExpr(g.dims(node, 1)))


def _fold_broadcast_args(node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array(np.broadcast_shapes(tuple(a), tuple(b)), a.dtype)


@SHAPE.op("BroadcastArgs", fold=_fold_broadcast_args)
def broadcast_args(g: Emitter, node: Node) -> relax.Expr:
    """The shape that two shapes broadcast to, of shapes known at run time only."""
    a, b = g.args(node)
    (n,), (m,) = g.static_shape(node, a), g.static_shape(node, b)
    rank_ = max(n, m)
    a, b = (_pad_front(g, x, rank_ - k) for x, k in ((a, n), (b, m)))
    one = g.const(1, g.dtype(a))
    return relax.op.where(relax.op.equal(a, one), b, a)


def _pad_front(g: Emitter, x: relax.Expr, count: int) -> relax.Expr:
    if not count:
        return x
    ones = g.const(np.ones(count), g.dtype(x))
    return relax.op.concat([ones, x], axis=0)


def _fold_range(node: Node, start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> Any:
    """Integers one by one; other numbers as sums of the steps, rounded at each, as TensorFlow's."""
    if not delta.item():
        raise BadNode(node, "a step of 0 leads nowhere")
    if is_integer(start.dtype.name):
        length = -(-(int(limit) - int(start)) // int(delta))
    else:
        length = math.ceil(abs(limit / delta - start / delta))
    if not fits([length]):
        return None
    if is_integer(start.dtype.name):
        return np.arange(start.item(), limit.item(), delta.item()).astype(start.dtype)
    steps = np.full(length + 1, delta, start.dtype)
    steps[0] = start
    return np.cumsum(steps, dtype=start.dtype)[:length]


@SHAPE.op("Range", fold=_fold_range)
def range_(g: Emitter, node: Node) -> relax.Expr:
    """A range whose length is symbolic: of integers with the step known, or of any numbers."""
    dtype = str(node.attr("Tidx", "int32"))
    shapes = all(isinstance(g.value(node, i), Known) for i in range(3))
    if not shapes and not (is_integer(dtype) and g.known(node, 2) is not None):
        return range_computed(g, node, dtype)
    start, limit, delta = (g.dims(node, i) for i in range(3))
    step = delta[0]
    if not isinstance(step, int) or step == 0:
        raise BadNode(node, f"step {step} is not a known number other than 0")
    length = tirx.ceildiv(_expr(limit[0]) - _expr(start[0]), step)
    return relax.op.arange(_expr(start[0]), _expr(start[0]) + length * step, _expr(step), dtype)


def range_computed(g: Emitter, node: Node, dtype: str) -> relax.Expr:
    """A range of numbers known at run time only; each is the one before plus the step.

    Source of the length: tensorflow/core/kernels/sequence_ops.cc, RangeOp.
    """
    tensors = g.args(node)

    def measure(start: te.Tensor, limit: te.Tensor, step: te.Tensor) -> te.Tensor:
        if is_integer(dtype):
            span, each = (tirx.Cast("int64", v) for v in (limit() - start(), step()))
            count = tirx.ceildiv(tirx.abs(span), tirx.max(tirx.abs(each), _expr(1)))
        else:
            count = tirx.ceil(tirx.abs(limit() / step() - start() / step()))
        return te.compute((1,), lambda _: tirx.Cast("int64", count), name="range_length")

    (length,) = g.counted(node, g.te(measure, *tensors, name="range_length"))

    def body(start: Any, _: Any, step: Any, out: Any, last: Any) -> None:
        last[0] = start[0]
        with T.serial(0, length) as i:
            out[i] = last[0]
            last[0] = last[0] + step[0]

    outputs: list[Any] = [((length,), dtype), ((1,), dtype)]
    return loop_kernel(g, "range", tensors, outputs, body)[0]
