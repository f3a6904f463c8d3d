"""Images resampled where a transform puts their pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import relax, te, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, wide
from dlcc.compiler.frontend.ops.table import OpTable

WARP = OpTable()

R = relax.op


def _real(value: Any) -> Any:
    if isinstance(value, int | float):
        return tirx.const(float(value), "float32")
    return tirx.Cast("float32", value)


# ---------------------------------------------------------------- projective transforms

# (coordinate, extent) -> the coordinate that a pixel outside the image is taken from
Fill = Callable[[Any, Any], Any]


def _clamped(at: Any, n: Any) -> Any:
    return tirx.min(tirx.max(at, _real(0)), _real(n - 1))


def _reflected(at: Any, n: Any) -> Any:
    """[abcd] as [dcba|abcd|dcba]."""
    twice = _real(2 * n)
    below = at + twice * _real(wide(-at / twice))
    below = tirx.Select(below < -_real(n), below + twice, -below - _real(1))
    above = at - twice * _real(wide(at / twice))
    above = tirx.Select(above >= _real(n), twice - above - _real(1), above)
    return _outside(at, n, below, above)


def _wrapped(at: Any, n: Any) -> Any:
    """[abcd] as [abcd|abcd|abcd]."""
    last = _real(tirx.max(n - 1, 1))
    below = at + _real(n) * _real(wide(-at / last) + 1)
    above = at - _real(n) * _real(wide(at / last))
    return _outside(at, n, below, above)


def _outside(at: Any, n: Any, below: Any, above: Any) -> Any:
    moved = tirx.Select(at < _real(0), below, tirx.Select(at > _real(n - 1), above, at))
    return _clamped(tirx.Select(_real(n) <= _real(1), _real(0), moved), n)


_FILLS: dict[str, Fill] = {
    # far outside is as good as just outside, and has an integer
    "CONSTANT": lambda at, n: tirx.min(tirx.max(at, _real(-2)), _real(n + 1)),
    "NEAREST": _clamped,
    "REFLECT": _reflected,
    "WRAP": _wrapped,
}


@WARP.op("ImageProjectiveTransformV2", "ImageProjectiveTransformV3")
def projective_transform(g: Emitter, node: Node) -> relax.Expr:
    """Each output pixel (x, y) from ((a x + b y + c) / k, (d x + e y + f) / k), k = g x + h y + 1.

    Source: tensorflow/core/kernels/image/image_ops.h, ProjectiveGenerator.
    """
    image, transforms = g.arg(node, 0), g.arg(node, 1)
    size, dtype = g.dims(node, 2), g.dtype(image)
    how, mode = str(node.attr("interpolation")), str(node.attr("fill_mode") or "CONSTANT")
    if how not in _SAMPLES:
        raise BadAttr(node, "interpolation", found=how, expected=tuple(_SAMPLES))
    if mode not in _FILLS:
        raise BadAttr(node, "fill_mode", found=mode, expected=tuple(_FILLS))
    fill = g.arg(node, 3) if len(node.inputs) > 3 else g.const(0.0, "float32")
    one = g.shape(transforms)[0] == 1

    def compute(t: te.Tensor, m: te.Tensor, f: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given)
        out = [d if isinstance(d, int) else next(rest) for d in size]
        rows, columns = (_places(m, out, first, t.shape[axis], _FILLS[mode])
                         for first, axis in ((3, 1), (0, 2)))  # fmt: skip

        def element(b: Any, y: Any, x: Any, c: Any) -> Any:
            k, filled = 0 if one else b, tirx.Cast(dtype, f())

            def read(r: Any, s: Any) -> Any:
                r, s = wide(r), wide(s)
                there = tirx.all(r >= 0, r < t.shape[1], s >= 0, s < t.shape[2])
                return tirx.if_then_else(there, t(b, r, s, c), filled)

            value = tirx.Cast(dtype, _SAMPLES[how](read, rows(k, y, x), columns(k, y, x)))
            return tirx.if_then_else(_scale(m, k, y, x) != _real(0), value, filled)

        return te.compute([t.shape[0], *out, t.shape[3]], element, name="projective")

    symbols = [d for d in size if not isinstance(d, int)]
    return g.te(compute, image, transforms, fill, *symbols, name="projective")


def _scale(m: te.Tensor, b: Any, y: Any, x: Any) -> Any:
    return m(b, 6) * _real(x) + m(b, 7) * _real(y) + _real(1)


def _places(m: te.Tensor, out: Sequence[Dim], first: int, extent: Any, fill: Fill) -> te.Tensor:
    """Row or column that each output pixel comes from.

    Tensors of their own: a place is read up to twelve times a channel, and as an expression it
    would grow the kernel as often."""

    def place(b: Any, y: Any, x: Any) -> Any:
        scale = _scale(m, b, y, x)
        safe = tirx.Select(scale == _real(0), _real(1), scale)
        at = m(b, first) * _real(x) + m(b, first + 1) * _real(y) + m(b, first + 2)
        return fill(at / safe, extent)

    return te.compute([m.shape[0], *out], place, name="place")


def _nearest(read: Callable[[Any, Any], Any], row: Any, column: Any) -> Any:
    return read(*(tirx.floor(v + _real(0.5)) for v in (row, column)))


def _bilinear(read: Callable[[Any, Any], Any], row: Any, column: Any) -> Any:
    top, left = tirx.floor(row), tirx.floor(column)
    bottom, right = top + _real(1), left + _real(1)

    def along(at: Any) -> Any:
        return (right - column) * _real(read(at, left)) + (column - left) * _real(read(at, right))

    return (bottom - row) * along(top) + (row - top) * along(bottom)


_SAMPLES = {"NEAREST": _nearest, "BILINEAR": _bilinear}


# ---------------------------------------------------------------- scale and translate


def _zero_beyond(radius: float, x: Any, value: Any) -> Any:
    return tirx.Select(x < _real(radius), value, _real(0))


def _lanczos(radius: float) -> Callable[[Any], Any]:
    def weight(x: Any) -> Any:
        turn = tirx.max(x, _real(1e-3)) * _real(math.pi)
        bell = _real(radius) * tirx.sin(turn) * tirx.sin(turn / _real(radius)) / (turn * turn)
        return _zero_beyond(radius, x, tirx.Select(x <= _real(1e-3), _real(1), bell))

    return weight


def _gaussian(x: Any) -> Any:
    return _zero_beyond(1.5, x, tirx.exp(-x * x / _real(2 * 0.5 * 0.5)))


def _box(x: Any) -> Any:
    edge = tirx.Select(x == _real(0.5), _real(0.5), _real(0))
    return tirx.Select(x < _real(0.5), _real(1), edge)


def _cubic(outer: tuple[float, ...], inner: tuple[float, ...]) -> Callable[[Any], Any]:
    """Two polynomials, from 1 to 2 and from 0 to 1; the highest power comes first."""

    def weight(x: Any) -> Any:
        far, near = _real(0), _real(0)
        for a, b in zip(outer, inner, strict=True):
            far, near = far * x + _real(a), near * x + _real(b)
        return _zero_beyond(2.0, x, tirx.Select(x >= _real(1), far, near))

    return weight


# name -> (radius, weight at a distance >= 0)
# Source: tensorflow/core/kernels/image/sampling_kernels.h
_KERNELS: dict[str, tuple[float, Callable[[Any], Any]]] = {
    "lanczos1": (1.0, _lanczos(1.0)),
    "lanczos3": (3.0, _lanczos(3.0)),
    "lanczos5": (5.0, _lanczos(5.0)),
    "gaussian": (1.5, _gaussian),
    "box": (1.0, _box),
    "triangle": (1.0, lambda x: _zero_beyond(1.0, x, _real(1) - x)),
    "keyscubic": (2.0, _cubic((-0.5, 2.5, -4.0, 2.0), (1.5, -2.5, 0.0, 1.0))),
    "mitchellcubic": (2.0, _cubic((-7 / 18, 2.0, -10 / 3, 16 / 9), (7 / 6, -2.0, 0.0, 8 / 9))),
}


@WARP.op("ScaleAndTranslate")
def scale_and_translate(g: Emitter, node: Node) -> relax.Expr:
    """(n, h, w, c) -> (n, H, W, c) float32, as products with a matrix of weights an axis.

    Source: tensorflow/core/kernels/image/scale_and_translate_op.cc, ComputeSpansCore.
    """
    kernel = str(node.attr("kernel_type") or "lanczos3")
    if kernel not in _KERNELS:
        raise BadAttr(node, "kernel_type", found=kernel, expected=tuple(_KERNELS))
    x = g.emit(R.astype(g.arg(node, 0), "float32"))
    sizes, (_, height, width, _) = g.dims(node, 1), g.shape(x)
    place = [g.arg(node, 2), g.arg(node, 3)]
    antialias = bool(node.attr("antialias", True))
    rows, columns = (
        _weights(g, kernel, antialias, place, axis, (out, size))
        for axis, out, size in ((0, sizes[0], height), (1, sizes[1], width))
    )
    return _combined(g, _combined(g, x, 1, rows), 2, columns)


def _weights(
    g: Emitter, kernel: str, antialias: bool, place: list[relax.Expr], axis: int,
    sizes: tuple[Dim, Dim],
) -> relax.Expr:  # fmt: skip
    """How much of each input pixel each output pixel gets: (out, in)."""
    out, size = sizes
    radius, weight = _KERNELS[kernel]

    def body(scale: Any, shift: Any, w: Any, f: Any) -> None:
        inverse = _real(1) / scale[axis]
        stretch = tirx.max(inverse, _real(1)) if antialias else _real(1)
        f[1], f[2] = inverse, stretch
        reach = _real(radius) * f[2]
        last = wide(size) - 1
        with T.serial(0, out) as i:
            f[3] = (_real(i) + _real(0.5)) * f[1] - f[1] * shift[axis]
            first = tirx.max(tirx.min(wide(tirx.ceil(f[3] - reach - _real(0.5))), last), wide(0))
            end = tirx.max(tirx.min(wide(tirx.floor(f[3] + reach - _real(0.5))), last), wide(0))
            inside = tirx.all(f[3] >= _real(0), f[3] <= _real(size))
            f[0] = _real(0)
            with T.serial(0, size) as k:
                distance = tirx.abs((_real(k) + _real(0.5) - f[3]) * (_real(1) / f[2]))
                used = tirx.all(inside, wide(k) >= first, wide(k) <= end)
                w[wide(i) * size + k] = tirx.Select(used, weight(distance), _real(0))
                f[0] = f[0] + w[wide(i) * size + k]
            none = tirx.abs(f[0]) < _real(1000 * 2.0**-126)
            share = _real(1) / tirx.Select(none, _real(1), f[0])
            with T.serial(0, size) as k:
                w[wide(i) * size + k] = tirx.Select(none, _real(0), w[wide(i) * size + k] * share)

    outputs = [([out, size], "float32"), ((4,), "float32")]
    return loop_kernel(g, "scale_weights", place, outputs, body, sizes)[0]


def _combined(g: Emitter, x: relax.Expr, axis: int, weights: relax.Expr) -> relax.Expr:
    """Each pixel along an axis as a sum of those with weight."""

    def compute(t: te.Tensor, w: te.Tensor) -> te.Tensor:
        shape = [w.shape[0] if d == axis else extent for d, extent in enumerate(t.shape)]
        k = te.reduce_axis((0, w.shape[1]), name="tap")

        def element(*i: Any) -> Any:
            source = tuple(k if d == axis else v for d, v in enumerate(i))
            # a pixel without weight does not count, also where it is no number
            part = tirx.Select(w[i[axis], k] == _real(0), _real(0), t[source] * w[i[axis], k])
            return te.sum(part, axis=k)

        return te.compute(shape, element, name="scale")

    return g.te(compute, x, weights, name="scale")
