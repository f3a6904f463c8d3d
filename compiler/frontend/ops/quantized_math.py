"""Sums, products and joined tensors of integers that stand for real numbers in a range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.frontend.broadcasting import broadcast
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import product
from dlcc.compiler.frontend.ops.quantized import centered, product_range, range_ends
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.steps import Steps, real

QUANTIZED_MATH = OpTable()

R = relax.op
_SUM = Steps("int32")


@QUANTIZED_MATH.op("QuantizedMul")
def quantized_mul(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Source: tensorflow/core/kernels/quantized_mul_op.cc."""
    x, y, a, b = g.arg(node, 0), g.arg(node, 1), range_ends(g, node, 2), range_ends(g, node, 4)
    new = product_range(g, (g.dtype(x), g.dtype(y)), a, b)
    return [g.emit(R.multiply(*broadcast(g, centered(g, x, a), centered(g, y, b)))), *new]


@QUANTIZED_MATH.op("QuantizedAdd")
def quantized_add(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Source: tensorflow/core/kernels/quantized_add_op.cc."""
    x, y, a, b = g.arg(node, 0), g.arg(node, 1), range_ends(g, node, 2), range_ends(g, node, 4)
    new = _sum_range(g, [*a, *b], 14)
    first = _single_step if product(g.shape(x)) == 1 else _linear_step
    alone = first is _linear_step and product(g.shape(y)) == 1
    terms = [
        _in_range(g, x, [*a, *new], first),
        _in_range(g, y, [*b, *new], _single_step if alone else _linear_step),
    ]
    return [g.emit(R.add(*broadcast(g, *terms))), *new]


@QUANTIZED_MATH.op("QuantizedBiasAdd")
def quantized_bias_add(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Source: tensorflow/core/kernels/quantization_utils.h, QuantizedAddUsingEigen."""
    a, b = range_ends(g, node, 2), range_ends(g, node, 4)
    new = _sum_range(g, [*a, *b], 17)
    terms = [
        _in_range(g, g.arg(node, i), [*ends, *new], _tensor_step)
        for i, ends in enumerate((a, b))
    ]  # fmt: skip

    def compute(first: te.Tensor, last: te.Tensor) -> te.Tensor:
        zero = tirx.Cast("int32", _SUM.of_real(real(0), first(), last()))
        return te.compute((), lambda: zero, name="zero")

    zero = g.te(compute, *new, name="zero")
    return [g.emit(R.add(terms[0], g.emit(R.add(terms[1], zero)))), *new]


def _sum_range(g: Emitter, ends: Sequence[relax.Expr], headroom_bits: int) -> list[relax.Expr]:
    """A range around 0 with room for sums: GetOutputMinAndMaxForQuantizedAdd."""

    def one(sign: int) -> relax.Expr:
        def compute(*given: te.Tensor) -> te.Tensor:
            lows, highs = ([t() for t in given[k::2]] for k in range(2))
            most = tirx.max(tirx.abs(tirx.min(*lows)), tirx.abs(tirx.max(*highs)))
            return te.compute((), lambda: most * real(sign << headroom_bits), name="range")

        return g.te(compute, *ends, name="sum_range")

    return [one(-1), one(1)]


# (steps of the tensor, its integer, the ends of its range and of the new one) -> the new integer
Requantized = Callable[[Steps, Any, Sequence[Any]], Any]


def _in_range(
    g: Emitter, x: relax.Expr, ends: Sequence[relax.Expr], step: Requantized
) -> relax.Expr:
    """The integers of a tensor as int32 in another range."""
    steps = Steps(g.dtype(x))

    def compute(t: te.Tensor, *given: te.Tensor) -> te.Tensor:
        numbers = [e() for e in given]
        return te.compute(
            t.shape, lambda *i: tirx.Cast("int32", step(steps, t(*i), numbers)), name="requantize"
        )

    return g.te(compute, x, *ends, name="requantize")


def _tensor_step(steps: Steps, x: Any, ends: Sequence[Any]) -> Any:
    return _SUM.of_tensor(steps.to_tensor(x, *ends[:2]), *ends[2:])


def _single_step(steps: Steps, x: Any, ends: Sequence[Any]) -> Any:
    return _SUM.of_real(steps.to_real(x, *ends[:2]), *ends[2:])


def _linear_step(steps: Steps, x: Any, ends: Sequence[Any]) -> Any:
    """What 0 stands for, and as often as x says the distance from there to what 1 stands for."""
    zero, one = (
        _SUM.unbounded(steps.to_real(tirx.const(k, steps.dtype), *ends[:2]), *ends[2:])
        for k in (0, 1)
    )
    return _SUM.bounded(zero + tirx.Cast("int64", x) * (one - zero))


@QUANTIZED_MATH.op("QuantizedConcat")
def quantized_concat(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Joined in the range that holds those of all.

    Source: tensorflow/core/kernels/quantized_concat_op.cc.
    """
    axis, count = int(g.static(node, 0, "the axis").item()), (len(node.inputs) - 1) // 3
    tensors = [g.arg(node, 1 + i) for i in range(count)]
    lows, highs = (
        [g.emit(g.reshape(g.arg(node, k * count + 1 + i), [])) for i in range(count)]
        for k in (1, 2)
    )
    low, high = (g.emit(f(R.stack(t, 0))) for f, t in ((R.min, lows), (R.max, highs)))
    parts = [
        _moved(g, x, [a, b, low, high])
        for x, a, b in zip(tensors, lows, highs, strict=True)
    ]  # fmt: skip
    return [g.emit(R.concat(parts, axis)), low, high]


def _moved(g: Emitter, x: relax.Expr, ends: Sequence[relax.Expr]) -> relax.Expr:
    """The integers of a tensor in another range, the same ones in the same range."""
    steps = Steps(g.dtype(x))

    def compute(t: te.Tensor, *given: te.Tensor) -> te.Tensor:
        low, high, first, last = (e() for e in given)
        same = tirx.all(low == first, high == last)

        def element(*i: Any) -> Any:
            moved = steps.of_tensor(steps.to_tensor(t(*i), low, high), first, last)
            return tirx.if_then_else(same, t(*i), tirx.Cast(steps.dtype, _whole(moved)))

        return te.compute(t.shape, element, name="requantize")

    return g.te(compute, x, *ends, name="requantize")


def _whole(step: Any) -> Any:
    """A step in single precision as an integer, from which every dtype can be cast."""
    return tirx.Cast("int32", step)
