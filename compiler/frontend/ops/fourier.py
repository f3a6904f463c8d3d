"""Discrete Fourier transforms of any length, along one axis or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.complex import complex_arg, times
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Complex

FOURIER = OpTable()

R = relax.op

# lengths up to this are summed directly; longer ones are split where they have a divisor
_DIRECT = 32


def _each(g: Emitter, z: Complex, f: Any) -> Complex:
    """A complex value of which each part is f of that part."""
    return Complex(g.emit(f(z.real)), g.emit(f(z.imag)))


def _swapped(g: Emitter, z: Complex, a: int, b: int) -> Complex:
    order = list(range(g.rank(z.real)))
    order[a], order[b] = order[b], order[a]
    return _each(g, z, lambda x: R.permute_dims(x, order)) if a != b else z


def transform(g: Emitter, z: Complex, sign: int) -> Complex:
    """X[k] = sum over j of z[j] exp(sign * 2πi j k / n), along the last axis.

    With n = p q and j = q a + b, k = c + p d, this is a transform of length p for each b, a turn
    by b c / n, and a transform of length q for each c.
    Source: Cooley and Tukey, "An Algorithm for the Machine Calculation of Complex Fourier
    Series", 1965.
    """
    *lead, n = g.shape(z.real)
    p = _divisor(n) if isinstance(n, int) else 1
    if p == 1:
        return _summed(g, z, sign)
    q, rank = n // p, len(lead)
    grid = _each(g, z, lambda x: g.reshape(x, [*lead, p, q]))
    columns = transform(g, _swapped(g, grid, rank, rank + 1), sign)
    angle = sign * 2 * math.pi * np.outer(np.arange(q), np.arange(p)) / n
    dtype = g.dtype(z.real)
    turn = Complex(g.const(np.cos(angle), dtype), g.const(np.sin(angle), dtype))
    turned = times(columns, turn)
    rows = Complex(g.emit(turned.real), g.emit(turned.imag))
    made = transform(g, _swapped(g, rows, rank, rank + 1), sign)
    return _each(g, _swapped(g, made, rank, rank + 1), lambda x: g.reshape(x, [*lead, n]))


def _divisor(n: int) -> int:
    """The divisor of n nearest below its root; 1 where the sum is to be direct."""
    if n <= _DIRECT:
        return 1
    return next(p for p in range(math.isqrt(n), 0, -1) if n % p == 0)


def _summed(g: Emitter, z: Complex, sign: int) -> Complex:
    """The transform by its definition; the factors come from a table where n is known."""
    n, dtype = g.shape(z.real)[-1], g.dtype(z.real)
    if n == 0:
        return z
    known = isinstance(n, int)
    angle = sign * 2 * math.pi * np.arange(n if known else 1) / (n if known else 1)
    table = [g.const(f(angle), dtype) for f in (np.cos, np.sin)]

    def part(which: int) -> Any:
        def compute(a: te.Tensor, b: te.Tensor, cos: te.Tensor, sin: te.Tensor) -> te.Tensor:
            extent = a.shape[-1]
            j = te.reduce_axis((0, extent), name="j")

            def factors(k: Any) -> tuple[Any, Any]:
                at = tirx.floormod(tirx.Cast("int64", j) * tirx.Cast("int64", k), extent)
                if known:
                    return cos(at), sin(at)
                turn = tirx.const(sign * 2 * math.pi, dtype)
                turn = turn * tirx.Cast(dtype, at) / tirx.Cast(dtype, extent)
                return tirx.cos(turn), tirx.sin(turn)

            def element(*i: Any) -> Any:
                c, s = factors(i[-1])
                x, y = a(*i[:-1], j), b(*i[:-1], j)
                return te.sum(x * s + y * c if which else x * c - y * s, axis=j)

            return te.compute(a.shape, element, name="fourier_sum")

        return compute

    inputs = (z.real, z.imag, *table)
    return Complex(*(g.te(part(k), *inputs, name="fourier_sum") for k in range(2)))


def along(g: Emitter, z: Complex, axis: int, sign: int) -> Complex:
    """The transform along any axis; the inverse (sign 1) is divided by its length."""
    last = g.rank(z.real) - 1
    made = _swapped(g, transform(g, _swapped(g, z, axis, last), sign), axis, last)
    n = g.shape(z.real)[axis]
    if sign < 0 or n == 1:
        return made
    return _each(g, made, lambda x: _divided(g, x, n))


def _divided(g: Emitter, x: relax.Expr, n: Dim) -> relax.Expr:
    dtype = g.dtype(x)

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        count = tirx.Cast(dtype, given[0]) if given else tirx.const(float(n), dtype)
        return te.compute(t.shape, lambda *i: t(*i) / count, name="divided")

    return g.te(compute, x, *([] if isinstance(n, int) else [n]), name="divided")


def _fitted(g: Emitter, x: relax.Expr, axes: Sequence[int], sizes: Sequence[Dim]) -> relax.Expr:
    """Cut, or filled up with zeros, at the end of each axis."""
    dims = g.shape(x)
    wanted = list(dims)
    for axis, size in zip(axes, sizes, strict=True):
        wanted[axis] = size
    if all(isinstance(d, int) and d == w for d, w in zip(dims, wanted, strict=True)):
        return x
    zero = tirx.const(0, g.dtype(x))

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        symbols = iter(given)
        shape = [d if isinstance(d, int) else next(symbols) for d in wanted]

        def element(*i: Any) -> Any:
            inside = tirx.all(*(i[a] < t.shape[a] for a in axes))
            return tirx.if_then_else(inside, t(*i), zero)

        return te.compute(shape, element, name="fitted")

    return g.te(compute, x, *(d for d in wanted if not isinstance(d, int)), name="fitted")


def _axes(g: Emitter, node: Node, rank: int) -> list[int]:
    """The axes of a transform: as many last ones as the op's name says, or those of input 2."""
    if node.op.endswith("ND"):
        return [int(a) % rank for a in g.static(node, 2, "the axes").reshape(-1)]
    count = {"2D": 2, "3D": 3}.get(node.op[-2:], 1)
    return list(range(rank - count, rank))


