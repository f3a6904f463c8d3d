"""Pooling windows over 2D and 3D data."""

from __future__ import annotations

from typing import Any

from tvm import relax

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.padding import Window, spatial_axes, window_of

POOL = OpTable()

R = relax.op


def _window(g: Emitter, node: Node, x: relax.Expr) -> tuple[str, Window]:
    layout, axes = spatial_axes(node, g.rank(x))
    if len(node.inputs) >= 3:  # MaxPoolV2: window and strides are inputs
        sizes = [int(v) for v in g.static(node, 1, "the window")]
        strides = tuple(int(v) for v in g.static(node, 2, "the strides"))
        node = Node(node.name, node.op, node.inputs, {**node.attrs, "strides": strides})
    else:
        sizes = [int(k) for k in node.attr("ksize") or ()]
    if len(sizes) != g.rank(x) or any(k != 1 for i, k in enumerate(sizes) if i not in axes):
        raise BadAttr(node, "ksize", found=tuple(sizes), expected=("1 for batch and channels",))
    return layout, window_of(node, g.shape(x), [sizes[a] for a in axes], axes)


def _pool(g: Emitter, node: Node, two: Any, three: Any, **options: Any) -> relax.Expr:
    x = g.arg(node, 0)
    layout, window = _window(g, node, x)
    call = two if len(layout) == 4 else three
    return call(
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
    return _pool(g, node, R.nn.max_pool2d, R.nn.max_pool3d)


@POOL.op("AvgPool", "AvgPool3D")
def avg_pool(g: Emitter, node: Node) -> relax.Expr:
    """The mean of the elements inside; padding does not count."""
    return _pool(g, node, R.nn.avg_pool2d, R.nn.avg_pool3d, count_include_pad=False)
