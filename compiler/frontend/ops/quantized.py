"""Integers that stand for real numbers in a range: TF1's quantised inference.

quint8, qint8 and qint32 are plain integers here; the ends of a tensor's range are two more tensors.
Source of the formulas: tensorflow/core/kernels/quantization_utils.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import wide
from dlcc.compiler.frontend.ops.conv import convolved
from dlcc.compiler.frontend.ops.pool import avg_pool, max_pool
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.steps import Steps, away, real

QUANTIZED = OpTable()

R = relax.op


def range_ends(g: Emitter, node: Node, first: int, axis: int = -1) -> list[relax.Expr]:
    """The ends of a range, inputs `first` and the next: scalars, or one an index along the axis."""
    ends = [g.arg(node, first), g.arg(node, first + 1)]
    if axis < 0 and all(hasattr(t, "value") for t in ends):  # stays a number: see `centered`
        return [g.const(t.value.numpy().reshape(()), "float32") for t in ends]
    return [g.emit(g.reshape(t, [] if axis < 0 else [g.shape(t)[0]])) for t in ends]


def _picked(t: te.Tensor, i: Sequence[Any], axis: int) -> Any:
    return t() if axis < 0 else t(i[axis])


def _checked(node: Node, name: str, default: str, expected: Sequence[str]) -> str:
    value = str(node.attr(name) or default)
    if value not in expected:
        raise BadAttr(node, name, found=value, expected=expected)
    return value


_MODES = ("MIN_COMBINED", "MIN_FIRST", "SCALED")


@QUANTIZED.op("QuantizeV2")
def quantize(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """The integers and the ends of the range, which 0 lies in and which is not too narrow.

    Source: tensorflow/core/kernels/quantize_op.cc.
    """
    x, axis, steps = g.arg(node, 0), int(node.attr("axis", -1)), Steps(str(node.attr("T")))
    mode = _checked(node, "mode", "MIN_COMBINED", _MODES)
    rounding = _checked(
        node, "round_mode", "HALF_AWAY_FROM_ZERO", ("HALF_AWAY_FROM_ZERO", "HALF_TO_EVEN")
    )
    ends = _widened(g, node, steps, mode, range_ends(g, node, 1, axis))
    nearest = tirx.nearbyint if rounding == "HALF_TO_EVEN" else away

    def compute(t: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            low, high, value = _picked(a, i, axis), _picked(b, i, axis), t(*i)
            if mode == "MIN_FIRST":
                step = steps.of_tensor(value, low, high)
            else:
                inside = tirx.max(tirx.min(value, high), low)
                step = _step(steps, mode, inside, low, high)
                rounded = mode == "SCALED" or steps.low < 0
                step = nearest(step) if rounded else step + real(0.5)
            return tirx.Cast(steps.dtype, wide(step))

        return te.compute(t.shape, element, name="quantize")

    return [g.te(compute, x, *ends, name="quantize"), *ends]


def _step(steps: Steps, mode: str, x: Any, low: Any, high: Any) -> Any:
    if mode == "SCALED":
        # the ends stand for the largest integers here
        return x * (real(steps.high) / high)
    scale = real(steps.high - steps.low) / (high - low)
    half = steps.count / 2 if steps.low < 0 else 0
    return (x - low) * scale - real(half)


def _widened(
    g: Emitter, node: Node, steps: Steps, mode: str, ends: Sequence[relax.Expr]
) -> list[relax.Expr]:
    """The range with 0 in it and of a least width; SCALED: from what the integers reach."""
    least = float(node.attr("ensure_minimum_range", 0.01))
    lowest = steps.low + int(bool(node.attr("narrow_range", False)))
    most = real(float(np.finfo(np.float32).max))

    def bounds(low: Any, high: Any) -> tuple[Any, Any]:
        size = tirx.max(real(1), tirx.max(tirx.abs(low), tirx.abs(high))) * real(least)
        bottom = tirx.min(real(0), low)
        top = tirx.max(real(0), tirx.max(high, bottom + size))
        if mode != "SCALED":
            return bottom, top
        sides = [(real(lowest), bottom), (real(steps.high), top)]
        scales = [tirx.if_then_else(n * end > real(0), n / end, most) for n, end in sides]
        scale = tirx.min(*scales)
        return real(lowest) / scale, real(steps.high) / scale

    def one(which: int) -> relax.Expr:
        def compute(a: te.Tensor, b: te.Tensor) -> te.Tensor:
            return te.compute(a.shape, lambda *i: bounds(a(*i), b(*i))[which], name="range")

        return g.te(compute, *ends, name="quantize_range")

    return [one(0), one(1)]


@QUANTIZED.op("Dequantize")
def dequantize(g: Emitter, node: Node) -> relax.Expr:
    """Source: tensorflow/core/kernels/dequantize_op.cc."""
    x, axis = g.arg(node, 0), int(node.attr("axis", -1))
    steps, dtype = Steps(g.dtype(x)), str(node.attr("dtype", "float32"))
    mode = _checked(node, "mode", "MIN_COMBINED", _MODES)
    lowest = steps.low + int(bool(node.attr("narrow_range", False)))

    def number(value: Any, low: Any, high: Any) -> Any:
        if mode == "SCALED":
            scale = high / real(steps.high)
            return value * (tirx.max(low / real(lowest), scale) if steps.low else scale)
        if mode == "MIN_COMBINED":
            half = real(steps.count / 2 if steps.low else 0)
            return (value + half) * ((high - low) / real(steps.high - steps.low)) + low
        return steps.to_tensor(value, low, high)

    def compute(t: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            value = number(real(t(*i)), _picked(a, i, axis), _picked(b, i, axis))
            return tirx.Cast(dtype, value)

        return te.compute(t.shape, element, name="dequantize")

    return g.te(compute, x, *range_ends(g, node, 1, axis), name="dequantize")


# ---------------------------------------------------------------- from 32 bits to 8


def _used_range(g: Emitter, node: Node) -> list[relax.Expr]:
    """The range that the elements of a tensor (and 0) really span."""
    x, ends = g.arg(node, 0), range_ends(g, node, 1)
    steps = Steps(g.dtype(x))

    def one(extreme: relax.Expr, at_most: bool) -> relax.Expr:
        def compute(t: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
            value = steps.to_real(t(), a(), b())
            value = tirx.min(value, real(0)) if at_most else value
            return te.compute((), lambda: value, name="used")

        return g.te(compute, extreme, *ends, name="used_range")

    return [one(g.emit(R.min(x)), True), one(g.emit(R.max(x)), False)]


def _to_bytes(
    g: Emitter, x: relax.Expr, ends: Sequence[relax.Expr], new: Sequence[relax.Expr]
) -> relax.Expr:
    """qint32 to quint8 in fixed point with 16 bits, as RequantizeManyInNewRange."""

    def compute(t: te.Tensor, *given: te.Tensor) -> te.Tensor:
        low, high, first, last = (e() for e in given)
        span, step = high - low, last - first
        none = step == real(0)
        safe = real(tirx.if_then_else(none, real(1), step), "float64")
        zero = tirx.const(0, "int64")
        whole = real(255.0 * 65536, "float64") * real(span, "float64") / safe
        scale = tirx.if_then_else(none, zero, wide(whole))
        middle = real(real(low + high, "float64") / real(2, "float64"))
        inverse = tirx.if_then_else(none, real(0), real(real(255, "float64") / safe))
        shift = wide(middle * inverse * real(65536))
        begin = real(first, "float64") * real(255, "float64")
        begin = wide(real(65536, "float64") * begin / safe)
        rest = shift - tirx.if_then_else(none, zero, begin) + 32768

        def element(*i: Any) -> Any:
            scaled = (wide(t(*i)) * scale) >> tirx.const(32, "int64")
            value = (scaled + rest) >> tirx.const(16, "int64")
            return tirx.Cast("uint8", tirx.min(tirx.max(value, zero), wide(255)))

        return te.compute(t.shape, element, name="requantize")

    return g.te(compute, x, *ends, *new, name="requantize")


def _require_bytes(g: Emitter, node: Node) -> None:
    """Raises BadAttr for what TensorFlow's CPU has no kernel for."""
    found = (g.dtype(g.arg(node, 0)), str(node.attr("out_type", "uint8")))
    if found != ("int32", "uint8"):
        raise BadAttr(node, "out_type", found=found, expected=("qint32 to quint8",))


