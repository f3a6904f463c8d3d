"""Pads merged into the windows that read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.passes.rewrite import Declined, Rule, Scope, rewrite


def fold_pads_into_windows(mod: IRModule) -> IRModule:
    """Let a convolution pad by itself, where that is exact.

    Before:  y = conv2d(pad(x, [0,0, 1,1, 1,1, 0,0], value 0), w, padding=0)
    After:   y = conv2d(x, w, padding=[1, 1, 1, 1])

    A maximum pads with minus infinity, so its pad merges only where that is the value, or where it
    is 0, nothing is less, and no window is all padding. A mean counts what it padded.
    """
    return rewrite(mod, (_CONV, _MAX, _MEAN))


def _fold(call: Any, scope: Scope, value: float) -> Any:
    pad = scope.producer(call.args[0], "relax.nn.pad")
    if pad is None:
        return None
    if str(pad.attrs.pad_mode) != "constant" or float(_pad_value(pad)) != value:
        return Declined(f"the pad's value is {_pad_value(pad)}, the window's own is {value}")
    return _merged(call, pad)


def _fold_maximum(call: Any, scope: Scope) -> Any:
    pad = scope.producer(call.args[0], "relax.nn.pad")
    if pad is None or str(pad.attrs.pad_mode) != "constant" or _pad_value(pad) != 0.0:
        return _fold(call, scope, -np.inf)
    if not not_negative(pad.args[0], scope):
        return Declined("the pad's value is 0, and less than that may be padded")
    window = max(map(int, pad.attrs.pad_width)) < min(map(int, call.attrs.pool_size))
    own = any(map(int, call.attrs.padding)) or {int(d) for d in call.attrs.dilation} != {1}
    if own or not window:
        return Declined("a window may be all padding")
    return _merged(call, pad)


def _fold_mean(call: Any, scope: Scope) -> Any:
    if scope.producer(call.args[0], "relax.nn.pad") is None:
        return None
    if any(map(int, call.attrs.padding)) and not call.attrs.count_include_pad:
        return Declined("the mean counts one pad and not the other")
    if bool(call.attrs.ceil_mode):
        return Declined("its last windows may reach beyond the padding")
    return _fold(call, scope, 0.0)


# Operators whose results are not negative, and those that leave what they read as it is.
_NOT_NEGATIVE = tuple(
    f"relax.{name}" for name in ("nn.relu", "nn.relu6", "sigmoid", "exp", "abs", "nn.softmax")
)
_CHOOSING = tuple(f"relax.{name}" for name in ("nn.max_pool2d", "nn.avg_pool2d", "reshape"))


def not_negative(x: Any, scope: Scope) -> bool:
    """Whether no element of a tensor is less than 0, as far as what computes it tells."""
    made = scope.producer(x)
    if made is None:
        return False
    if made.op.name == "relax.maximum":
        bounds = [b for b in map(scope.number, made.args) if b is not None]
        return any(bool(np.all(b >= 0)) for b in bounds)
    if made.op.name in _CHOOSING:
        return not_negative(made.args[0], scope)
    return made.op.name in _NOT_NEGATIVE


def _merged(call: Any, pad: Any) -> Any:
    layout = str(
        call.attrs.data_layout if hasattr(call.attrs, "data_layout") else call.attrs.layout
    )
    widths = np.array([int(w) for w in pad.attrs.pad_width]).reshape(-1, 2)
    if np.any(widths < 0):
        return Declined("the pad cuts")
    if any(widths[i].any() for i, letter in enumerate(layout) if letter in "NC"):
        return Declined("it pads batch or channels")
    spatial = [i for i, letter in enumerate(layout) if letter in "HW"]
    own = [int(p) for p in call.attrs.padding]
    new = [own[k] + int(widths[a, 0]) for k, a in enumerate(spatial)]
    new += [own[k + len(spatial)] + int(widths[a, 1]) for k, a in enumerate(spatial)]
    return _with_padding(call, pad.args[0], new)


def _pad_value(pad: Any) -> float:
    return float(pad.attrs.pad_value)


def _with_padding(call: Any, x: Any, padding: list[int]) -> Any:
    a = call.attrs
    if call.op.name == "relax.nn.conv2d":
        return relax.op.nn.conv2d(
            x, call.args[1], a.strides, padding, a.dilation, int(a.groups), a.data_layout,
            a.kernel_layout, a.out_layout, a.out_dtype or None,
        )  # fmt: skip
    means = call.op.name == "relax.nn.avg_pool2d"
    pool, counted = (
        (relax.op.nn.avg_pool2d, {"count_include_pad": True})
        if means
        else (relax.op.nn.max_pool2d, {})
    )
    return pool(
        x, a.pool_size, a.strides, padding, a.dilation, bool(a.ceil_mode), layout=a.layout,
        out_layout=a.out_layout, **counted,
    )  # fmt: skip


_CONV = Rule("fold pad into convolution", ("relax.nn.conv2d",), lambda c, s: _fold(c, s, 0.0))
_MAX = Rule("fold pad into maximum", ("relax.nn.max_pool2d",), _fold_maximum)
_MEAN = Rule("fold pad into mean", ("relax.nn.avg_pool2d",), _fold_mean)
