"""Calls that do nothing, or that undo each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.passes.affine import constant_operand
from dlcc.compiler.passes.rewrite import Rule, Scope, rewrite


def simplify(mod: IRModule) -> IRModule:
    """Drop identities and merge moves.

    Before:  y = reshape(reshape(x * 1, (6,)), (2, 3));  z = permute(permute(y, [1, 0]), [1, 0])
    After:   y = reshape(x, (2, 3));                     z = y
    """
    return rewrite(mod, _RULES)


def same_type(a: Any, b: Any) -> bool:
    """Whether two tensors have equal dtype and equal dimensions."""
    if not isinstance(a.ty, relax.TensorType) or not isinstance(b.ty, relax.TensorType):
        return False
    x, y = a.ty.shape, b.ty.shape
    if x is None or y is None or len(x) != len(y) or str(a.ty.dtype) != str(b.ty.dtype):
        return False
    return all(_equal(p, q) for p, q in zip(x, y, strict=True))


def _equal(p: Any, q: Any) -> bool:
    p, q = getattr(p, "value", p), getattr(q, "value", q)
    if isinstance(p, int) or isinstance(q, int):
        return bool(isinstance(p, int) and isinstance(q, int) and p == q)
    return bool(p.same_as(q))


def _neutral(call: Any, scope: Scope) -> Any:
    """x * 1 and x + 0 are x. A sum may turn -0 into 0: equal numbers all the same."""
    parts = constant_operand(call, scope)
    if parts is None:
        return None
    x, c = parts
    unit = 1 if call.op.name == "relax.multiply" else 0
    return x if np.all(c == unit) and same_type(x, call) else None


def _reshape(call: Any, scope: Scope) -> Any:
    x = call.args[0]
    if same_type(x, call):
        return x
    inner = scope.producer(x, "relax.reshape")
    return None if inner is None else relax.op.reshape(inner.args[0], call.args[1])


def _permute(call: Any, scope: Scope) -> Any:
    axes = _axes(call)
    if axes == sorted(axes):
        return call.args[0]
    inner = scope.producer(call.args[0], "relax.permute_dims")
    if inner is None:
        return None
    below = _axes(inner)
    return relax.op.permute_dims(inner.args[0], [below[a] for a in axes])


def _axes(call: Any) -> list[int]:
    if call.attrs.axes is None:
        return list(reversed(range(len(call.args[0].ty.shape))))
    return [int(a) for a in call.attrs.axes]


def _astype(call: Any, scope: Scope) -> Any:
    return call.args[0] if same_type(call.args[0], call) else None


def _relu(call: Any, scope: Scope) -> Any:
    """max(max(x, 0), 0) is max(x, 0)."""
    return call.args[0] if scope.producer(call.args[0], "relax.nn.relu") is not None else None


def _pad(call: Any, scope: Scope) -> Any:
    return call.args[0] if not any(map(int, call.attrs.pad_width)) else None


_RULES = (
    Rule("neutral operand", ("relax.add", "relax.multiply"), _neutral),
    Rule("reshape of reshape", ("relax.reshape",), _reshape),
    Rule("permutation of permutation", ("relax.permute_dims",), _permute),
    Rule("conversion to the same dtype", ("relax.astype",), _astype),
    Rule("repeated relu", ("relax.nn.relu",), _relu),
    Rule("pad by nothing", ("relax.nn.pad",), _pad),
)
