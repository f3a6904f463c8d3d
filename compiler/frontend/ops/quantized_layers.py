"""Norms and resizing of integers that stand for real numbers in a range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.quantized import range_ends
from dlcc.compiler.frontend.ops.resize import KERNEL, Axis
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.steps import Steps, real

QUANTIZED_LAYERS = OpTable()

R = relax.op


@QUANTIZED_LAYERS.op("QuantizedInstanceNorm")
def instance_norm(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Each channel of each image to mean 0 and variance 1, in the range that this gives.

    Source: tensorflow/core/kernels/quantized_instance_norm.cc.
    """
    low, high = range_ends(g, node, 1)
    x = g.emit(R.astype(g.arg(node, 0), "float32"))
    scale = g.emit(R.divide(g.emit(R.subtract(high, low)), g.const(255.0, "float32")))
    away = g.emit(R.subtract(x, g.emit(R.mean(x, [1, 2], True))))
    scaled = g.emit(R.multiply(scale, away))
    variance = g.emit(R.mean(g.emit(R.multiply(scaled, scaled)), [1, 2], True))
    around = R.add(variance, g.const(float(node.attr("variance_epsilon", 1e-5)), "float32"))
    normed = g.emit(R.multiply(scaled, g.emit(R.rsqrt(g.emit(around)))))
    ends = _norm_range(g, node, normed)

    def compute(t: te.Tensor, a: te.Tensor, b: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            step = Steps("uint8").of_tensor(t(*i), a(), b())
            return tirx.Cast("uint8", tirx.Cast("int32", step))

        return te.compute(t.shape, element, name="quantize")

    return [g.te(compute, normed, *ends, name="quantize"), *ends]


def _norm_range(g: Emitter, node: Node, normed: relax.Expr) -> list[relax.Expr]:
    """The range that is given, or that of the tensor, of a least width."""
    if node.attr("output_range_given", False):
        given = (float(node.attr(k, 0.0)) for k in ("given_y_min", "given_y_max"))
        low, high = (g.const(v, "float32") for v in given)
    else:
        low, high = g.emit(R.min(normed)), g.emit(R.max(normed))
    least = float(node.attr("min_separation", 1e-3))

    def compute(a: te.Tensor, b: te.Tensor) -> te.Tensor:
        narrow = b() - a() < real(least)
        return te.compute((), lambda: tirx.Select(narrow, a() + real(least), b()), name="top")

    return [low, g.te(compute, low, high, name="top")]


# the norm computes in fixed point: integers of 32 bits in this range
_REACH = float(1 << 20)
_FIXED = Steps("int32")


def _fixed(x: Any) -> Any:
    return _FIXED.of_real(x, real(-_REACH), real(_REACH))


@QUANTIZED_LAYERS.op("QuantizedBatchNormWithGlobalNormalization")
def batch_norm(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Source: tensorflow/core/kernels/quantized_batch_norm_op.cc, FixedPointBatchNorm."""
    tensors = [g.arg(node, 3 * k) for k in range(5)]
    ends = [e for k in range(5) for e in range_ends(g, node, 3 * k + 1)]
    epsilon = float(node.attr("variance_epsilon", 0.0))
    scaled = bool(node.attr("scale_after_normalization", False))
    steps = Steps(g.dtype(tensors[0]))

    def compute(x: te.Tensor, *given: te.Tensor) -> te.Tensor:
        (low, high), *ranges = ([t() for t in given[4 + 2 * k : 6 + 2 * k]] for k in range(5))

        def element(*i: Any) -> Any:
            mean, variance, beta, gamma = (
                steps.to_real(t(i[-1]), *r) for t, r in zip(given[:4], ranges, strict=True)
            )
            scale = real(1) / tirx.sqrt(variance + real(epsilon))
            scale = scale * gamma if scaled else scale
            offset = _fixed(-mean * scale + beta)
            value = _fixed(steps.to_real(x(*i), low, high))
            # 32 bits in TensorFlow, which wrap
            product = tirx.Cast("int32", value * _fixed(scale))
            whole = tirx.truncdiv(product, tirx.Cast("int32", _fixed(real(1))))
            return tirx.Cast("int32", tirx.Cast("int64", whole) + offset)

        return te.compute(x.shape, element, name="batch_norm")

    new = [g.const(v, "float32") for v in (-_REACH, _REACH)]
    return [g.te(compute, *tensors, *ends, name="batch_norm"), *new]


# bits behind the point
_FRACTION_BITS = {"uint8": 7, "int32": 30}


@QUANTIZED_LAYERS.op("QuantizedResizeBilinear")
def resize(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Bilinear in fixed point; the same size is copied.

    Source: tensorflow/core/kernels/quantized_resize_bilinear_op.cc, ComputeLerp.
    """
    x, size, dtype = g.arg(node, 0), g.dims(node, 1), g.dtype(g.arg(node, 0))
    if dtype not in _FRACTION_BITS:
        raise BadAttr(node, "T", found=dtype, expected=("quint8", "qint32"))
    bits = _FRACTION_BITS[dtype]
    corners, half = (bool(node.attr(k, False)) for k in ("align_corners", "half_pixel_centers"))

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given)
        out = [d if isinstance(d, int) else next(rest) for d in size]
        axes = [Axis(t.shape[1 + k], out[k], corners, half) for k in range(2)]
        same = tirx.all(out[0] == t.shape[1], out[1] == t.shape[2])

        def element(b: Any, y: Any, x: Any, c: Any) -> Any:
            (top, bottom, down), (left, right, across) = (
                _between(axis, at, bits) for axis, at in zip(axes, (y, x), strict=True)
            )
            corner = [t(b, row, column, c) for row in (top, bottom) for column in (left, right)]
            value = tirx.Cast(dtype, _mixed(corner, across, down, bits))
            # a position outside is never read: the sizes are equal then
            inside = (tirx.min(y, t.shape[1] - 1), tirx.min(x, t.shape[2] - 1))
            return tirx.if_then_else(same, t(b, *inside, c), value)

        return te.compute([t.shape[0], *out, t.shape[3]], element, name="resize")

    symbols = [d for d in size if not isinstance(d, int)]
    return [g.te(compute, x, *symbols, name="resize"), *range_ends(g, node, 2)]


def _between(axis: Axis, at: Any, bits: int) -> tuple[Any, Any, Any]:
    """The two input pixels that an output pixel lies between, and how far behind the first."""
    where = axis.place(KERNEL, real(at))
    below, last = tirx.floor(where), KERNEL.index(axis.size) - 1
    upper = tirx.min(KERNEL.index(tirx.ceil(where)), last)
    lower = tirx.min(tirx.max(KERNEL.index(below), tirx.const(0, "int64")), upper)
    return lower, upper, KERNEL.index((where - below) * real(1 << bits))


def _mixed(corner: Sequence[Any], across: Any, down: Any, bits: int) -> Any:
    """Four integers, each rounded to single precision first, as those dtypes of TensorFlow are."""
    a, b, c, d = (tirx.Cast("int64", real(v)) for v in corner)
    one = tirx.const(1 << bits, "int64")
    upper, lower = (p * one + (q - p) * across for p, q in ((a, b), (c, d)))
    value = upper + tirx.truncdiv(lower - upper, one) * down
    return tirx.truncdiv(value + tirx.const(1 << (bits - 1), "int64"), one)
