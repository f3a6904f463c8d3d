"""Average pools moved behind the 1x1 convolutions that read them."""

from __future__ import annotations

import math
from typing import Any

from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.passes.rewrite import Declined, Rule, Scope, rewrite
from dlcc.compiler.passes.simplify import same_type


def pool_after_projection(mod: IRModule) -> IRModule:
    """Average after a 1x1 convolution that leaves fewer channels to average.

    Before:  y = conv2d(avg_pool2d(x, 3x3), w)          # x: 768 channels, y: 192
    After:   y = avg_pool2d(conv2d(x, w), 3x3)

    Both are sums with the same weights for all pixels, or for all channels: their order is free.
    """
    return rewrite(mod, (_PROJECTION,))


def _behind(call: Any, scope: Scope) -> Any:
    pool = scope.producer(call.args[0], "relax.nn.avg_pool2d")
    if pool is None:
        return None
    if not scope.sole_use(call.args[0]):
        return Declined("the pool has another reader")
    layout = str(call.attrs.data_layout)
    if str(pool.attrs.layout) != layout or not _pointwise(call):
        return Declined("it is no 1x1 convolution of the pool's layout")
    x, w = pool.args[0], call.args[1]
    if not same_type(x, call.args[0]):
        return Declined("the pool leaves fewer pixels to convolve")
    kernel = dict(zip(str(call.attrs.kernel_layout), w.ty.shape.values, strict=True))
    into, out = (getattr(kernel[letter], "value", None) for letter in "IO")
    if into is None or out is None or out >= into:
        return Declined("it leaves as many channels to average")
    projected = scope.emit(relax.Call(call.op, [x, w], call.attrs, call.ty_args))
    return relax.Call(pool.op, [projected], pool.attrs, pool.ty_args)


def _pointwise(call: Any) -> bool:
    a, kernel = call.attrs, str(call.attrs.kernel_layout)
    extents = [getattr(d, "value", 0) for d in call.args[1].ty.shape.values]
    window = math.prod(extents[kernel.index(letter)] for letter in "HW")
    strides = {int(s) for s in a.strides}
    return window == 1 and strides == {1} and not any(map(int, a.padding)) and int(a.groups) == 1


_PROJECTION = Rule("average behind projection", ("relax.nn.conv2d",), _behind)
