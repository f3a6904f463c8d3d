"""Integers with a scale and a zero point, for a tensor or for each index along an axis."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from tvm import relax, te, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.broadcasting import broadcast
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.steps import away, real

UNIFORM = OpTable()

R = relax.op


def _int(value: Any) -> Any:
    return tirx.Cast("int32", value)


def _picked(t: te.Tensor, i: Sequence[Any], axis: int) -> Any:
    return t(i[axis]) if len(t.shape) else t()


def _limits(node: Node, prefix: str = "") -> tuple[Any, Any]:
    ends = (node.attr(f"{prefix}quantization_{end}_val", 0) for end in ("min", "max"))
    low, high = (tirx.const(int(v), "int32") for v in ends)
    return low, high


def _axis(node: Node, prefix: str = "") -> int:
    return int(node.attr(f"{prefix}quantization_axis", -1))


@UNIFORM.op("UniformQuantize")
def uniform_quantize(g: Emitter, node: Node) -> relax.Expr:
    """Source: tensorflow/core/kernels/uniform_quant_ops/math_utils.h, AffineQuantize."""
    dtype, axis, (low, high) = str(node.attr("Tout")), _axis(node), _limits(node)

    def compute(t: te.Tensor, scale: te.Tensor, zero: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            inverse = real(1) / _picked(scale, i, axis)
            step = _int(tirx.floor(t(*i) * inverse + real(0.5))) + _picked(zero, i, axis)
            return tirx.Cast(dtype, tirx.max(tirx.min(step, high), low))

        return te.compute(t.shape, element, name="quantize")

    return g.te(compute, *g.args(node), name="uniform_quantize")


@UNIFORM.op("UniformDequantize")
def uniform_dequantize(g: Emitter, node: Node) -> relax.Expr:
    """Source: tensorflow/core/kernels/uniform_quant_ops/math_utils.h, AffineDequantize."""
    axis = _axis(node)

    def compute(t: te.Tensor, scale: te.Tensor, zero: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            return real(_int(t(*i)) - _picked(zero, i, axis)) * _picked(scale, i, axis)

        return te.compute(t.shape, element, name="dequantize")

    return g.te(compute, *g.args(node), name="uniform_dequantize")


@UNIFORM.op("UniformQuantizedClipByValue")
def uniform_clip(g: Emitter, node: Node) -> relax.Expr:
    axis = _axis(node)

    def compute(t: te.Tensor, low: te.Tensor, high: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            return tirx.min(tirx.max(t(*i), _picked(low, i, axis)), _picked(high, i, axis))

        return te.compute(t.shape, element, name="clip")

    return g.te(compute, *(g.arg(node, k) for k in range(3)), name="uniform_clip")


# ---------------------------------------------------------------- from one scale to another


# (a scale, or one for each index along an axis; that axis)
Scale = tuple[relax.Expr, int]


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Factors in fixed point, one for each index along `axes`, flat.

    They are tensors, made by a kernel of their own: as an expression, a factor would be worked out
    again for every element, and TVM takes seconds to simplify its many choices."""

    multiplier: relax.Expr
    shift: relax.Expr
    axes: tuple[int, ...]
    sizes: tuple[Dim, ...]

    def place(self, i: Sequence[Any]) -> Any:
        """Where the factor of the element at `i` is."""
        at: Any = wide(0)
        for axis, size in zip(self.axes, self.sizes, strict=True):
            at = at * wide(size) + wide(i[axis])
        return at


def _fixed(g: Emitter, factors: Sequence[Scale], divisor: Scale) -> _Fixed:
    """The product of factors by the divisor, positive doubles, as integers of 31 bits and shifts.

    Source: tensorflow/core/kernels/uniform_quant_ops/math_utils.cc, QuantizeMultiplier.
    """
    along = {axis: g.shape(s)[0] for s, axis in (*factors, divisor) if g.rank(s)}
    axes, sizes = tuple(sorted(along)), tuple(along[a] for a in sorted(along))
    scales = [s for s, _ in (*factors, divisor)]
    of_axis = [axis if g.rank(s) else None for s, axis in (*factors, divisor)]
    count = product(sizes)

    def body(*buffers: Any) -> None:
        *given, multiplier, shift, fraction = buffers
        with T.serial(0, count) as n:
            index = _unravelled(wide(n), axes, sizes)
            *over, under = (
                real(t[0 if a is None else index[a]], "float64")
                for t, a in zip(given, of_axis, strict=True)
            )
            fraction[0] = reduce(operator.mul, over) / under
            _split(n, multiplier, shift, fraction)

    outputs = [([count], "int64"), ([count], "int64"), ((1,), "float64")]
    multiplier, shift, _ = loop_kernel(g, "uniform_factors", scales, outputs, body, sizes)
    return _Fixed(multiplier, shift, axes, sizes)


