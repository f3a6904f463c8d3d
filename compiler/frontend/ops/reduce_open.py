"""Reductions whose axes are known at run time only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.dims import same_dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.math import is_integer, or_nan
from dlcc.compiler.frontend.values import Known


def _start(number: float, of_integers: Callable[[str], Any]) -> Callable[[str], Any]:
    """The extreme of no elements: infinite in floats."""
    return lambda dtype: of_integers(dtype) if is_integer(dtype) else tirx.const(number, dtype)


# how an element joins those before it
_JOIN: dict[str, Callable[[Any, Any], Any]] = {
    "Sum": lambda a, b: a + b,
    "EuclideanNorm": lambda a, b: a + b * b,
    "Mean": lambda a, b: a + b,
    "Prod": lambda a, b: a * b,
    "Max": or_nan(tirx.max),
    "Min": or_nan(tirx.min),
    "All": tirx.all,
    "Any": tirx.any,
}
_START: dict[str, Callable[[str], Any]] = {
    "Sum": lambda dtype: tirx.const(0, dtype),
    "EuclideanNorm": lambda dtype: tirx.const(0, dtype),
    "Mean": lambda dtype: tirx.const(0, dtype),
    "Prod": lambda dtype: tirx.const(1, dtype),
    "Max": _start(-np.inf, tirx.min_value),
    "Min": _start(np.inf, tirx.max_value),
    "All": lambda dtype: tirx.const(True, dtype),
    "Any": lambda dtype: tirx.const(False, dtype),
}


def axes_are_computed(g: Emitter, node: Node) -> bool:
    return not isinstance(g.value(node, 1), Known)


def reduce_computed(g: Emitter, node: Node) -> relax.Expr:
    """The reduction along axes, all different, that a tensor holds.

    The result's rank follows from their number, its dimensions are measured.
    """
    x, axes = g.arg(node, 0), g.arg(node, 1)
    dims, dtype, rank = g.shape(x), g.dtype(x), g.rank(x)
    count = int(product(g.static_shape(node, axes)))
    keep = bool(node.attr("keep_dims", node.attr("keepdims", False)))
    kept = rank if keep else rank - count
    size, step = _measured_shape(g, axes, dims, count, kept)
    shape = g.measured(node, size) if kept else []

    def body(t: Any, by: Any, out: Any) -> None:
        with T.serial(0, product(shape)) as i:
            out[i] = _START[node.op](dtype)
        with T.serial(0, product(dims)) as i:
            at, rest = tirx.const(0, "int64"), wide(i)
            for axis in reversed(range(rank)):
                extent = 1 if same_dim(dims[axis], 0) else dims[axis]  # nothing is read then
                at = at + tirx.floormod(rest, wide(extent)) * by[axis]
                rest = tirx.floordiv(rest, wide(extent))
            out[at] = _JOIN[node.op](out[at], t[i])
        if node.op == "Mean":
            _divide(out, product(shape), product(dims), dtype)
        if node.op == "EuclideanNorm":
            _take_root(out, product(shape), dtype)

    return loop_kernel(g, "reduced", [x, step], [(shape, dtype)], body)[0]


def _divide(out: Any, count: Any, total: Any, dtype: str) -> None:
    """Each sum divided by the number of its elements; integers toward zero."""
    with T.serial(0, count) as i:
        each = tirx.Cast(
            dtype, tirx.floordiv(wide(total), tirx.max(wide(count), tirx.const(1, "int64")))
        )
        whole = dtype.startswith(("int", "uint"))
        out[i] = tirx.truncdiv(out[i], each) if whole else out[i] / each


def _take_root(out: Any, count: Any, dtype: str) -> None:
    """The root of each sum; that of an integer is cut to one."""
    with T.serial(0, count) as i:
        out[i] = tirx.Cast(dtype, tirx.sqrt(_real(out[i], dtype)))


def _real(value: Any, dtype: str) -> Any:
    return value if dtype.startswith(("float", "bfloat")) else tirx.Cast("float64", value)


def _measured_shape(
    g: Emitter, axes: relax.Expr, dims: list[Any], count: int, kept: int
) -> list[relax.Expr]:
    """The result's `kept` dimensions, and how far in it each axis goes: 0 along a reduced one."""
    rank, one = len(dims), tirx.const(1, "int64")
    keep = kept == rank

    def measure(at: Any, size: Any, step: Any, s: Any) -> None:
        with T.serial(0, rank) as axis:
            step[axis] = one
        with T.serial(0, count) as k:
            step[tirx.floormod(wide(at[k]) + rank, rank)] = tirx.const(0, "int64")
        s[0], s[1] = tirx.const(0, "int64"), one
        for axis, extent in enumerate(dims):
            with T.If(tirx.any(step[axis] != 0, tirx.const(keep, "bool"))), T.Then():
                size[s[0]] = tirx.Select(step[axis] != 0, wide(extent), one)
                s[0] = s[0] + 1
        for axis in reversed(range(rank)):
            with T.If(step[axis] != 0), T.Then():
                step[axis] = s[1]
                s[1] = s[1] * wide(dims[axis])

    outputs = [((kept,), "int64"), ((rank,), "int64"), ((2,), "int64")]
    return loop_kernel(g, "reduced_shape", [axes], outputs, measure, dims)[:2]
