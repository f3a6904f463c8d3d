"""Gradients of pools, convolutions and mirrors: what each element of an input gave to the output.

All are loops over the output that add to the input's places, in NHWC; NCHW is turned before and
after, which TensorFlow's CPU does not serve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.padding import Window, spatial_axes, window_of

WINDOW_GRADIENTS = OpTable()

R = relax.op


_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def _first(node: Node) -> bool:
    """Whether channels come before space; raises BadAttr for a layout of no kind."""
    return spatial_axes(node, 4)[0] == "NCHW"


def _nhwc(g: Emitter, node: Node, x: relax.Expr) -> relax.Expr:
    return g.emit(R.permute_dims(x, _TO_NHWC)) if _first(node) else x


def _as_given(g: Emitter, node: Node, x: relax.Expr) -> relax.Expr:
    return R.permute_dims(x, _TO_NCHW) if _first(node) else x


def _nhwc_dims(node: Node, dims: list[Dim]) -> list[Dim]:
    return [dims[i] for i in _TO_NHWC] if _first(node) else dims


def _window(node: Node, dims: list[Dim], kernel: list[int]) -> Window:
    """The window over an input of the layout given; its dimensions are in NHWC."""
    given = [dims[i] for i in _TO_NCHW] if _first(node) else dims
    return window_of(node, given, kernel, spatial_axes(node, 4)[1])


def _pool_kernel(node: Node) -> list[int]:
    return [int(node.attr("ksize")[a]) for a in spatial_axes(node, 4)[1]]


def _zero(out: Any, count: Any, dtype: str) -> None:
    with T.serial(0, count) as i:
        out[i] = tirx.const(0, dtype)


def _taps(
    window: Window, dims: list[Dim], y: Any, x: Any, visit: Callable[[Any, Any, Any, Any], None]
) -> None:
    """visit(row, column, tap row, tap column) for the elements under the window at (y, x)."""
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.strides, window.dilations
    top, left = window.pads[0][0], window.pads[1][0]
    with T.serial(0, kh) as i, T.serial(0, kw) as j:
        row, column = y * sh + i * dh - top, x * sw + j * dw - left
        inside = tirx.all(row >= 0, row < dims[1], column >= 0, column < dims[2])
        with T.If(inside), T.Then():
            visit(row, column, i, j)


@WINDOW_GRADIENTS.op("MaxPoolGrad")
def max_pool_grad(g: Emitter, node: Node) -> relax.Expr:
    """Each window's gradient to its largest element, the first among equals."""
    x, d = (_nhwc(g, node, g.arg(node, i)) for i in (0, 2))
    dims, (_, height, width, _) = g.shape(x), g.shape(d)
    window = _window(node, dims, _pool_kernel(node))
    n, rows, columns, channels = dims
    dtype = g.dtype(x)

    def body(t: Any, grad: Any, out: Any, best: Any) -> None:
        _zero(out, product(dims), dtype)
        with (
            T.serial(0, n) as b,
            T.serial(0, height) as y,
            T.serial(0, width) as z,
            T.serial(0, channels) as c,
        ):
            best[0] = tirx.const(-1, "int64")

            def visit(row: Any, column: Any, i: Any, j: Any) -> None:
                at = tirx.Cast("int64", ((b * rows + row) * columns + column) * channels + c)
                first = best[0] < 0
                with T.If(tirx.any(first, t[at] > t[tirx.max(best[0], 0)])), T.Then():
                    best[0] = at

            _taps(window, dims, y, z, visit)
            with T.If(best[0] >= 0), T.Then():
                here = grad[((b * height + y) * width + z) * channels + c]
                out[best[0]] = out[best[0]] + here

    outputs: list[Any] = [(dims, dtype), ((1,), "int64")]
    return _as_given(g, node, loop_kernel(g, "max_pool_grad", [x, d], outputs, body)[0])


