"""Chains of multiplications and additions with constants become one of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.passes.rewrite import Declined, Rule, Scope, rewrite

_FLOATS = ("float16", "float32", "float64")


def merge_affine_chains(mod: IRModule) -> IRModule:
    """Collect constant factors and terms behind one another.

    Before:  y = ((x * a + b) / c - d) * e
    After:   y = x * (a/c*e) + (b/c*e - d*e)
    """
    return rewrite(mod, (_AFFINE, _CONSTANT_RIGHT, _QUOTIENT))


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


def _quotient(call: Any, scope: Scope) -> Any:
    """(x * a) / c -> (x * a) * (1 / c): behind a sum or product that is rounded already, where one
    more ulp decides nothing; floor(x / c) may be told from floor(x * (1 / c))."""
    parts = constant_operand(call, scope)
    if parts is None or scope.number(call.args[1]) is None:
        return None
    inner = scope.producer(parts[0])
    if inner is None or inner.op.name not in ("relax.add", "relax.multiply"):
        return None
    if constant_operand(inner, scope) is None or not scope.sole_use(parts[0]):
        return None
    with np.errstate(divide="ignore", over="ignore"):
        factor = (1.0 / parts[1].astype(np.float64)).astype(parts[1].dtype)
    if not np.all(np.isfinite(factor) & (np.abs(factor) >= np.finfo(factor.dtype).tiny)):
        return Declined("a divisor has no reciprocal that is a normal number")
    return relax.op.multiply(parts[0], _const(factor))


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
_QUOTIENT = Rule("product with the reciprocal", ("relax.divide",), _quotient)
_AFFINE = Rule("merge affine", ("relax.add", "relax.multiply"), _merge)
