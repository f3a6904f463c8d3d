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

    A maximum pads with minus infinity, so its pad merges only where that is the value.
    """
    return rewrite(mod, (_CONV, _MAX))


def _fold(call: Any, scope: Scope, value: float) -> Any:
    pad = scope.producer(call.args[0], "relax.nn.pad")
    if pad is None:
        return None
    if str(pad.attrs.pad_mode) != "constant" or float(_pad_value(pad)) != value:
        return Declined(f"the pad's value is {_pad_value(pad)}, the window's own is {value}")
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
    return relax.op.nn.max_pool2d(
        x, a.pool_size, a.strides, padding, a.dilation, bool(a.ceil_mode), layout=a.layout,
        out_layout=a.out_layout,
    )  # fmt: skip


_CONV = Rule("fold pad into convolution", ("relax.nn.conv2d",), lambda c, s: _fold(c, s, 0.0))
_MAX = Rule("fold pad into maximum", ("relax.nn.max_pool2d",), lambda c, s: _fold(c, s, -np.inf))