def _unravelled(n: Any, axes: Sequence[int], sizes: Sequence[Dim]) -> dict[int, Any]:
    """The index along each axis of a flat position."""
    index = {}
    for axis, size in reversed([*zip(axes, sizes, strict=True)]):
        index[axis] = tirx.floormod(n, wide(size))
        n = tirx.floordiv(n, wide(size))
    return index


def _split(n: Any, whole: Any, shift: Any, fraction: Any) -> None:
    """Emit: fraction[0] as whole[n] / 2**31 * 2**shift[n]."""

    def number(value: int) -> Any:
        return tirx.const(value, "int64")

    bits = tirx.reinterpret("int64", fraction[0])
    shift[n] = ((bits >> number(52)) & number(0x7FF)) - number(1022)
    fraction[0] = tirx.reinterpret(
        "float64", (bits & number((1 << 52) - 1)) | number(1022 << 52)
    ) * real(1 << 31, "float64")
    whole[n] = wide(away(fraction[0]))
    with T.If(whole[n] == number(1 << 31)), T.Then():
        whole[n] = number(1 << 30)
        shift[n] = shift[n] + number(1)
    with T.If(shift[n] < number(-31)), T.Then():
        whole[n] = number(0)
        shift[n] = number(0)
    with T.If(shift[n] > number(30)), T.Then():
        whole[n] = number((1 << 31) - 1)
        shift[n] = number(30)


def _scaled(x: Any, multiplier: Any, shift: Any) -> Any:
    """x (int32) times a factor in fixed point: MultiplyByQuantizedMultiplier."""
    total = tirx.const(31, "int64") - shift
    half = tirx.const(1, "int64") << (total - tirx.const(1, "int64"))
    result = (wide(x) * multiplier + half) >> total
    least, most = tirx.const(-(1 << 31), "int64"), tirx.const((1 << 31) - 1, "int64")
    return _int(tirx.max(tirx.min(result, most), least))


