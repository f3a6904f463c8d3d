"""Scales of channels folded into the weights of the convolution or product beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.passes.affine import constant_operand
from dlcc.compiler.passes.rewrite import Declined, Rule, Scope, rewrite

_LINEAR = ("relax.nn.conv2d", "relax.matmul")


def fold_scale_into_weights(mod: IRModule) -> IRModule:
    """Multiply what is left of a batch norm into the weights before or after it.

    Before:  y = conv2d(x, w) * s            s: one factor a channel, or one for all
    After:   y = conv2d(x, w * s)

    Before:  y = conv2d(x * s, w)            padding is zero, and zero scaled is zero
    After:   y = conv2d(x, s * w)
    """
    return rewrite(mod, (_AFTER, _BEFORE))


def _scale_after(call: Any, scope: Scope) -> Any:
    parts = constant_operand(call, scope)
    if parts is None:
        return None
    y, scale = parts
    inner = scope.producer(y)
    if inner is None or inner.op.name not in _LINEAR:
        return None
    w = scope.number(inner.args[1])
    if w is None:
        return Declined("the weights are computed at run time")
    if not scope.sole_use(y):
        return Declined("the unscaled result has another reader")
    vector = _channel_vector(scale, _channel_axis(inner), len(y.ty.shape))
    if vector is None:
        return Declined(f"a scale of shape {scale.shape} is not one factor a channel")
    return _with_weights(inner, inner.args[0], _scaled(w, vector, _out_axis(inner, w.ndim)))


def _scale_before(call: Any, scope: Scope) -> Any:
    before = scope.producer(call.args[0], "relax.multiply")
    w = scope.number(call.args[1])
    if before is None or w is None:
        return None
    parts = constant_operand(before, scope)
    if parts is None:
        return None
    x, scale = parts
    if not scope.sole_use(call.args[0]):
        return Declined("the scaled input has another reader")
    if len(x.ty.shape) != len(call.args[0].ty.shape) or int(getattr(call.attrs, "groups", 1)) > 1:
        return Declined("the scale broadcasts, or the convolution has groups")
    vector = _channel_vector(scale, _channel_axis(call), len(x.ty.shape))
    if vector is None:
        return Declined(f"a scale of shape {scale.shape} is not one factor a channel")
    axis = w.ndim - 2 if _out_axis(call, w.ndim) == w.ndim - 1 else 1
    return _with_weights(call, x, _scaled(w, vector, axis))


def _channel_axis(call: Any) -> int:
    """Axis of the channels in the call's data, counted from the end."""
    if call.op.name == "relax.matmul":
        return -1
    layout = str(call.attrs.data_layout)
    return layout.index("C") - len(layout)


def _out_axis(call: Any, rank: int) -> int:
    """Axis of the output channels in the weights."""
    if call.op.name == "relax.matmul":
        return rank - 1
    return str(call.attrs.kernel_layout).index("O")


def _channel_vector(scale: np.ndarray, axis: int, rank: int) -> np.ndarray | None:
    """The scale as a vector (or one number), if it varies along the channels only."""
    if scale.ndim > rank:
        return None
    if scale.size == 1:
        return scale.reshape(1)
    shape = (1,) * (rank - scale.ndim) + scale.shape
    return scale.reshape(-1) if shape[axis] == scale.size else None


def _scaled(w: np.ndarray, vector: np.ndarray, axis: int) -> Any:
    dims = [1] * w.ndim
    dims[axis] = vector.size
    product = w.astype(np.float64) * vector.astype(np.float64).reshape(dims)
    return relax.const(product.astype(w.dtype), w.dtype.name)


def _with_weights(call: Any, x: Any, w: Any) -> Any:
    return relax.Call(call.op, [x, w, *call.args[2:]], call.attrs, call.ty_args)


_AFTER = Rule("fold scale after", ("relax.multiply",), _scale_after)
_BEFORE = Rule("fold scale before", _LINEAR, _scale_before)
