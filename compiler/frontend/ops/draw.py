"""Boxes drawn on images, and windows cut out of them where a model looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.philox import fill, node_seed, normal_law, uniform_law

DRAW = OpTable()

_NOISES = ("uniform", "gaussian", "zero")

# Source: tensorflow/core/kernels/image/draw_bounding_box_op.cc, DefaultColorTable
_COLORS = np.array(
    [[1, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1], [0.5, 0, 0.5, 1], [0.5, 0.5, 0, 1],
     [0.5, 0, 0, 1], [0, 0, 0.5, 1], [0, 1, 1, 1], [1, 0, 1, 1]], np.float32,
)  # fmt: skip


@DRAW.op("DrawBoundingBoxes", "DrawBoundingBoxesV2")
def draw_bounding_boxes(g: Emitter, node: Node) -> relax.Expr:
    """The outlines of boxes (y1, x1, y2, x2) in [0, 1], each in the next colour of a table.

    Source: tensorflow/core/kernels/image/draw_bounding_box_op.cc.
    """
    image, boxes = g.arg(node, 0), g.arg(node, 1)
    batch, height, width, depth = dims = g.shape(image)
    if depth not in (1, 3, 4):
        raise BadNode(node, f"images of {depth} channels, expected 1, 3 or 4")
    colors = _colors(g, node, int(depth))
    (hues, across), count, dtype = g.shape(colors), g.shape(boxes)[1], g.dtype(image)

    def body(t: Any, box: Any, color: Any, out: Any, n: Any) -> None:
        with T.serial(0, product(dims)) as i:
            out[i] = t[i]
        ends = (height, width, height, width)
        with T.serial(0, batch) as b, T.serial(0, count) as k:
            for side, extent in enumerate(ends):
                at = tirx.Cast("float32", box[(b * count + k) * 4 + side])
                n[side] = wide(at * tirx.Cast("float32", extent - 1))
            inside = tirx.all(
                n[0] <= n[2], n[1] <= n[3], n[0] < height, n[2] >= 0, n[1] < width, n[3] >= 0
            )
            with T.If(inside), T.Then():
                for side, extent in enumerate(ends):
                    n[4 + side] = tirx.min(tirx.max(n[side], wide(0)), wide(extent) - 1)
                lines = (
                    (n[0] >= 0, n[0], n[0], n[5], n[7]), (n[2] < height, n[2], n[2], n[5], n[7]),
                    (n[1] >= 0, n[4], n[6], n[1], n[1]), (n[3] < width, n[4], n[6], n[3], n[3]),
                )  # fmt: skip
                for there, top, bottom, left, right in lines:
                    rows, columns = bottom - top + 1, right - left + 1
                    inner = T.serial(0, rows), T.serial(0, columns), T.serial(0, depth)
                    with T.If(there), T.Then(), inner[0] as y, inner[1] as x, inner[2] as c:
                        place = (wide(b) * height + top + y) * width + left + x
                        hue = color[tirx.floormod(wide(k), wide(hues)) * across + c]
                        out[place * depth + c] = tirx.Cast(dtype, hue)

    outputs = [(dims, dtype), ((8,), "int64")]
    return loop_kernel(g, "draw_boxes", [image, boxes, colors], outputs, body)[0]


def _colors(g: Emitter, node: Node, depth: int) -> relax.Expr:
    """The table given, or TensorFlow's own where it has none."""
    if len(node.inputs) > 2 and 0 not in g.shape(g.arg(node, 2)):
        return g.arg(node, 2)
    table = _COLORS.copy()
    if depth == 1:
        table[:, 0] = 1
    return g.const(table, "float32")


