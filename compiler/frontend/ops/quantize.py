"""Rounding to a few bits and back, as training for quantised inference does it."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.math import pointwise
from dlcc.compiler.frontend.ops.table import OpTable

QUANTIZE = OpTable()

R = relax.op

_ROUND_MODES = ("HALF_TO_EVEN", "HALF_UP")


@QUANTIZE.op(
    "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel"
)
def fake_quant(g: Emitter, node: Node) -> relax.Expr:
    """The range moved so that 0 is a step, then x rounded to the nearest step in it.

    Source: tensorflow/core/kernels/fake_quant_ops_functor.h, Nudge and FakeQuantFunctor.
    """
    x = g.arg(node, 0)
    if node.op == "FakeQuantWithMinMaxArgs":
        ends = (node.attr("min", -6.0), node.attr("max", 6.0))
        low, high = (g.const(float(v), "float32") for v in ends)
    else:
        low, high = g.arg(node, 1), g.arg(node, 2)
    first = g.const(1 if node.attr("narrow_range", False) else 0, "float32")
    last = g.const((1 << int(node.attr("num_bits", 8))) - 1, "float32")
    scale = g.emit(R.divide(R.subtract(high, low), R.subtract(last, first)))
    zero_point = g.emit(R.subtract(first, R.divide(low, scale)))
    nudged = g.emit(R.minimum(R.maximum(_half_up(g, zero_point), first), last))
    bottom = g.emit(R.multiply(R.subtract(first, nudged), scale))
    top = g.emit(R.multiply(R.subtract(last, nudged), scale))
    inside = R.subtract(R.minimum(R.maximum(x, bottom), top), bottom)
    steps = _half_up(g, g.emit(R.divide(inside, scale)))
    y = g.emit(R.add(R.multiply(steps, scale), bottom))
    empty = R.logical_and(R.equal(low, g.const(0, "float32")), R.equal(high, low))
    return R.where(empty, g.const(0, "float32"), y)


def _half_up(g: Emitter, x: relax.Expr) -> relax.Expr:
    return g.emit(R.floor(R.add(x, g.const(0.5, g.dtype(x)))))


@QUANTIZE.op(
    "QuantizeAndDequantize", "QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3",
    "QuantizeAndDequantizeV4",
)  # fmt: skip
def quantize_and_dequantize(g: Emitter, node: Node) -> relax.Expr:
    """x rounded to a step of a range that is given, or that of x itself, symmetric if signed.

    Source: tensorflow/core/kernels/quantize_and_dequantize_op.h,
    QuantizeAndDequantizeOneScaleImpl::ComputeQuantizationRange and Compute.
    """
    x = g.arg(node, 0)
    if node.op == "QuantizeAndDequantize":
        ends = (float(node.attr(k, 0.0)) for k in ("input_min", "input_max"))
        low, high = (g.const(v, g.dtype(x)) for v in ends)
    else:
        low, high = g.arg(node, 1), g.arg(node, 2)
    axis = int(node.attr("axis", -1))
    mode = str(node.attr("round_mode") or "HALF_TO_EVEN")
    if mode not in _ROUND_MODES:
        raise BadAttr(node, "round_mode", found=mode, expected=_ROUND_MODES)
    if not node.attr("range_given", False):
        axes = [i for i in range(g.rank(x)) if i != axis]
        low, high = g.emit(R.min(x, axes)), g.emit(R.max(x, axes))
    if axis >= 0:
        around = [g.shape(x)[i] if i == axis else 1 for i in range(g.rank(x))]
        low, high = g.emit(g.reshape(low, around)), g.emit(g.reshape(high, around))
    scale, low, high = _range(g, node, low, high)
    clamped = x
    if node.attr("range_given", False):
        clamped = R.minimum(R.maximum(x, low), high)
    scaled = g.emit(R.multiply(clamped, scale))
    if mode == "HALF_UP":
        rounded = _half_up(g, scaled)
    else:
        rounded = pointwise(g, scaled, tirx.nearbyint, "round_half_even")
    return R.divide(rounded, scale)


def _range(g: Emitter, node: Node, low: Any, high: Any) -> tuple[Any, Any, Any]:
    """Steps a unit, and the ends that the steps reach."""
    dtype = g.dtype(low)
    # V3 and V4 may compute the bits; in every exported graph they are constant
    given = len(node.inputs) > 3
    bits = int(g.static(node, 3, "the bits").item()) if given else int(node.attr("num_bits", 8))
    signed, narrow = bool(node.attr("signed_input", True)), bool(node.attr("narrow_range", False))
    bottom = -(1 << (bits - 1)) + int(narrow) if signed else 0
    top = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    zero, largest = g.const(0, dtype), g.const(_LARGEST[dtype], dtype)

    def over(number: int, end: Any) -> Any:
        """Steps a unit that `end` asks for; as good as none where it has another sign."""
        usable = R.greater(R.multiply(g.const(number, dtype), end), zero)
        return R.where(usable, R.divide(g.const(number, dtype), end), largest)

    by_low, by_high = g.emit(over(bottom, low)), g.emit(over(top, high))
    scale = g.emit(R.minimum(by_low, by_high))
    low_rules = R.less(by_low, by_high)
    high = g.emit(R.where(low_rules, R.divide(g.const(top, dtype), scale), high))
    low = g.emit(R.where(low_rules, low, R.divide(g.const(bottom, dtype), scale)))
    return scale, low, high


_LARGEST = {"float64": 1.7976931348623157e308, "float32": 3.4028234663852886e38, "float16": 65504.0}
