"""Gradients of resized images: each element's gradient to those that it was made of. NHWC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable

RESIZE_GRADIENTS = OpTable()

# (place in the large image along an axis) -> [(row of the original, its weight or None)]
Taps = Callable[[Any], list[tuple[Any, Any]]]


def _f(value: float) -> Any:
    return tirx.const(value, "float32")


def _scale(node: Node, small: Dim, large: Dim) -> Any:
    """Source: tensorflow/core/util/image_resizer_state.h, CalculateResizeScale."""
    from_, to = (tirx.Cast("float32", wide(d)) for d in (small, large))
    aligned = node.attr("align_corners", False)
    if not aligned:
        return from_ / to
    return tirx.Select(to > _f(1), (from_ - _f(1)) / tirx.max(to - _f(1), _f(1)), from_ / to)


def _nearest(node: Node, small: Dim, large: Dim) -> Taps:
    half, scale = bool(node.attr("half_pixel_centers", False)), _scale(node, small, large)

    def taps(at: Any) -> list[tuple[Any, Any]]:
        place = (tirx.Cast("float32", at) + _f(0.5 if half else 0)) * scale
        if node.attr("align_corners", False):
            place = place + _f(0.5)  # rounded half up: no place is negative
        row = tirx.Cast("int64", tirx.floor(place))
        return [(tirx.max(tirx.min(row, wide(small) - 1), 0), None)]

    return taps


def _bilinear(node: Node, small: Dim, large: Dim) -> Taps:
    half, scale = bool(node.attr("half_pixel_centers", False)), _scale(node, small, large)

    def taps(at: Any) -> list[tuple[Any, Any]]:
        place = tirx.Cast("float32", at)
        place = (place + _f(0.5)) * scale - _f(0.5) if half else place * scale
        low = tirx.floor(place)
        first = tirx.max(tirx.Cast("int64", low), 0)
        last = tirx.min(tirx.Cast("int64", tirx.ceil(place)), wide(small) - 1)
        return [(first, _f(1) - (place - low)), (last, place - low)]

    return taps


def _given(
    g: Emitter, grads: relax.Expr, size: tuple[Dim, Dim], ways: tuple[Taps, Taps], dtype: str
) -> relax.Expr:
    n, height, width, channels = g.shape(grads)
    dims = [n, *size, channels]

    def body(t: Any, out: Any) -> None:
        with T.serial(0, product(dims)) as i:
            out[i] = tirx.const(0, dtype)
        with (
            T.serial(0, n) as b,
            T.serial(0, height) as y,
            T.serial(0, width) as x,
            T.serial(0, channels) as c,
        ):
            here = t[((b * height + y) * width + x) * channels + c]
            for row, down in ways[0](y):
                for column, across in ways[1](x):
                    share = here if down is None else here * down * across
                    at = ((b * size[0] + row) * size[1] + column) * channels + c
                    out[at] = out[at] + tirx.Cast(dtype, share)

    return loop_kernel(g, "resize_grad", [grads], [(dims, dtype)], body)[0]


@RESIZE_GRADIENTS.op("ResizeNearestNeighborGrad")
def resize_nearest_grad(g: Emitter, node: Node) -> relax.Expr:
    """Source: tensorflow/core/kernels/image/resize_nearest_neighbor_op.cc."""
    grads, (rows, columns) = g.arg(node, 0), g.dims(node, 1)
    _, height, width, _ = g.shape(grads)
    ways = _nearest(node, rows, height), _nearest(node, columns, width)
    return _given(g, grads, (rows, columns), ways, g.dtype(grads))


@RESIZE_GRADIENTS.op("ResizeBilinearGrad")
def resize_bilinear_grad(g: Emitter, node: Node) -> relax.Expr:
    """Source: tensorflow/core/kernels/image/resize_bilinear_op.cc."""
    grads, image = g.args(node)
    _, rows, columns, _ = g.shape(image)
    _, height, width, _ = g.shape(grads)
    ways = _bilinear(node, rows, height), _bilinear(node, columns, width)
    return _given(g, grads, (rows, columns), ways, g.dtype(image))