@QUANTIZED.op("RequantizationRange")
def requantization_range(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    return _used_range(g, node)


@QUANTIZED.op("Requantize", "QuantizeDownAndShrinkRange")
def requantize(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """To a range that is asked for, or to the one that the elements span."""
    _require_bytes(g, node)
    new = range_ends(g, node, 3) if node.op == "Requantize" else _used_range(g, node)
    return [_to_bytes(g, g.arg(node, 0), range_ends(g, node, 1), new), *new]


# ---------------------------------------------------------------- layers


def _step_of(g: Emitter, value: relax.Expr, dtype: str, ends: Sequence[relax.Expr]) -> relax.Expr:
    """The integer that stands for a number in a range: a scalar int32."""

    def compute(x: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
        step = Steps(dtype).of_real(x(), a(), b())
        return te.compute((), lambda: tirx.Cast("int32", step), name="step")

    return g.te(compute, value, *ends, name="step")


def centered(g: Emitter, x: relax.Expr, ends: Sequence[relax.Expr]) -> relax.Expr:
    """The integers less the one that stands for 0, in 32 bits; that may lie outside of theirs."""
    steps = Steps(g.dtype(x))
    if all(hasattr(end, "value") for end in ends):  # a number: targets know kernels for that form
        low, high = (float(end.value.numpy()) for end in ends)
        middle = g.const(steps.zero(low, high), "int32")
        return g.emit(R.subtract(g.emit(R.astype(x, "int32")), middle))

    def compute(t: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
        zero = tirx.Cast("int32", steps.unbounded(real(0), a(), b()))
        return te.compute(t.shape, lambda *i: tirx.Cast("int32", t(*i)) - zero, name="centered")

    return g.te(compute, x, *ends, name="centered")


def product_range(
    g: Emitter, dtypes: tuple[str, str], a: Sequence[relax.Expr], b: Sequence[relax.Expr]
) -> list[relax.Expr]:
    """The range of 32 bits of products: QuantizationRangeForMultiplication."""

    def one(end: int) -> relax.Expr:
        def compute(*given: te.Tensor) -> te.Tensor:
            levels = [
                (high() - low()) / real(Steps(d).count - 1)
                for d, low, high in zip(dtypes, given[::2], given[1::2], strict=True)
            ]
            return te.compute((), lambda: levels[0] * levels[1] * real(end), name="range")

        return g.te(compute, *a, *b, name="product_range")

    return [one(-(1 << 31)), one((1 << 31) - 1)]


@QUANTIZED.op("QuantizedConv2D", "QuantizedMatMul")
def quantized_product(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Integers and their range.

    Source: tensorflow/core/kernels/quantized_conv_ops.cc, quantized_matmul_op.cc.
    """
    x, w, a, b = g.arg(node, 0), g.arg(node, 1), range_ends(g, node, 2), range_ends(g, node, 4)
    new = product_range(g, (g.dtype(x), g.dtype(w)), a, b)
    left, right = centered(g, x, a), centered(g, w, b)
    if node.op == "QuantizedConv2D":
        return [g.emit(convolved(g, node, left, right)), *new]
    left = g.emit(R.permute_dims(left)) if node.attr("transpose_a", False) else left
    right = g.emit(R.permute_dims(right)) if node.attr("transpose_b", False) else right
    return [g.emit(R.matmul(left, right)), *new]


@QUANTIZED.op("QuantizedRelu", "QuantizedRelu6", "QuantizedReluX")
def quantized_relu(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Source: tensorflow/core/kernels/quantized_activation_ops.cc.

    TensorFlow has no kernel for QuantizedReluX: it is Relu6 with another number for the 6.
    """
    x, limited = g.arg(node, 0), node.op == "QuantizedReluX"
    ends = range_ends(g, node, 2 if limited else 1)
    zero, six = g.const(0.0, "float32"), g.const(6.0, "float32")
    y = R.maximum(R.astype(x, "int32"), _step_of(g, zero, g.dtype(x), ends))
    if node.op != "QuantizedRelu":
        top = g.emit(g.reshape(g.arg(node, 1), [])) if limited else six
        y = R.minimum(g.emit(y), _step_of(g, top, g.dtype(x), ends))
    return [g.emit(R.astype(g.emit(y), g.dtype(x))), *ends]


@QUANTIZED.op("QuantizedMaxPool")
def quantized_max_pool(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    inner = Node(node.name, node.op, node.inputs[:1], node.attrs)
    return [g.emit(max_pool(g, inner)), *range_ends(g, node, 1)]


@QUANTIZED.op("QuantizedAvgPool")
def quantized_avg_pool(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """The mean of the integers inside, less its fraction."""
    dtype = g.dtype(g.arg(node, 0))
    inner = Node(node.name, node.op, node.inputs[:1], node.attrs)
    with g.widened(dtype, "int32"):
        mean = g.emit(avg_pool(g, inner))
    return [g.emit(R.astype(mean, dtype)), *range_ends(g, node, 1)]


@QUANTIZED.op("QuantizedReshape")
def quantized_reshape(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    x, dims = g.arg(node, 0), g.dims(node, 1)
    return [g.emit(g.reshape(x, dims)), *range_ends(g, node, 2)]
