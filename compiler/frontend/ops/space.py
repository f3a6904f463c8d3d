"""Blocks of space moved to batch or depth, and back."""

from __future__ import annotations

from tvm import relax, tirx

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import product
from dlcc.compiler.frontend.ops.slice import cut
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.padding import pad_by

SPACE = OpTable()

R = relax.op


def _divided(node: Node, dim: Dim, by: Dim) -> Dim:
    if isinstance(dim, int) and isinstance(by, int):
        if dim % by:
            raise BadNode(node, f"a dimension of {dim} is not divisible by the block of {by}")
        return dim // by
    return tirx.floordiv(dim, by)


@SPACE.op("DepthToSpace")
def depth_to_space(g: Emitter, node: Node) -> relax.Expr:
    """(n, h, w, b*b*c) -> (n, h*b, w*b, c); NCHW likewise."""
    x, b = g.arg(node, 0), int(node.attr("block_size", 1))
    if node.attr("data_format", "NHWC") == "NCHW":
        n, c, h, w = g.shape(x)
        c = _divided(node, c, b * b)
        y = R.permute_dims(g.reshape(x, [n, b, b, c, h, w]), [0, 3, 4, 1, 5, 2])
        return g.reshape(y, [n, c, h * b, w * b])
    n, h, w, c = _nhwc(g, node, x)
    c = _divided(node, c, b * b)
    y = R.permute_dims(g.reshape(x, [n, h, w, b, b, c]), [0, 1, 3, 2, 4, 5])
    return g.reshape(y, [n, h * b, w * b, c])


@SPACE.op("SpaceToDepth")
def space_to_depth(g: Emitter, node: Node) -> relax.Expr:
    """(n, h*b, w*b, c) -> (n, h, w, b*b*c); NCHW likewise."""
    x, b = g.arg(node, 0), int(node.attr("block_size", 1))
    if node.attr("data_format", "NHWC") == "NCHW":
        n, c, h, w = g.shape(x)
        h, w = _divided(node, h, b), _divided(node, w, b)
        y = R.permute_dims(g.reshape(x, [n, c, h, b, w, b]), [0, 3, 5, 1, 2, 4])
        return g.reshape(y, [n, c * b * b, h, w])
    n, h, w, c = _nhwc(g, node, x)
    h, w = _divided(node, h, b), _divided(node, w, b)
    y = R.permute_dims(g.reshape(x, [n, h, b, w, b, c]), [0, 1, 3, 2, 4, 5])
    return g.reshape(y, [n, h, w, b * b * c])


def _nhwc(g: Emitter, node: Node, x: relax.Expr) -> list[Dim]:
    layout = node.attr("data_format", "NHWC")
    if layout != "NHWC":
        raise BadAttr(node, "data_format", found=layout, expected=("NHWC", "NCHW"))
    return g.shape(x)


def _blocks(g: Emitter, node: Node) -> tuple[list[Dim], list[Dim], list[Dim]]:
    """Block sizes, and padding or crops before and after; V1 has one size for two axes."""
    if node.op.endswith("ND"):
        sizes, flat = g.dims(node, 1), g.dims(node, 2)
    else:
        each: Dim = int(node.attr("block_size", 1))
        sizes, flat = [each, each], g.dims(node, 1)
    return sizes, flat[::2], flat[1::2]


@SPACE.op("SpaceToBatchND", "SpaceToBatch")
def space_to_batch(g: Emitter, node: Node) -> relax.Expr:
    """Padding, then each block's elements to the batch, which they lead.

    Source: tensorflow/core/ops/array_ops.cc, documentation of SpaceToBatchND, steps 1 to 4.
    """
    x = g.arg(node, 0)
    sizes, low, high = _blocks(g, node)
    m = len(sizes)
    rest = g.rank(x) - 1 - m
    x = g.normal(pad_by(g, x, [0, *low, *[0] * rest], [0, *high, *[0] * rest]))
    n, *dims = g.shape(x)
    outer = [_divided(node, d, b) for d, b in zip(dims, sizes, strict=False)]
    split = [q for o, b in zip(outer, sizes, strict=True) for q in (o, b)]
    y = g.reshape(x, [n, *split, *dims[m:]])
    order = [*range(2, 2 * m + 1, 2), 0, *range(1, 2 * m, 2), *range(2 * m + 1, 2 * m + 1 + rest)]
    return g.reshape(R.permute_dims(y, order), [n * product(sizes), *outer, *dims[m:]])


@SPACE.op("BatchToSpaceND", "BatchToSpace")
def batch_to_space(g: Emitter, node: Node) -> relax.Expr:
    """The way back: batch to blocks, then crops."""
    x = g.arg(node, 0)
    sizes, low, high = _blocks(g, node)
    m = len(sizes)
    n, *dims = g.shape(x)
    rest = len(dims) - m
    batch = _divided(node, n, product(sizes))
    y = g.reshape(x, [*sizes, batch, *dims])
    pairs = [q for i in range(m) for q in (m + 1 + i, i)]
    y = R.permute_dims(y, [m, *pairs, *range(2 * m + 1, 2 * m + 1 + rest)])
    whole = [d * b for d, b in zip(dims, sizes, strict=False)]
    y = g.reshape(y, [batch, *whole, *dims[m:]])
    if all(isinstance(c, int) and c == 0 for c in (*low, *high)):
        return y
    left = [w - b - a for w, b, a in zip(whole, low, high, strict=True)]
    starts = [0, *low, *[0] * rest]
    return cut(g, y, starts, [1] * len(starts), [batch, *left, *dims[m:]])
