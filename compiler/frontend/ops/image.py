"""Resizing images, in every mode of TensorFlow's, as weighted taps along two axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable

IMAGE = OpTable()

F32 = np.float32
# indices (out, taps) and weights (out, taps) along one axis
Taps = tuple[np.ndarray, np.ndarray]


def resize_scale(size: int, out: int, align_corners: bool) -> np.float32:
    """Input pixels an output pixel.

    Source: tensorflow/core/util/image_resizer_state.h, CalculateResizeScale.
    """
    if align_corners and out > 1:
        return F32(size - 1) / F32(out - 1)
    return F32(size) / F32(out)


def _locations(size: int, out: int, align_corners: bool, half_pixel: bool) -> np.ndarray:
    at = np.arange(out, dtype=F32)
    scale = resize_scale(size, out, align_corners)
    return (at + F32(0.5)) * scale - F32(0.5) if half_pixel else at * scale


def nearest_taps(size: int, out: int, align_corners: bool, half_pixel: bool) -> Taps:
    """One tap. Source: tensorflow/core/kernels/image/resize_nearest_neighbor_op.cc."""
    at = np.arange(out, dtype=F32)
    scale = resize_scale(size, out, align_corners)
    where = (at + F32(0.5)) * scale if half_pixel else at * scale
    # roundf: halves away from zero
    index = np.floor(where + F32(0.5)) if align_corners else np.floor(where)
    bounded = np.clip(index.astype(np.int64), 0, size - 1)
    return bounded[:, None], np.ones((out, 1), F32)


def bilinear_taps(size: int, out: int, align_corners: bool, half_pixel: bool) -> Taps:
    """Two taps. Source: resize_bilinear_op.cc, compute_interpolation_weights."""
    where = _locations(size, out, align_corners, half_pixel)
    below = np.floor(where)
    lerp = (where - below).astype(F32)
    lower = np.maximum(below.astype(np.int64), 0)
    upper = np.minimum(below.astype(np.int64) + 1, size - 1)
    return np.stack([lower, upper], 1), np.stack([1 - lerp, lerp], 1)


def _cubic_table(a: float) -> np.ndarray:
    """Keys' kernel at 1,025 offsets: [inner, outer] weights, as TensorFlow tabulates them."""
    x = np.arange(1025, dtype=np.float64) / 1024
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    x = x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.stack([inner, outer], 1).astype(F32)


def bicubic_taps(size: int, out: int, align_corners: bool, half_pixel: bool) -> Taps:
    """Four taps. Source: resize_bicubic_op.cc, GetWeightsAndIndices.

    With half_pixel: Keys' a = -0.5, and taps outside the image get no weight; else a = -0.75.
    """
    where = _locations(size, out, align_corners, half_pixel)
    base = np.floor(where).astype(np.int64)
    offset = np.rint((where - np.floor(where)) * F32(1024)).astype(np.int64)
    table = _cubic_table(-0.5 if half_pixel else -0.75)
    index = base[:, None] + np.arange(-1, 3)
    weights = np.stack(
        [table[offset, 1], table[offset, 0], table[1024 - offset, 0], table[1024 - offset, 1]], 1
    )
    bounded = np.clip(index, 0, size - 1)
    if half_pixel:
        weights = np.where(bounded == index, weights, F32(0))
        weights = weights / weights.sum(1, keepdims=True)
    return bounded, weights.astype(F32)


def area_taps(size: int, out: int, align_corners: bool, _: bool) -> Taps:
    """The share of each input pixel in the output pixel's area. Source: resize_area_op.cc."""
    scale = resize_scale(size, out, align_corners)
    start = np.arange(out, dtype=F32) * scale
    end = np.arange(1, out + 1, dtype=F32) * scale
    first = np.floor(start).astype(np.int64)
    last = np.ceil(end).astype(np.int64)
    index = first[:, None] + np.arange(max(int((last - first).max()), 1))
    covered = np.minimum(index + 1, end[:, None]) - np.maximum(index, start[:, None])
    weights = np.maximum(covered, 0) / scale
    return np.clip(index, 0, size - 1), weights.astype(F32)


