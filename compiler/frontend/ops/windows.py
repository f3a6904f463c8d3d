"""Windows over images that are no convolution: patches, and grey-scale dilation."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.math import is_integer
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.padding import pad_by, window_of

WINDOWS = OpTable()


def _windowed(g: Emitter, node: Node, x: relax.Expr, kernel: list[int], fill: Any) -> Any:
    """The image padded, with strides, dilations and output size along height and width."""
    attrs = {**node.attrs, "dilations": node.attr("rates")}
    window = window_of(Node(node.name, node.op, node.inputs, attrs), g.shape(x), kernel, [1, 2])
    low, high = ([0, *(p[k] for p in window.pads), 0] for k in range(2))
    padded = g.normal(pad_by(g, x, low, high, fill))
    spans = zip(g.shape(padded)[1:3], kernel, window.strides, window.dilations, strict=True)
    sizes = [(d - (k - 1) * r - 1) // s + 1 for d, k, s, r in spans]
    return padded, window, sizes


@WINDOWS.op("ExtractImagePatches")
def extract_image_patches(g: Emitter, node: Node) -> relax.Expr:
    """(n, h, w, c) -> (n, H, W, kh * kw * c): what a window sees, row by row."""
    ksizes = [int(k) for k in node.attr("ksizes") or ()]
    x = g.arg(node, 0)
    channels = g.static_shape(node, x)[3]
    padded, window, sizes = _windowed(g, node, x, ksizes[1:3], 0)
    (kh, kw), (sh, sw), (rh, rw) = window.kernel, window.strides, window.dilations

    def compute(t: te.Tensor) -> te.Tensor:
        def element(b: Any, i: Any, j: Any, k: Any) -> Any:
            cell, c = tirx.floordiv(k, channels), tirx.floormod(k, channels)
            row, column = tirx.floordiv(cell, kw), tirx.floormod(cell, kw)
            return t(b, i * sh + row * rh, j * sw + column * rw, c)

        shape = (t.shape[0], *sizes, kh * kw * channels)
        return te.compute(shape, element, name="patches")

    return g.te(compute, padded, name="patches")


@WINDOWS.op("ExtractVolumePatches")
def extract_volume_patches(g: Emitter, node: Node) -> relax.Expr:
    """(n, d, h, w, c) -> (n, D, H, W, kd * kh * kw * c): what a window sees, plane by plane."""
    kernel = [int(k) for k in node.attr("ksizes") or ()][1:4]
    x = g.arg(node, 0)
    channels = g.static_shape(node, x)[4]
    window = window_of(node, g.shape(x), kernel, [1, 2, 3])
    low, high = ([0, *(p[k] for p in window.pads), 0] for k in range(2))
    padded = g.normal(pad_by(g, x, low, high, 0))
    spans = zip(g.shape(padded)[1:4], kernel, window.strides, strict=True)
    sizes = [(d - k) // s + 1 for d, k, s in spans]

    def compute(t: te.Tensor) -> te.Tensor:
        def element(b: Any, *i: Any) -> Any:
            rest, c = tirx.floordiv(i[3], channels), tirx.floormod(i[3], channels)
            cell: list[Any] = []
            for k in reversed(kernel):
                cell.insert(0, tirx.floormod(rest, k))
                rest = tirx.floordiv(rest, k)
            at = [p * s + q for p, s, q in zip(i[:3], window.strides, cell, strict=True)]
            return t(b, *at, c)

        shape = (t.shape[0], *sizes, int(np.prod(kernel)) * channels)
        return te.compute(shape, element, name="volume_patches")

    return g.te(compute, padded, name="volume_patches")


@WINDOWS.op("Dilation2D")
def dilation2d(g: Emitter, node: Node) -> relax.Expr:
    """The largest of x + filter in a window; outside the image nothing counts.

    Source: tensorflow/core/kernels/dilation_ops.cc, DilationOp.
    """
    x, w = g.args(node)
    dtype = g.dtype(x)
    kernel = g.static_shape(node, w)[:2]
    if is_integer(dtype):  # what is added to the lowest number must not wrap
        x, w = (g.emit(relax.op.astype(t, "int64")) for t in (x, w))
    lowest = -(1 << 62) if is_integer(dtype) else tirx.min_value(dtype).value
    padded, window, sizes = _windowed(g, node, x, kernel, lowest)
    (sh, sw), (rh, rw) = window.strides, window.dilations

    def compute(t: te.Tensor, f: te.Tensor) -> te.Tensor:
        u, v = (te.reduce_axis((0, k), name=n) for k, n in zip(kernel, "uv", strict=True))

        def element(b: Any, i: Any, j: Any, c: Any) -> Any:
            value = t(b, i * sh + u * rh, j * sw + v * rw, c)
            return te.max(value + f(u, v, c), axis=[u, v])

        return te.compute((t.shape[0], *sizes, t.shape[3]), element, name="dilation2d")

    largest = g.te(compute, padded, w, name="dilation2d")
    return relax.op.astype(largest, dtype) if is_integer(dtype) else largest