@DRAW.op("ExtractGlimpse", "ExtractGlimpseV2")
def extract_glimpse(g: Emitter, node: Node) -> relax.Expr:
    """A window of each image around an offset (y, x); noise or zeros outside the image.

    Source: tensorflow/core/kernels/eigen_attention.h, GlimpseExtractionOp.
    """
    image, size, offsets = g.arg(node, 0), g.dims(node, 1), g.arg(node, 2)
    batch, _, _, channels = g.shape(image)
    outside = _noise(g, node, image, [batch, *size, channels])

    def compute(t: te.Tensor, at: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given)
        noise = next(rest) if outside else None
        window = [d if isinstance(d, int) else next(rest) for d in size]

        def element(b: Any, y: Any, x: Any, c: Any) -> Any:
            first = [_corner(node, at(b, k), t.shape[1 + k], window[k]) for k in range(2)]
            row, column = (
                _source(i, f, t.shape[1 + k], window[k])
                for k, (i, f) in enumerate(zip((y, x), first, strict=True))
            )
            there = tirx.all(row >= 0, row < t.shape[1], column >= 0, column < t.shape[2])
            other = noise(b, y, x, c) if noise is not None else tirx.const(0, t.dtype)
            return tirx.if_then_else(there, t(b, row, column, c), other)

        return te.compute([t.shape[0], *window, t.shape[3]], element, name="glimpse")

    symbols = [d for d in size if not isinstance(d, int)]
    return g.te(compute, image, offsets, *outside, *symbols, name="glimpse")


def _noise(g: Emitter, node: Node, image: relax.Expr, dims: Sequence[Dim]) -> list[relax.Expr]:
    """What fills a glimpse outside of its image, nothing where that is zeros.

    Uniform from the least to the greatest number of the image, or normal with the mean and the
    deviation of each channel and within its numbers. TensorFlow's draws differ in each run.
    """
    legacy = "uniform" if node.attr("uniform_noise", True) else "gaussian"
    noise = str(node.attr("noise", "uniform") or legacy)
    if noise not in _NOISES:
        raise BadAttr(node, "noise", found=noise, expected=_NOISES)
    if noise == "zero":
        return []
    over = [1, 2, 3] if noise == "uniform" else [1, 2]
    low, high = (g.emit(f(image, over, True)) for f in (relax.op.min, relax.op.max))
    law = (uniform_law if noise == "uniform" else normal_law)("float32")
    drawn = fill(g, node_seed(g, node), dims, "float32", law)
    if noise == "uniform":
        spread = relax.op.multiply(drawn, g.emit(relax.op.subtract(high, low)))
        return [g.emit(relax.op.add(low, g.emit(spread)))]
    mean = g.emit(relax.op.mean(image, over, True))
    away = g.emit(relax.op.subtract(image, mean))
    variance = g.emit(relax.op.mean(g.emit(relax.op.multiply(away, away)), over, True))
    spread = g.emit(relax.op.multiply(drawn, g.emit(relax.op.sqrt(variance))))
    value = g.emit(relax.op.minimum(g.emit(relax.op.add(mean, spread)), high))
    return [g.emit(relax.op.maximum(value, low))]


def _source(index: Any, first: Any, extent: Any, window: Any) -> Any:
    """The pixel at an index of a window that begins at `first`; one outside counts as -1.

    Before the image the window's end holds as many pixels as fit, as in TensorFlow.
    """
    held = tirx.max(window + first, tirx.const(0, "int64"))
    before = tirx.Select(wide(index) >= window - held, wide(index) - (window - held), wide(-1))
    return tirx.Select(first < 0, before, first + wide(index))


def _corner(node: Node, offset: Any, extent: Any, window: Any) -> Any:
    """Where the window begins, in pixels.

    V1 takes half of the window off any offset, and halves those from the centre; V2 does so
    only where they are normalised and centred.
    """
    size, half = tirx.Cast("float32", extent), tirx.const(0.5)
    first = not node.op.endswith("V2")
    normalized = bool(node.attr("normalized", True))
    centered = bool(node.attr("centered", True))
    at = offset * size if normalized else offset
    if centered:
        at = (at * half if normalized or first else at) + size * half
    if first or (normalized and centered):
        at = at - tirx.Cast("float32", window) * half
    return wide(at)
