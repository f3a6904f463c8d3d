"""Integers of 32 bits to 8 with a range for each channel: oneDNN's half of quantised inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.quantized import range_ends
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.steps import Steps, real

QUANTIZED_CHANNELS = OpTable()

R = relax.op
_HALF_RANGE = real(float(1 << 31))


def _reach(low: Any, high: Any) -> Any:
    return tirx.max(tirx.abs(low), tirx.abs(high))


@QUANTIZED_CHANNELS.op("RequantizationRangePerChannel")
def channel_range(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """The range that the elements of all channels span, around 0 where any is negative.

    Source: tensorflow/core/kernels/mkl/mkl_requantization_range_per_channel_op.cc.
    """
    x, low, high = (g.arg(node, i) for i in range(3))
    limit = float(node.attr("clip_value_max", np.inf))
    over = list(range(g.rank(x) - 1))
    least, most = g.emit(R.min(x, over)), g.emit(R.max(x, over))

    def compute(*given: te.Tensor) -> te.Tensor:
        def element(c: Any) -> Any:
            a, b, first, last = (t(c) for t in given)
            extreme = tirx.max(tirx.abs(first), tirx.abs(last))
            return _reach(a, b) * real(extreme) / _HALF_RANGE

        return te.compute(given[0].shape, element, name="reach")

    reach = g.emit(R.max(g.te(compute, low, high, least, most, name="reach")))
    lowest = g.emit(R.min(least))

    def end(sign: int) -> relax.Expr:
        def compute(r: te.Tensor, n: te.Tensor) -> te.Tensor:
            top = tirx.min(tirx.max(r(), real(float(np.finfo(np.float32).tiny))), real(limit))
            bottom = tirx.Select(n() < tirx.const(0, "int32"), -top, real(0))
            return te.compute((), lambda: top if sign > 0 else bottom, name="end")

        return g.te(compute, reach, lowest, name="range_end")

    return [end(-1), end(1)]


@QUANTIZED_CHANNELS.op("RequantizePerChannel")
def requantize_channels(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Each channel by its scale, halves to even, to the range that is asked for.

    Source: tensorflow/core/kernels/mkl/mkl_requantize_per_channel_op.cc.
    """
    x, low, high = (g.arg(node, i) for i in range(3))
    dtype = str(node.attr("out_type", "uint8"))
    if dtype not in ("int8", "uint8"):
        raise BadAttr(node, "out_type", found=dtype, expected=("qint8", "quint8"))
    steps, new = Steps(dtype), range_ends(g, node, 3)

    def compute(t: te.Tensor, *given: te.Tensor) -> te.Tensor:
        a, b, first, last = given

        def element(*i: Any) -> Any:
            share = _reach(a(i[-1]), b(i[-1])) / _reach(first(), last()) / _HALF_RANGE
            step = tirx.nearbyint(real(t(*i)) * (real(steps.high) * share))
            inside = tirx.min(tirx.max(step, real(steps.low)), real(steps.high))
            return tirx.Cast(dtype, tirx.Cast("int32", inside))

        return te.compute(t.shape, element, name="requantize")

    return [g.te(compute, x, low, high, *new, name="requantize"), *new]
