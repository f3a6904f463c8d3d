"""Gradients of windows over any number of axes: 3D pools and convolutions, filters by channel.

All are loops over the output that add to the input's places, with channels last; other layouts
are turned before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.padding import Window, spatial_axes, window_of

VOLUME_GRADIENTS = OpTable()

R = relax.op


def _orders(node: Node, rank: int) -> tuple[list[int], list[int]]:
    """The axes in an order with channels last, and the way back."""
    layout, axes = spatial_axes(node, rank)
    to_last = [0, *axes, layout.index("C")]
    return to_last, [to_last.index(i) for i in range(rank)]


def _turned(g: Emitter, x: relax.Expr, order: Sequence[int]) -> relax.Expr:
    return x if list(order) == sorted(order) else g.emit(R.permute_dims(x, list(order)))


def _zero(out: Any, count: Any, dtype: str) -> None:
    with T.serial(0, count) as i:
        out[i] = tirx.const(0, dtype)


def _flat(at: Sequence[Any], dims: Sequence[Any]) -> Any:
    """The flat position of an index."""
    place: Any = wide(at[0]) if not isinstance(at[0], int) else at[0]
    for i, d in zip(at[1:], dims[1:], strict=True):
        place = place * d + i
    return place


def _each(extents: Sequence[Any], visit: Callable[[tuple[Any, ...]], None], *done: Any) -> None:
    """visit(index) for every index below the extents."""
    if not extents:
        visit(done)
        return
    with T.serial(0, extents[0]) as i:
        _each(extents[1:], visit, *done, i)


def _taps(
    window: Window, dims: Sequence[Dim], place: Sequence[Any], visit: Callable[..., None]
) -> None:
    """visit(position, tap) for the elements under the window at a place of the output."""

    def tap(taps: tuple[Any, ...]) -> None:
        at = [
            p * s + t * d - pad[0]
            for p, t, s, d, pad in zip(
                place, taps, window.strides, window.dilations, window.pads, strict=True
            )
        ]
        inside = [q for a, d in zip(at, dims, strict=True) for q in (a >= 0, a < d)]
        with T.If(tirx.all(*inside)), T.Then():
            visit(at, taps)

    _each(window.kernel, tap)


def _pool_window(node: Node, given: Sequence[Dim]) -> Window:
    axes = spatial_axes(node, len(given))[1]
    sizes = [int(node.attr("ksize")[a]) for a in axes]
    return window_of(node, given, sizes, axes)


@VOLUME_GRADIENTS.op("MaxPool3DGrad")
def max_pool_3d_grad(g: Emitter, node: Node) -> relax.Expr:
    """Each window's gradient to all its elements that are the largest.

    Source: tensorflow/core/kernels/pooling_ops_3d.cc, LaunchMaxPooling3dGradOp on a CPU.
    """
    window = _pool_window(node, g.shape(g.arg(node, 0)))
    last, back = _orders(node, 5)
    x, y, d = (_turned(g, g.arg(node, i), last) for i in range(3))
    dims, small, dtype = g.shape(x), g.shape(y), g.dtype(x)

    def body(t: Any, best: Any, grad: Any, out: Any) -> None:
        _zero(out, product(dims), dtype)

        def window_at(i: tuple[Any, ...]) -> None:
            here = _flat(i, small)

            def visit(at: Sequence[Any], tap: Any) -> None:
                place = _flat([i[0], *at, i[-1]], dims)
                with T.If(t[place] == best[here]), T.Then():
                    out[place] = out[place] + grad[here]

            _taps(window, dims[1:-1], i[1:-1], visit)

        _each(small, window_at)

    made = loop_kernel(g, "max_pool_3d_grad", [x, y, d], [(dims, dtype)], body)[0]
    return _turned(g, made, back)


@VOLUME_GRADIENTS.op("AvgPool3DGrad")
def avg_pool_3d_grad(g: Emitter, node: Node) -> relax.Expr:
    """Each window's gradient in equal shares to the elements inside."""
    given, d = g.dims(node, 0), g.arg(node, 1)
    window = _pool_window(node, given)
    last, back = _orders(node, 5)
    d, dims = _turned(g, d, last), [given[a] for a in last]
    small, dtype = g.shape(d), g.dtype(d)

    def body(grad: Any, out: Any, count: Any) -> None:
        _zero(out, product(dims), dtype)

        def one_more(at: Any, tap: Any) -> None:
            count[0] = count[0] + tirx.const(1, dtype)

        def window_at(i: tuple[Any, ...]) -> None:
            count[0] = tirx.const(0, dtype)
            _taps(window, dims[1:-1], i[1:-1], one_more)
            here = _flat(i, small)

            def visit(at: Sequence[Any], tap: Any) -> None:
                place = _flat([i[0], *at, i[-1]], dims)
                out[place] = out[place] + grad[here] / count[0]

            _taps(window, dims[1:-1], i[1:-1], visit)

        _each(small, window_at)

    outputs: Any = [(dims, dtype), ((1,), dtype)]
    return _turned(g, loop_kernel(g, "avg_pool_3d_grad", [d], outputs, body, dims)[0], back)


@VOLUME_GRADIENTS.op("Conv3DBackpropFilterV2", "DepthwiseConv2dNativeBackpropFilter")
def filter_grad(g: Emitter, node: Node) -> relax.Expr:
    """For each tap, the sum over all windows of the element under it times the gradient."""
    given = g.shape(g.arg(node, 0))
    kernel = [int(k) for k in g.static(node, 1, "the filter's sizes")]
    *extents, inner, outer = kernel
    window = window_of(node, given, extents, spatial_axes(node, len(given))[1])
    last, _ = _orders(node, len(given))
    x, d = (_turned(g, g.arg(node, i), last) for i in (0, 2))
    dims, small, dtype = g.shape(x), g.shape(d), g.dtype(x)
    by_channel = node.op.startswith("Depthwise")

    def body(t: Any, grad: Any, out: Any) -> None:
        _zero(out, product(kernel), dtype)

        def window_at(i: tuple[Any, ...]) -> None:
            def visit(at: Sequence[Any], tap: Sequence[Any]) -> None:
                with T.serial(0, inner) as c, T.serial(0, outer) as o:
                    channel = c * outer + o if by_channel else o
                    place, here = _flat([*tap, c, o], kernel), _flat([*i, channel], small)
                    out[place] = out[place] + t[_flat([i[0], *at, c], dims)] * grad[here]

            _taps(window, dims[1:-1], i[1:], visit)

        _each(small[:-1], window_at)

    return loop_kernel(g, "filter_grad", [x, d], [(kernel, dtype)], body)[0]
