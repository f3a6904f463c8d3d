"""Pooling windows over 2D and 3D data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.padding import Window, pad_window, spatial_axes, window_of

POOL = OpTable()

R = relax.op


def _window(g: Emitter, node: Node, x: relax.Expr) -> tuple[str, list[int], Window]:
    layout, axes = spatial_axes(node, g.rank(x))
    if len(node.inputs) >= 3:  # MaxPoolV2: window and strides are inputs
        sizes = [int(v) for v in g.static(node, 1, "the window")]
        strides = tuple(int(v) for v in g.static(node, 2, "the strides"))
        node = Node(node.name, node.op, node.inputs, {**node.attrs, "strides": strides})
    else:
        sizes = [int(k) for k in node.attr("ksize") or ()]
    if len(sizes) != g.rank(x) or any(k != 1 for i, k in enumerate(sizes) if i not in axes):
        raise BadAttr(node, "ksize", found=tuple(sizes), expected=("1 for batch and channels",))
    return layout, axes, window_of(node, g.shape(x), [sizes[a] for a in axes], axes)


def _pool(g: Emitter, layout: str, x: relax.Expr, window: Window, kind: str) -> relax.Expr:
    calls = {
        "max": (R.nn.max_pool2d, R.nn.max_pool3d), "avg": (R.nn.avg_pool2d, R.nn.avg_pool3d),
    }  # fmt: skip
    options = {"count_include_pad": False} if kind == "avg" else {}
    return calls[kind][len(layout) - 4](
        x,
        list(window.kernel),
        list(window.strides),
        window.attrs(),
        list(window.dilations),
        False,
        layout=layout,
        out_layout=layout,
        **options,
    )


@POOL.op("MaxPool", "MaxPoolV2", "MaxPool3D")
def max_pool(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    layout, axes, window = _window(g, node, x)
    lowest = tirx.min_value(g.dtype(x)).value
    x, window = pad_window(g, x, window, axes, lowest)
    return _pool(g, layout, x, window, "max")


@POOL.op("AvgPool", "AvgPool3D")
def avg_pool(g: Emitter, node: Node) -> relax.Expr:
    """The mean of the elements inside; padding does not count.

    Padding by symbolic amounts comes beforehand: the means of x and of ones, both padded with 0,
    are then too small by the same factor.
    """
    x = g.arg(node, 0)
    layout, axes, window = _window(g, node, x)
    if window.static:
        return _pool(g, layout, x, window, "avg")
    ones = g.emit(R.ones(relax.ShapeExpr(g.shape(x)), g.dtype(x)))
    (x, bare), (ones, _) = (pad_window(g, t, window, axes, 0) for t in (x, ones))
    return R.divide(*(_pool(g, layout, t, bare, "avg") for t in (x, ones)))


@POOL.op("MaxPoolWithArgmax")
def max_pool_with_argmax(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """The largest elements and their flat positions, ((b * h + y) * w + x) * c + channel.

    Without include_batch_in_index, b counts as 0. The first of equal elements wins.
    """
    x = g.arg(node, 0)
    _, _, window = _window(g, node, x)
    y = g.emit(max_pool(g, node))
    dtype = node.attr("Targmax", "int64")
    with_batch = bool(node.attr("include_batch_in_index", False))
    (kh, kw), (sh, sw) = window.kernel, window.strides
    top, left = window.attrs()[:2]

    def compute(t: te.Tensor, best: te.Tensor) -> te.Tensor:
        _, height, width, channels = t.shape
        k = te.reduce_axis((0, kh * kw), name="k")
        none = tirx.max_value("int64")

        def element(b: Any, i: Any, j: Any, c: Any) -> Any:
            row = i * sh + tirx.floordiv(k, kw) - top
            column = j * sw + tirx.floormod(k, kw) - left
            inside = tirx.all(row >= 0, row < height, column >= 0, column < width)
            hit = tirx.if_then_else(inside, t(b, row, column, c) == best(b, i, j, c), False)
            base = b * height if with_batch else 0
            at = tirx.Cast("int64", ((base + row) * width + column) * channels + c)
            return te.min(tirx.Select(hit, at, none), axis=k)

        return te.compute(best.shape, element, name="argmax")

    at = g.te(compute, x, y, name="pool_argmax")
    return [y, g.emit(R.astype(at, dtype))]