def _requantized(
    g: Emitter, x: relax.Expr, old: Sequence[relax.Expr], new: relax.Expr, axes: tuple[int, int]
) -> relax.Expr:
    """int32 with another scale.

    old: the scale and the zero point.   new: the scale.   axes: the one of each.
    """
    fixed = _fixed(g, [(old[0], axes[0])], (new, axes[1]))

    def compute(t: te.Tensor, zero: te.Tensor, m: te.Tensor, shift: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            at = fixed.place(i)
            return _scaled(_int(t(*i)) - _picked(zero, i, axes[0]), m(at), shift(at))

        return te.compute(t.shape, element, name="rescale")

    return g.te(compute, x, old[1], fixed.multiplier, fixed.shift, name="uniform_rescale")


def _placed(g: Emitter, node: Node, x: relax.Expr, zero: relax.Expr, dtype: str) -> relax.Expr:
    """A zero point added, then what the output's attributes allow."""
    axis, (low, high) = _axis(node, "output_"), _limits(node, "output_")

    def compute(t: te.Tensor, z: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            moved = t(*i) + _picked(z, i, axis)
            return tirx.Cast(dtype, tirx.max(tirx.min(moved, high), low))

        return te.compute(t.shape, element, name="place")

    return g.te(compute, x, zero, name="uniform_place")


@UNIFORM.op("UniformRequantize")
def uniform_requantize(g: Emitter, node: Node) -> relax.Expr:
    """Source: tensorflow/core/kernels/uniform_quant_ops/requantize.h."""
    x, scale, zero, new_scale, new_zero = g.args(node)
    axes = (_axis(node, "input_"), _axis(node, "output_"))
    y = _requantized(g, x, [scale, zero], new_scale, axes)
    return _placed(g, node, y, new_zero, str(node.attr("Tout")))


@UNIFORM.op("UniformQuantizedAdd")
def uniform_add(g: Emitter, node: Node) -> relax.Expr:
    """Source: tensorflow/core/kernels/uniform_quant_ops/uniform_quantized_add_op.cc."""
    args, output = g.args(node), _axis(node, "output_")
    terms = []
    for k, side in enumerate(("lhs_", "rhs_")):
        axis = _axis(node, side)
        # an axis of the result, counted from its end, is one of the operand
        behind = output - max(g.rank(args[0]), g.rank(args[1])) + g.rank(args[k])
        pair = (axis, behind if output >= 0 else axis)
        terms.append(_requantized(g, args[k], args[2 + 2 * k : 4 + 2 * k], args[6], pair))
    total = g.emit(R.add(*broadcast(g, *terms)))
    return _placed(g, node, total, args[7], "int32")


# ---------------------------------------------------------------- products


def _from_zero(g: Emitter, x: relax.Expr, zero: relax.Expr, axis: int) -> relax.Expr:
    def compute(t: te.Tensor, z: te.Tensor) -> te.Tensor:
        return te.compute(t.shape, lambda *i: _int(t(*i)) - _picked(z, i, axis), name="centered")

    return g.te(compute, x, zero, name="centered")


@UNIFORM.op("UniformQuantizedDot")
def uniform_dot(g: Emitter, node: Node) -> relax.Expr:
    """(b, k) times (k, c).

    Source: tensorflow/core/kernels/uniform_quant_ops/uniform_quantized_dot_ops.cc.
    """
    x, w, x_scale, x_zero, w_scale, w_zero, scale, zero = g.args(node)
    y = R.matmul(_from_zero(g, x, x_zero, -1), _from_zero(g, w, w_zero, 1))
    fixed = _fixed(g, [(x_scale, 1), (w_scale, 1)], (scale, 1))

    def compute(t: te.Tensor, m: te.Tensor, shift: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            at = fixed.place(i)
            return _scaled(t(*i), m(at), shift(at))

        return te.compute(t.shape, element, name="rescale")

    scaled = g.te(compute, g.emit(y), fixed.multiplier, fixed.shift, name="uniform_rescale")
    return _placed(g, node, scaled, zero, str(node.attr("Tout")))


@UNIFORM.op("UniformQuantizedDotHybrid")
def uniform_dot_hybrid(g: Emitter, node: Node) -> relax.Expr:
    """(b, k) of real numbers, each row in 8 bits of its own range, times (k, c).

    Source: tensorflow/core/kernels/uniform_quant_ops/uniform_quantized_dot_ops.cc, EvalHybridDot.
    """
    x, w, w_scale, w_zero = g.args(node)
    if g.dtype(x) != "float32":
        raise BadAttr(node, "Tlhs", found=g.dtype(x), expected=("float32",))
    ends = [g.emit(f(x, [1])) for f in (R.min, R.max)]
    scale, *facts = _row_facts(g, ends)
    steps = _row_steps(g, x, facts)
    y = g.emit(R.matmul(steps, _from_zero(g, w, w_zero, 1)))

    def compute(t: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
        return te.compute(t.shape, lambda *i: real(t(*i)) * a(i[0]) * _picked(b, i, 1), name="dot")

    return g.te(compute, y, scale, w_scale, name="uniform_dot")


def _range_of(low: Any, high: Any) -> tuple[Any, Any, Any, Any, Any]:
    """(scale, its inverse, whether there is one, the ends with 0 between them)."""
    first = real(tirx.min(low, real(0)), "float64")
    last = real(tirx.max(high, real(0)), "float64")
    span, levels = last - first, real(255, "float64")
    scale = real(span / levels)
    inverse = real(levels / tirx.Select(span == real(0, "float64"), real(1, "float64"), span))
    usable = tirx.all(scale != real(0), tirx.Not(tirx.isinf(inverse)))
    return scale, inverse, usable, first, last


def _row_facts(g: Emitter, ends: Sequence[relax.Expr]) -> list[relax.Expr]:
    """The scale of each row, its inverse, its zero point, and whether the row has a range.

    A row without a range has scale 1."""
    (count,) = g.shape(ends[0])

    def body(low: Any, high: Any, scale: Any, inverse: Any, zero: Any, used: Any) -> None:
        with T.serial(0, count) as i:
            step, inverse[i], usable, first, last = _range_of(low[i], high[i])
            used[i] = tirx.Cast("int32", usable)
            scale[i] = tirx.Select(used[i] != tirx.const(0, "int32"), step, real(1))
            zero[i] = _zero_point(scale[i], first, last)

    outputs = [([count], dtype) for dtype in ("float32", "float32", "int32", "int32")]
    return loop_kernel(g, "row_facts", ends, outputs, body)


def _row_steps(g: Emitter, x: relax.Expr, facts: Sequence[relax.Expr]) -> relax.Expr:
    """The steps of each row from its zero point: AsymmetricQuantize."""

    def compute(t: te.Tensor, inverse: te.Tensor, zero: te.Tensor, used: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            step = _int(tirx.floor(t(*i) * inverse(i[0]) + real(0.5))) + zero(i[0])
            least, most = tirx.const(-128, "int32"), tirx.const(127, "int32")
            inside = tirx.max(tirx.min(step, most), least)
            nothing = tirx.const(0, "int32")
            return tirx.Select(used(i[0]) != nothing, inside - zero(i[0]), nothing)

        return te.compute(t.shape, element, name="row_steps")

    return g.te(compute, x, *facts, name="row_steps")


def _zero_point(scale: Any, first: Any, last: Any) -> Any:
    """The integer for 0, from the end of the range that gives it more exactly."""
    low, high, step = real(-128, "float64"), real(127, "float64"), real(scale, "float64")
    by_low, by_high = low - first / step, high - last / step
    errors = (-low + tirx.abs(first / step), high + tirx.abs(last / step))
    exact = tirx.Select(errors[0] < errors[1], by_low, by_high)
    return _int(away(tirx.min(tirx.max(exact, low), high)))
