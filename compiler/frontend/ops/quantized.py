"""Integers that stand for real numbers in a range: TF1's quantised inference.

quint8, qint8 and qint32 are plain integers here; the ends of a tensor's range are two more tensors.
Source of the formulas: tensorflow/core/kernels/quantization_utils.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import wide
from dlcc.compiler.frontend.ops.conv import convolved
from dlcc.compiler.frontend.ops.pool import max_pool
from dlcc.compiler.frontend.ops.table import OpTable

QUANTIZED = OpTable()

R = relax.op


def _real(value: Any, dtype: str = "float32") -> Any:
    if isinstance(value, int | float):
        return tirx.const(float(value), dtype)
    return tirx.Cast(dtype, value)


def _away(x: Any) -> Any:
    """Rounded to the nearest integer, halves away from zero, as C's round."""
    whole = tirx.trunc(x)
    one, none = tirx.const(1, x.ty.dtype), tirx.const(0, x.ty.dtype)
    step = tirx.Select(x < none, -one, one)
    return whole + tirx.Select(tirx.abs(x - whole) >= tirx.const(0.5, x.ty.dtype), step, none)


@dataclass(frozen=True, slots=True)
class Steps:
    """The integers of a dtype as steps of a range."""

    dtype: str

    @property
    def low(self) -> int:
        return int(np.iinfo(self.dtype).min)

    @property
    def high(self) -> int:
        return int(np.iinfo(self.dtype).max)

    @property
    def count(self) -> int:
        return self.high - self.low + 1

    def of_real(self, x: Any, low: Any, high: Any) -> Any:
        """The integer (int64) of a real number: FloatToQuantized."""
        span = _real(high - low, "float64") * _real(self.count / (self.count - 1.0), "float64")
        scale = _real(self.count, "float64") / span
        first, place = (_away(_real(v, "float64") * scale) for v in (low, x))
        step = wide(place - first) + tirx.const(self.low, "int64")
        inside = tirx.min(tirx.max(step, wide(self.low)), wide(self.high))
        return tirx.if_then_else(low == high, wide(self.low), inside)

    def to_real(self, x: Any, low: Any, high: Any) -> Any:
        """The real number of an integer: QuantizedToFloat."""
        span = _real(high - low, "float64") * _real(self.count / (self.count - 1.0), "float64")
        scale = span / _real(self.count, "float64")
        narrow = _real(scale)
        first = _away(low / narrow) * narrow
        offset = _real(x, "float64") - _real(self.low, "float64")
        result = _real(_real(first, "float64") + offset * scale)
        return tirx.if_then_else(low == high, low, result)