@FOURIER.op(
    "FFT", "FFT2D", "FFT3D", "FFTND", "IFFT", "IFFT2D", "IFFT3D", "IFFTND",
    "BatchFFT", "BatchFFT2D", "BatchFFT3D", "BatchIFFT", "BatchIFFT2D", "BatchIFFT3D",
)  # fmt: skip
def fourier(g: Emitter, node: Node) -> Complex:
    """Complex to complex."""
    z = complex_arg(g, node, 0)
    axes = _axes(g, node, g.rank(z.real))
    if node.op.endswith("ND"):
        sizes = g.dims(node, 1)
        z = _each(g, z, lambda x: _fitted(g, x, axes, sizes))
    for axis in axes:
        z = along(g, z, axis, 1 if "IFFT" in node.op else -1)
    return z


@FOURIER.op("RFFT", "RFFT2D", "RFFT3D", "RFFTND")
def real_fourier(g: Emitter, node: Node) -> Complex:
    """Real to the n // 2 + 1 first complex numbers of the last axis; the others mirror them."""
    x = g.arg(node, 0)
    axes, sizes = _axes(g, node, g.rank(x)), g.dims(node, 1)
    x = g.normal(_fitted(g, x, axes, sizes))
    z = along(g, Complex(x, g.emit(R.zeros_like(x))), axes[-1], -1)
    half = sizes[-1] // 2 + 1
    z = _each(g, z, lambda part: _fitted(g, part, axes[-1:], [half]))
    for axis in axes[:-1]:
        z = along(g, z, axis, -1)
    return z


@FOURIER.op("IRFFT", "IRFFT2D", "IRFFT3D", "IRFFTND")
def inverse_real_fourier(g: Emitter, node: Node) -> relax.Expr:
    """The inverse of RFFT: n // 2 + 1 complex numbers of the last axis to n real ones."""
    z = complex_arg(g, node, 0)
    axes, sizes = _axes(g, node, g.rank(z.real)), g.dims(node, 1)
    given = [*sizes[:-1], sizes[-1] // 2 + 1]
    z = _each(g, z, lambda part: _fitted(g, part, axes, given))
    for axis in axes[:-1]:
        z = along(g, z, axis, 1)
    whole = Complex(*(_mirrored(g, p, axes[-1], sizes[-1], s)
                      for p, s in ((z.real, 1), (z.imag, -1))))  # fmt: skip
    return along(g, whole, axes[-1], 1).real


def _mirrored(g: Emitter, x: relax.Expr, axis: int, size: Dim, sign: int) -> relax.Expr:
    """All n numbers of the axis from the first n // 2 + 1: X[n - k] is the conjugate of X[k]."""
    factor = tirx.const(sign, g.dtype(x))

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        n = given[0] if given else size
        shape = [n if a == axis else d for a, d in enumerate(t.shape)]

        def element(*i: Any) -> Any:
            back = tuple(n - v if a == axis else v for a, v in enumerate(i))
            return tirx.if_then_else(i[axis] < t.shape[axis], t(*i), factor * t(*back))

        return te.compute(shape, element, name="mirrored")

    return g.te(compute, x, *([] if isinstance(size, int) else [size]), name="mirrored")