@WINDOW_GRADIENTS.op("AvgPoolGrad")
def avg_pool_grad(g: Emitter, node: Node) -> relax.Expr:
    """Each window's gradient in equal shares to the elements inside."""
    dims, d = _nhwc_dims(node, g.dims(node, 0)), _nhwc(g, node, g.arg(node, 1))
    _, height, width, _ = g.shape(d)
    window = _window(node, dims, _pool_kernel(node))
    n, rows, columns, channels = dims
    dtype = g.dtype(d)

    def body(grad: Any, out: Any, count: Any) -> None:
        _zero(out, product(dims), dtype)

        def one_more(row: Any, column: Any, i: Any, j: Any) -> None:
            count[0] = count[0] + 1

        with T.serial(0, n) as b, T.serial(0, height) as y, T.serial(0, width) as z:
            count[0] = tirx.const(0, "int32")
            _taps(window, dims, y, z, one_more)
            with T.serial(0, channels) as c:
                here = grad[((b * height + y) * width + z) * channels + c]

                def give(row: Any, column: Any, i: Any, j: Any) -> None:
                    at = ((b * rows + row) * columns + column) * channels + c
                    out[at] = out[at] + here / tirx.Cast(dtype, count[0])

                _taps(window, dims, y, z, give)

    outputs: list[Any] = [(dims, dtype), ((1,), "int32")]
    return _as_given(g, node, loop_kernel(g, "avg_pool_grad", [d], outputs, body, dims)[0])


@WINDOW_GRADIENTS.op("Conv2DBackpropFilter")
def conv2d_filter_grad(g: Emitter, node: Node) -> relax.Expr:
    """For each tap, the sum over all windows of the element under it times the gradient."""
    x, d = (_nhwc(g, node, g.arg(node, i)) for i in (0, 2))
    kernel = [int(k) for k in g.static(node, 1, "the filter's sizes")]
    kh, kw, inner, outer = kernel
    dims, (_, height, width, _) = g.shape(x), g.shape(d)
    window = _window(node, dims, [kh, kw])
    n, rows, columns, channels = dims
    dtype = g.dtype(x)
    each = outer * inner // channels if isinstance(channels, int) else outer

    def body(t: Any, grad: Any, out: Any) -> None:
        _zero(out, product(kernel), dtype)
        with T.serial(0, n) as b, T.serial(0, height) as y, T.serial(0, width) as z:

            def visit(row: Any, column: Any, i: Any, j: Any) -> None:
                with T.serial(0, inner) as c, T.serial(0, outer) as o:
                    channel = tirx.floordiv(o, each) * inner + c
                    value = t[((b * rows + row) * columns + column) * channels + channel]
                    at = ((i * kw + j) * inner + c) * outer + o
                    here = grad[((b * height + y) * width + z) * outer + o]
                    out[at] = out[at] + value * here

            _taps(window, dims, y, z, visit)

    return loop_kernel(g, "filter_grad", [x, d], [(kernel, dtype)], body)[0]


@WINDOW_GRADIENTS.op("MirrorPadGrad")
def mirror_pad_grad(g: Emitter, node: Node) -> relax.Expr:
    """The gradient of a padded tensor, with that of the mirror images added to their originals."""
    d, flat = g.arg(node, 0), g.dims(node, 1)
    mode = node.attr("mode")
    if mode not in ("REFLECT", "SYMMETRIC"):
        raise BadAttr(node, "mode", found=mode, expected=("REFLECT", "SYMMETRIC"))
    edge, large, dtype = int(mode == "SYMMETRIC"), g.shape(d), g.dtype(d)
    dims = [n - a - b for n, a, b in zip(large, flat[::2], flat[1::2], strict=True)]

    def folded(at: Any, extent: Any) -> Any:
        low = tirx.Select(at < 0, -at - edge, at)
        return tirx.Select(low >= extent, 2 * extent - 2 + edge - low, low)

    def body(grad: Any, out: Any, place: Any) -> None:
        _zero(out, product(dims), dtype)
        with T.serial(0, product(large)) as i:
            place[0], place[1], place[2] = tirx.Cast("int64", i), *(
                tirx.const(v, "int64") for v in (0, 1))  # fmt: skip
            for axis in reversed(range(len(large))):
                at = tirx.floormod(place[0], large[axis]) - flat[2 * axis]
                place[1] = place[1] + folded(at, dims[axis]) * place[2]
                place[0] = tirx.floordiv(place[0], large[axis])
                place[2] = place[2] * dims[axis]
            out[place[1]] = out[place[1]] + grad[i]

    outputs: list[Any] = [(dims, dtype), ((3,), "int64")]
    return loop_kernel(g, "mirror_grad", [d], outputs, body, [*dims, *flat])[0]
