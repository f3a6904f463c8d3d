"""Colours of images: contrast, and hue, saturation and value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable

IMAGE = OpTable()


@IMAGE.op("AdjustContrastv2")
def adjust_contrast(g: Emitter, node: Node) -> relax.Expr:
    """(x - mean) * factor + mean, the mean of each channel over the image."""
    x, factor = g.args(node)
    rank = g.rank(x)
    dtype = g.dtype(x)
    wide = g.emit(relax.op.astype(x, "float32"))
    mean = g.emit(relax.op.mean(wide, [rank - 3, rank - 2], True))
    y = relax.op.add(relax.op.multiply(relax.op.subtract(wide, mean), factor), mean)
    return relax.op.astype(y, dtype)


def _hsv(g: Emitter, x: relax.Expr, f: Callable[[Any, Any, Any], Any], name: str) -> relax.Expr:
    """A kernel over pixels: `f` takes three channels and gives three."""
    dtype = g.dtype(x)

    def compute(t: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            parts = f(*(t(*i[:-1], k) for k in range(3)))
            rest = tirx.Select(i[-1] == 1, parts[1], parts[2])
            return tirx.Cast(dtype, tirx.Select(i[-1] == 0, parts[0], rest))

        return te.compute(t.shape, element, name=name)

    return g.te(compute, x, name=name)


def _numbers(like: Any) -> Callable[[float], Any]:
    """Constants of the dtype of an expression."""
    return lambda number: tirx.const(number, like.ty.dtype)


def rgb_to_hsv_pixel(r: Any, g: Any, b: Any) -> tuple[Any, Any, Any]:
    """Hue in [0, 1), saturation, value. Source: Smith, "Color Gamut Transform Pairs", 1978."""
    c = _numbers(r)
    value = tirx.max(r, tirx.max(g, b))
    span = value - tirx.min(r, tirx.min(g, b))
    saturation = tirx.Select(value > c(0), span / tirx.Select(value > c(0), value, c(1)), c(0))
    norm = c(1 / 6) / tirx.Select(span > c(0), span, c(1))
    hue = tirx.Select(
        r == value,
        norm * (g - b),
        tirx.Select(g == value, norm * (b - r) + c(2 / 6), norm * (r - g) + c(4 / 6)),
    )
    hue = tirx.Select(span > c(0), hue, c(0))
    return tirx.Select(hue < c(0), hue + c(1), hue), saturation, value


def hsv_to_rgb_pixel(h: Any, s: Any, v: Any) -> tuple[Any, Any, Any]:
    """Source: Smith, "Color Gamut Transform Pairs", 1978."""
    c = _numbers(h)
    top = h * c(6)

    def clamp(x: Any) -> Any:
        return tirx.max(tirx.min(x, c(1)), c(0))

    red = clamp(tirx.abs(top - c(3)) - c(1))
    green = clamp(c(2) - tirx.abs(top - c(2)))
    blue = clamp(c(2) - tirx.abs(top - c(4)))
    one = c(1)
    red, green, blue = (((one - s) + s * part) * v for part in (red, green, blue))
    return red, green, blue


@IMAGE.op("RGBToHSV")
def rgb_to_hsv(g: Emitter, node: Node) -> relax.Expr:
    return _hsv(g, g.arg(node, 0), rgb_to_hsv_pixel, "rgb_to_hsv")


@IMAGE.op("HSVToRGB")
def hsv_to_rgb(g: Emitter, node: Node) -> relax.Expr:
    return _hsv(g, g.arg(node, 0), hsv_to_rgb_pixel, "hsv_to_rgb")


@IMAGE.op("AdjustHue", "AdjustSaturation")
def adjust_hsv(g: Emitter, node: Node) -> relax.Expr:
    """To HSV, the hue turned or the saturation scaled, and back."""
    x, by = g.args(node)
    dtype = g.dtype(x)
    hsv = g.emit(_hsv(g, g.emit(relax.op.astype(x, "float32")), rgb_to_hsv_pixel, "rgb_to_hsv"))
    turn = node.op == "AdjustHue"

    def compute(t: te.Tensor, d: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            v = t(*i)
            if turn:
                moved = v + d()
                moved = moved - tirx.floor(moved)
                return tirx.Select(i[-1] == 0, moved, v)
            scaled = tirx.max(tirx.min(v * d(), tirx.const(1.0)), tirx.const(0.0))
            return tirx.Select(i[-1] == 1, scaled, v)

        return te.compute(t.shape, element, name="adjust_hsv")

    moved = g.te(compute, hsv, by, name="adjust_hsv")
    return relax.op.astype(_hsv(g, moved, hsv_to_rgb_pixel, "hsv_to_rgb"), dtype)