_TAPS: dict[str, Callable[[int, int, bool, bool], Taps]] = {
    "ResizeNearestNeighbor": nearest_taps,
    "ResizeBilinear": bilinear_taps,
    "ResizeBicubic": bicubic_taps,
    "ResizeArea": area_taps,
}


@IMAGE.op(*_TAPS)
def resize(g: Emitter, node: Node) -> relax.Expr:
    """(n, h, w, c) -> (n, H, W, c); float32, but nearest keeps the dtype."""
    x = g.arg(node, 0)
    height, width = (int(v) for v in g.static(node, 1, "the new size").reshape(-1))
    dims = g.shape(x)
    if not all(isinstance(d, int) for d in dims[1:3]):
        raise BadNode(node, f"resizes an image of unknown size {dims[1:3]}",
                      hint="give it with --input")  # fmt: skip
    modes = bool(node.attr("align_corners")), bool(node.attr("half_pixel_centers"))
    taps = _TAPS[node.op]
    rows, columns = taps(int(dims[1]), height, *modes), taps(int(dims[2]), width, *modes)
    if node.op == "ResizeNearestNeighbor":
        return _picked(g, x, rows[0], columns[0])
    return _weighted(g, relax.op.astype(x, "float32"), rows, columns)


def _picked(g: Emitter, x: relax.Expr, rows: np.ndarray, columns: np.ndarray) -> relax.Expr:
    def compute(t: te.Tensor, ry: te.Tensor, rx: te.Tensor) -> te.Tensor:
        n, _, _, c = t.shape
        shape = (n, ry.shape[0], rx.shape[0], c)
        return te.compute(shape, lambda b, y, z, k: t[b, ry[y], rx[z], k], name="resize")

    tables = g.const(rows[:, 0], "int32"), g.const(columns[:, 0], "int32")
    return g.te(compute, x, *tables, name="resize_nearest")


def _weighted(g: Emitter, x: relax.Expr, rows: Taps, columns: Taps) -> relax.Expr:
    """One axis after the other: each output is a sum over its taps."""
    for axis, (index, weight) in ((1, rows), (2, columns)):
        x = _along(g, x, axis, index, weight)
    return x


def _along(
    g: Emitter, x: relax.Expr, axis: int, index: np.ndarray, weight: np.ndarray
) -> relax.Expr:
    out, taps = index.shape

    def compute(t: te.Tensor, at: te.Tensor, w: te.Tensor) -> te.Tensor:
        shape = [out if d == axis else extent for d, extent in enumerate(t.shape)]
        k = te.reduce_axis((0, taps), name="tap")

        def element(*i: Any) -> Any:
            source = [at[v, k] if d == axis else v for d, v in enumerate(i)]
            return te.sum(t[tuple(source)] * w[i[axis], k], axis=k)

        return te.compute(shape, element, name="resize")

    tables = g.const(index, "int32"), g.const(weight, "float32")
    return g.te(compute, x, *tables, name="resize")


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


def rgb_to_hsv_pixel(r: Any, g: Any, b: Any) -> tuple[Any, Any, Any]:
    """Hue in [0, 1), saturation, value. Source: Smith, "Color Gamut Transform Pairs", 1978."""
    c = lambda v: tirx.const(v, r.ty.dtype)  # noqa: E731
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
    c = lambda value: tirx.const(value, h.ty.dtype)  # noqa: E731
    top = h * c(6)

    def clamp(x: Any) -> Any:
        return tirx.max(tirx.min(x, c(1)), c(0))

    red = clamp(tirx.abs(top - c(3)) - c(1))
    green = clamp(c(2) - tirx.abs(top - c(2)))
    blue = clamp(c(2) - tirx.abs(top - c(4)))
    one = c(1)
    return tuple(((one - s) + s * part) * v for part in (red, green, blue))  # type: ignore[return-value]


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
