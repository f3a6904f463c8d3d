"""Chains of multiplications and additions with constants become one of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.passes.rewrite import Rule, Scope, rewrite

_FLOATS = ("float16", "float32", "float64")


def merge_affine_chains(mod: IRModule) -> IRModule:
    """Collect constant factors and terms behind one another.

    Before:  y = ((x * a + b) * c - d) * e
    After:   y = x * (a*c*e) + (b*c*e - d*e)
    """
    return rewrite(mod, (_AFFINE, _CONSTANT_RIGHT))


def constant_operand(call: Any, scope: Scope) -> tuple[Any, np.ndarray] | None:
    """The tensor and the constant of a binary call on floats with one constant operand."""
    if str(call.args[0].ty.dtype) not in _FLOATS:
        return None
    left, right = scope.number(call.args[0]), scope.number(call.args[1])
    if right is not None and left is None:
        return call.args[0], right
    if left is not None and right is None:
        return call.args[1], left
    return None


def _constant_right(call: Any, scope: Scope) -> Any:
    """c + x -> x + c,  c * x -> x * c,  x - c -> x + (-c)."""
    parts = constant_operand(call, scope)
    if parts is None:
        return None
    x, c = parts
    name = call.op.name
    if name == "relax.subtract":
        if scope.number(call.args[1]) is None:
            return None
        return relax.op.add(x, _const(-c))
    if scope.number(call.args[0]) is None:
        return None
    return relax.op.add(x, _const(c)) if name == "relax.add" else relax.op.multiply(x, _const(c))


def _merge(call: Any, scope: Scope) -> Any:
    """One step towards x * s + t; the inner result must have no other reader."""
    parts = constant_operand(call, scope)
    if parts is None:
        return None
    x, outer = parts
    inner = scope.producer(x)
    if inner is None or inner.op.name not in ("relax.add", "relax.multiply"):
        return None
    below = constant_operand(inner, scope)
    if below is None or not scope.sole_use(x):
        return None
    y, c = below
    together = np.broadcast_shapes(outer.shape, c.shape)
    if np.prod(together) > max(outer.size, c.size):
        return None  # the product of a row and a column would be a whole tensor
    if call.op.name == "relax.add":
        return relax.op.add(y, _sum(outer, c)) if inner.op.name == "relax.add" else None
    if inner.op.name == "relax.multiply":
        return relax.op.multiply(y, _product(outer, c))
    return relax.op.add(scope.emit(relax.op.multiply(y, _const(outer))), _product(outer, c))


def _sum(a: np.ndarray, b: np.ndarray) -> Any:
    return _const((a.astype(np.float64) + b).astype(a.dtype))


def _product(a: np.ndarray, b: np.ndarray) -> Any:
    return _const((a.astype(np.float64) * b).astype(a.dtype))


def _const(array: np.ndarray) -> Any:
    return relax.const(array, array.dtype.name)


_CONSTANT_RIGHT = Rule(
    "constant operand right", ("relax.add", "relax.multiply", "relax.subtract"), _constant_right
)
_AFFINE = Rule("merge affine", ("relax.add", "relax.multiply"), _merge)
