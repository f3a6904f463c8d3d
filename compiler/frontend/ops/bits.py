"""Bits: casts, reinterpretation, shifts, bitwise logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.frontend.complex_parts import PART_DTYPES
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.logic import differ
from dlcc.compiler.frontend.ops.math import binary_kernel, is_integer, pointwise
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Complex, Known

BITS = OpTable()

R = relax.op

_BITWISE: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "BitwiseAnd": (R.bitwise_and, np.bitwise_and),
    "BitwiseOr": (R.bitwise_or, np.bitwise_or),
    "BitwiseXor": (R.bitwise_xor, np.bitwise_xor),
}


@BITS.op(*_BITWISE, fold=lambda node, x, y: _BITWISE[node.op][1](x, y))
def bitwise(g: Emitter, node: Node) -> relax.Expr:
    return _BITWISE[node.op][0](*g.args(node))


@BITS.op("Invert", fold=lambda node, x: np.invert(x))
def invert(g: Emitter, node: Node) -> relax.Expr:
    return R.bitwise_not(g.arg(node, 0))


@BITS.op("PopulationCount")
def population_count(g: Emitter, node: Node) -> relax.Expr:
    """The number of bits set, as uint8."""
    x = g.arg(node, 0)
    word = "u" + g.dtype(x).removeprefix("u")
    bits = np.dtype(word).itemsize * 8

    def f(v: Any) -> Any:
        whole, one = tirx.Cast(word, v), tirx.const(1, word)
        ones = [(whole >> tirx.const(b, word)) & one for b in range(bits)]
        return tirx.Cast("uint8", sum(ones[1:], ones[0]))

    return pointwise(g, x, f, "population_count")


@BITS.op("NextAfter")
def next_after(g: Emitter, node: Node) -> relax.Expr:
    """The number next to x on the way to y: the one whose bits, as an integer, are next."""

    def f(x: Any, y: Any) -> Any:
        dtype = str(x.ty.dtype)
        word = dtype.replace("float", "int")
        one, zero = tirx.const(1, word), tirx.const(0, dtype)
        bits = tirx.reinterpret(word, x)
        away = tirx.any(tirx.all(x < y, x > zero), tirx.all(x > y, x < zero))
        least = tirx.Select(y > zero, one, tirx.const(np.iinfo(word).min + 1, word))
        moved = tirx.Select(x == zero, least, tirx.Select(away, bits + one, bits - one))
        close = tirx.Select(x == y, y, tirx.reinterpret(dtype, moved))
        return tirx.Select(tirx.any(tirx.isnan(x), tirx.isnan(y)), x + y, close)

    return binary_kernel(g, g.arg(node, 0), g.arg(node, 1), f, "next_after")


@BITS.op("CompareAndBitpack")
def compare_and_bitpack(g: Emitter, node: Node) -> relax.Expr:
    """Whether each element exceeds a threshold, eight to a byte, the first one the highest bit."""
    x, threshold = g.args(node)

    def compute(t: te.Tensor, least: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            bits = [tirx.Cast("int32", t(*i[:-1], i[-1] * 8 + b) > least()) for b in range(8)]
            byte = sum((bit << (7 - b) for b, bit in enumerate(bits[1:], 1)), bits[0] << 7)
            return tirx.Cast("uint8", byte)

        return te.compute([*t.shape[:-1], tirx.floordiv(t.shape[-1], 8)], element, name="packed")

    return g.te(compute, x, threshold, name="packed")


@BITS.op("LeftShift")
def left_shift(g: Emitter, node: Node) -> relax.Expr:
    return binary_kernel(g, g.arg(node, 0), g.arg(node, 1), _shift(tirx.shift_left), "left_shift")


@BITS.op("RightShift")
def right_shift(g: Emitter, node: Node) -> relax.Expr:
    return binary_kernel(g, g.arg(node, 0), g.arg(node, 1), _shift(tirx.shift_right), "right_shift")


def _shift(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Counts are clamped to 0 .. bits-1, as TensorFlow's kernels do (undefined in C)."""

    def shift(a: Any, b: Any) -> Any:
        bits = np.dtype(str(a.ty.dtype)).itemsize * 8
        count = tirx.max(tirx.min(b, tirx.const(bits - 1, b.ty.dtype)), tirx.const(0, b.ty.dtype))
        return f(a, count)

    return shift


def _fold_cast(node: Node, x: np.ndarray) -> Any:
    if x.dtype != object:
        return None if x.dtype.kind == "f" and not np.all(np.isfinite(x)) else _cast(node, x)
    return Known(x, node.attr("DstT")) if is_integer(node.attr("DstT")) else None


def _cast(node: Node, x: np.ndarray) -> np.ndarray:
    return x.astype(np.dtype(node.attr("DstT")))


@BITS.op("Cast", fold=_fold_cast, symbolic=True)
def cast(g: Emitter, node: Node) -> relax.Expr | Complex:
    x, dtype = g.arg(node, 0), node.attr("DstT")
    if dtype in PART_DTYPES:
        real = g.emit(R.astype(x, PART_DTYPES[dtype]))
        return Complex(real, R.zeros_like(real))
    if dtype == "bool":
        return differ(g, x, g.const(0, g.dtype(x)))
    return real_cast(g, x, dtype)


def real_cast(g: Emitter, x: relax.Expr, dtype: str) -> relax.Expr:
    """Numbers out of range of an integer wrap, as they do in TensorFlow."""
    if np.dtype(dtype).itemsize < 4 and is_integer(dtype) and not is_integer(g.dtype(x)):
        x = R.astype(x, "int32")
    return R.astype(x, dtype)


@BITS.op("Bitcast")
def bitcast(g: Emitter, node: Node) -> relax.Expr:
    """The same bits in another dtype; a change of width adds or takes the last dimension."""
    x, dtype = g.arg(node, 0), node.attr("type")
    if g.dtype(x) == dtype:  # quantised integers are the plain ones here
        return x
    old, new = np.dtype(g.dtype(x)).itemsize, np.dtype(dtype).itemsize
    if old == new:
        return pointwise(g, x, lambda v: tirx.reinterpret(dtype, v), "bitcast")
    return _narrowed(g, x, dtype, old // new) if old > new else _widened(g, x, dtype, new // old)


def _narrowed(g: Emitter, x: relax.Expr, dtype: str, parts: int) -> relax.Expr:
    """One element becomes `parts`, least significant first."""
    bits = np.dtype(dtype).itemsize * 8
    word, piece = f"uint{bits * parts}", f"uint{bits}"

    def compute(t: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            whole = tirx.reinterpret(word, t(*i[:-1]))
            part = tirx.Cast(piece, whole >> tirx.Cast(word, i[-1] * bits))
            return tirx.reinterpret(dtype, part)

        return te.compute((*t.shape, parts), element, name="bitcast")

    return g.te(compute, x, name="bitcast")


def _widened(g: Emitter, x: relax.Expr, dtype: str, parts: int) -> relax.Expr:
    """The last dimension, of size `parts`, becomes one element."""
    bits = np.dtype(g.dtype(x)).itemsize * 8
    word, piece = f"uint{bits * parts}", f"uint{bits}"

    def compute(t: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            whole: Any = tirx.const(0, word)
            for k in range(parts):
                part = tirx.Cast(word, tirx.reinterpret(piece, t(*i, k)))
                whole = whole | (part << tirx.const(k * bits, word))
            return tirx.reinterpret(dtype, whole)

        return te.compute(t.shape[:-1], element, name="bitcast")

    return g.te(compute, x, name="bitcast")