def _ends(g: Emitter, node: Node, first: int, axis: int = -1) -> list[relax.Expr]:
    """The ends of a range, inputs `first` and the next: scalars, or one an index along the axis."""
    ends = [g.arg(node, first), g.arg(node, first + 1)]
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
    ends = _widened(g, node, steps, mode, _ends(g, node, 1, axis))
    nearest = tirx.nearbyint if rounding == "HALF_TO_EVEN" else _away

    def compute(t: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            low, high, value = _picked(a, i, axis), _picked(b, i, axis), t(*i)
            if mode == "MIN_FIRST":
                step = _first_step(steps, value, low, high)
            else:
                inside = tirx.max(tirx.min(value, high), low)
                step = _step(steps, mode, inside, low, high)
                rounded = mode == "SCALED" or steps.low < 0
                step = nearest(step) if rounded else step + _real(0.5)
            return tirx.Cast(steps.dtype, wide(step))

        return te.compute(t.shape, element, name="quantize")

    return [g.te(compute, x, *ends, name="quantize"), *ends]


def _step(steps: Steps, mode: str, x: Any, low: Any, high: Any) -> Any:
    if mode == "SCALED":
        # the ends stand for the largest integers here
        return x * (_real(steps.high) / high)
    scale = _real(steps.high - steps.low) / (high - low)
    half = steps.count / 2 if steps.low < 0 else 0
    return (x - low) * scale - _real(half)


def _first_step(steps: Steps, x: Any, low: Any, high: Any) -> Any:
    """QUANTIZE_WITH_EIGEN."""
    scale = _real(_real(steps.count - 1.0, "float64") / _real(high - low, "float64"))
    step = _away(x * scale) - (_away(low * scale) - _real(steps.low))
    top = min(float(np.float32(steps.high)), 2147483520.0)
    return tirx.min(tirx.max(step, _real(steps.low)), _real(top))


def _widened(
    g: Emitter, node: Node, steps: Steps, mode: str, ends: Sequence[relax.Expr]
) -> list[relax.Expr]:
    """The range with 0 in it and of a least width; SCALED: from what the integers reach."""
    least = float(node.attr("ensure_minimum_range", 0.01))
    lowest = steps.low + int(bool(node.attr("narrow_range", False)))
    most = _real(float(np.finfo(np.float32).max))

    def bounds(low: Any, high: Any) -> tuple[Any, Any]:
        size = tirx.max(_real(1), tirx.max(tirx.abs(low), tirx.abs(high))) * _real(least)
        bottom = tirx.min(_real(0), low)
        top = tirx.max(_real(0), tirx.max(high, bottom + size))
        if mode != "SCALED":
            return bottom, top
        sides = [(_real(lowest), bottom), (_real(steps.high), top)]
        scales = [tirx.if_then_else(n * end > _real(0), n / end, most) for n, end in sides]
        scale = tirx.min(*scales)
        return _real(lowest) / scale, _real(steps.high) / scale

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

    def real(value: Any, low: Any, high: Any) -> Any:
        if mode == "SCALED":
            scale = high / _real(steps.high)
            return value * (tirx.max(low / _real(lowest), scale) if steps.low else scale)
        if mode == "MIN_COMBINED":
            half = _real(steps.count / 2 if steps.low else 0)
            return (value + half) * ((high - low) / _real(steps.high - steps.low)) + low
        scale = _real(_real(high - low, "float64") / _real(steps.count - 1.0, "float64"))
        first = tirx.if_then_else(high == low, low, _away(low / scale) * scale)
        return (first - _real(steps.low) * scale) + value * scale

    def compute(t: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            value = real(_real(t(*i)), _picked(a, i, axis), _picked(b, i, axis))
            return tirx.Cast(dtype, value)

        return te.compute(t.shape, element, name="dequantize")

    return g.te(compute, x, *_ends(g, node, 1, axis), name="dequantize")


# ---------------------------------------------------------------- from 32 bits to 8


def _used_range(g: Emitter, node: Node) -> list[relax.Expr]:
    """The range that the elements of a tensor (and 0) really span."""
    x, ends = g.arg(node, 0), _ends(g, node, 1)
    steps = Steps(g.dtype(x))

    def one(extreme: relax.Expr, at_most: bool) -> relax.Expr:
        def compute(t: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
            value = steps.to_real(t(), a(), b())
            value = tirx.min(value, _real(0)) if at_most else value
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
        none = step == _real(0)
        safe = _real(tirx.if_then_else(none, _real(1), step), "float64")
        zero = tirx.const(0, "int64")
        whole = _real(255.0 * 65536, "float64") * _real(span, "float64") / safe
        scale = tirx.if_then_else(none, zero, wide(whole))
        middle = _real(_real(low + high, "float64") / _real(2, "float64"))
        inverse = tirx.if_then_else(none, _real(0), _real(_real(255, "float64") / safe))
        shift = wide(middle * inverse * _real(65536))
        begin = _real(first, "float64") * _real(255, "float64")
        begin = wide(_real(65536, "float64") * begin / safe)
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
    new = _ends(g, node, 3) if node.op == "Requantize" else _used_range(g, node)
    return [_to_bytes(g, g.arg(node, 0), _ends(g, node, 1), new), *new]


# ---------------------------------------------------------------- layers


def _step_of(g: Emitter, value: float, dtype: str, ends: Sequence[relax.Expr]) -> relax.Expr:
    """The integer that stands for a number in a range: a scalar int32."""

    def compute(a: te.Tensor, b: te.Tensor) -> te.Tensor:
        step = Steps(dtype).of_real(_real(value), a(), b())
        return te.compute((), lambda: tirx.Cast("int32", step), name="step")

    return g.te(compute, *ends, name="step")


def _centered(g: Emitter, x: relax.Expr, ends: Sequence[relax.Expr]) -> relax.Expr:
    """The integers less the one that stands for 0, in 32 bits."""
    return g.emit(R.subtract(R.astype(x, "int32"), _step_of(g, 0.0, g.dtype(x), ends)))


def _product_range(
    g: Emitter, dtypes: tuple[str, str], a: Sequence[relax.Expr], b: Sequence[relax.Expr]
) -> list[relax.Expr]:
    """The range of 32 bits of products: QuantizationRangeForMultiplication."""

    def one(end: int) -> relax.Expr:
        def compute(*given: te.Tensor) -> te.Tensor:
            levels = [
                (high() - low()) / _real(Steps(d).count - 1)
                for d, low, high in zip(dtypes, given[::2], given[1::2], strict=True)
            ]
            return te.compute((), lambda: levels[0] * levels[1] * _real(end), name="range")

        return g.te(compute, *a, *b, name="product_range")

    return [one(-(1 << 31)), one((1 << 31) - 1)]


@QUANTIZED.op("QuantizedConv2D", "QuantizedMatMul")
def quantized_product(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Integers and their range.

    Source: tensorflow/core/kernels/quantized_conv_ops.cc, quantized_matmul_op.cc.
    """
    x, w, a, b = g.arg(node, 0), g.arg(node, 1), _ends(g, node, 2), _ends(g, node, 4)
    new = _product_range(g, (g.dtype(x), g.dtype(w)), a, b)
    left, right = _centered(g, x, a), _centered(g, w, b)
    if node.op == "QuantizedConv2D":
        return [g.emit(convolved(g, node, left, right)), *new]
    left = g.emit(R.permute_dims(left)) if node.attr("transpose_a", False) else left
    right = g.emit(R.permute_dims(right)) if node.attr("transpose_b", False) else right
    return [g.emit(R.matmul(left, right)), *new]


@QUANTIZED.op("QuantizedRelu", "QuantizedRelu6")
def quantized_relu(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Source: tensorflow/core/kernels/quantized_activation_ops.cc."""
    x, ends = g.arg(node, 0), _ends(g, node, 1)
    y = R.maximum(R.astype(x, "int32"), _step_of(g, 0.0, g.dtype(x), ends))
    if node.op == "QuantizedRelu6":
        y = R.minimum(g.emit(y), _step_of(g, 6.0, g.dtype(x), ends))
    return [g.emit(R.astype(g.emit(y), g.dtype(x))), *ends]


@QUANTIZED.op("QuantizedMaxPool")
def quantized_max_pool(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    inner = Node(node.name, node.op, node.inputs[:1], node.attrs)
    return [g.emit(max_pool(g, inner)), *_ends(g, node, 1)]


@QUANTIZED.op("QuantizedReshape")
def quantized_reshape(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    x, dims = g.arg(node, 0), g.dims(node, 1)
    return [g.emit(g.reshape(x, dims)), *_ends(g, node, 2)]
