"""Boxes drawn at random from an image, for crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.philox import SCRATCH, draw, fraction32, mixed_seed, node_seed

DISTORT = OpTable()

# places in the state of a draw
_DONE, _USED, _HEIGHT, _WIDTH, _TOP, _LEFT, _MOST = range(7)


def _real(number: float) -> Any:
    return tirx.const(number, "float32")


def _rounded(value: Any) -> Any:
    return wide(tirx.nearbyint(value))


@DISTORT.op(
    "SampleDistortedBoundingBox", "SampleDistortedBoundingBoxV2",
    "StatelessSampleDistortedBoundingBox",
)  # fmt: skip
def sample_distorted(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """(begin (3,), size (3,), box (1, 1, 4)) of a crop that covers enough of some box.

    Source: tensorflow/core/kernels/image/sample_distorted_bounding_box_op.cc, whose numbers it
    draws for the same seeds.
    """
    image, boxes = g.arg(node, 0), g.arg(node, 1)
    least = g.arg(node, 2) if len(node.inputs) > 2 else _attr_covered(g, node)
    stateless = node.op.startswith("Stateless")
    seed = mixed_seed(g, g.arg(node, 3)) if stateless else node_seed(g, node)
    dtype = g.dtype(image)
    count = product(g.shape(boxes)[:-1])
    tries = int(node.attr("max_attempts", 100))

    def body(key: Any, size: Any, box: Any, covered: Any, *outs: Any) -> None:
        begin, extent, result, n, word, s, f = outs
        state = (key, n, word, s, f)
        height, width = wide(size[0]), wide(size[1])
        for k in range(6):
            n[k] = tirx.const(0, "int64")
        with T.serial(0, tries), T.If(n[_DONE] == 0), T.Then():
            _crop(node, state, height, width)
            with T.If(n[_DONE] != 0), T.Then():
                _check_cover(state, box, count, covered, (height, width))
        with T.If(n[_DONE] == 0), T.Then():
            n[_HEIGHT], n[_WIDTH], n[_TOP], n[_LEFT] = height, width, wide(0), wide(0)
        for k, place in enumerate((_TOP, _LEFT)):
            begin[k], extent[k] = tirx.Cast(dtype, n[place]), tirx.Cast(dtype, n[place - 2])
        begin[2], extent[2] = tirx.const(0, dtype), tirx.const(-1, dtype)
        ends = (n[_TOP], n[_LEFT], n[_TOP] + n[_HEIGHT], n[_LEFT] + n[_WIDTH])
        for k, end in enumerate(ends):
            whole = (height, width)[k % 2]
            result[k] = tirx.Cast("float32", end) / tirx.Cast("float32", whole)

    outputs = [((3,), dtype), ((3,), dtype), ((1, 1, 4), "float32"), ((7,), "int64"),
               ((1,), "uint32"), SCRATCH, ((2,), "float32")]  # fmt: skip
    return loop_kernel(g, "distorted_box", [seed, image, boxes, least], outputs, body)[:3]


def _attr_covered(g: Emitter, node: Node) -> relax.Expr:
    return g.const(float(node.attr("min_object_covered", 0.1)), "float32")


def _drawn(state: tuple[Any, ...]) -> Any:
    """Emit the draw of the next word of the stream; valid until the next draw."""
    key, n, word, s, _ = state
    for k, value in enumerate(draw(s, key, tirx.floordiv(n[_USED], 4))):
        with T.If(tirx.floormod(n[_USED], 4) == k), T.Then():
            word[0] = value
    n[_USED] = n[_USED] + 1
    return word[0]


def _below(state: tuple[Any, ...], limit: Any) -> Any:
    """An integer in [0, limit)."""
    return tirx.truncmod(wide(_drawn(state)), tirx.max(limit, tirx.const(1, "int64")))


def _crop(node: Node, state: tuple[Any, ...], height: Any, width: Any) -> None:
    """Try one crop of the area and the aspect ratio asked for; n[_DONE] tells whether it fits."""
    _, n, _, _, f = state
    low, high = (float(v) for v in node.attr("aspect_ratio_range", ()) or (0.75, 1.33))
    areas = [float(v) for v in node.attr("area_range", ()) or (0.05, 1.0)]
    f[0] = fraction32(_drawn(state)) * _real(high - low) + _real(low)
    whole = [tirx.Cast("float32", v) for v in (width, height)]
    least, most = (_real(a) * whole[0] * whole[1] for a in areas)
    n[_HEIGHT] = _rounded(tirx.sqrt(least / f[0]))
    n[_MOST] = _rounded(tirx.sqrt(most / f[0]))
    with T.If(_wide_of(f, n[_MOST]) > width), T.Then():
        n[_MOST] = wide((whole[0] + _real(0.4999999)) / f[0])
        with T.If(_wide_of(f, n[_MOST]) > width), T.Then():
            n[_MOST] = n[_MOST] - 1
    n[_MOST] = tirx.min(n[_MOST], height)
    n[_HEIGHT] = tirx.min(n[_HEIGHT], n[_MOST])
    with T.If(n[_HEIGHT] < n[_MOST]), T.Then():
        n[_HEIGHT] = n[_HEIGHT] + _below(state, n[_MOST] - n[_HEIGHT] + 1)
    n[_WIDTH] = _wide_of(f, n[_HEIGHT])
    # what rounding made too small or too large
    for low_side, step in ((True, 1), (False, -1)):
        with T.If(_area(n) < least if low_side else _area(n) > most), T.Then():
            n[_HEIGHT] = n[_HEIGHT] + step
            n[_WIDTH] = _wide_of(f, n[_HEIGHT])
    inside = tirx.all(n[_WIDTH] <= width, n[_HEIGHT] <= height, n[_WIDTH] > 0, n[_HEIGHT] > 0)
    fits = tirx.all(_area(n) >= least, _area(n) <= most, inside)
    with T.If(fits), T.Then():
        n[_DONE] = tirx.const(1, "int64")
        for place, size, extent in ((_TOP, _HEIGHT, height), (_LEFT, _WIDTH, width)):
            n[place] = tirx.const(0, "int64")
            with T.If(n[size] < extent), T.Then():
                n[place] = _below(state, extent - n[size])


def _wide_of(f: Any, height: Any) -> Any:
    """The width of a crop of the aspect ratio f[0]."""
    return _rounded(tirx.Cast("float32", height) * f[0])


def _area(n: Any) -> Any:
    return tirx.Cast("float32", n[_WIDTH] * n[_HEIGHT])


def _check_cover(state: tuple[Any, ...], box: Any, count: Any, least: Any, whole: Any) -> None:
    """n[_DONE]: whether the crop covers the least part of some box; without boxes of the image."""
    _, n, _, _, f = state
    height, width = (tirx.Cast("float32", v) for v in whole)
    n[_DONE] = tirx.const(0, "int64")

    def edges(i: Any) -> list[Any]:
        if count == 0:
            return [tirx.const(0, "int64"), tirx.const(0, "int64"), *whole]
        scales = (height, width, height, width)
        return [wide(box[i * 4 + k] * scale) for k, scale in enumerate(scales)]

    with T.serial(0, 1 if count == 0 else count) as i:
        top, left, bottom, right = edges(i)
        rows = tirx.min(bottom, n[_TOP] + n[_HEIGHT]) - tirx.max(top, n[_TOP])
        columns = tirx.min(right, n[_LEFT] + n[_WIDTH]) - tirx.max(left, n[_LEFT])
        f[1] = tirx.Cast("float32", (bottom - top) * (right - left))
        common = tirx.Cast("float32", tirx.max(rows, wide(0)) * tirx.max(columns, wide(0)))
        with T.If(tirx.all(f[1] > _real(0), common >= least[0] * f[1])), T.Then():
            n[_DONE] = tirx.const(1, "int64")
