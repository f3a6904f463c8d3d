"""Elements taken by index."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.axes import Lane, axis_at
from dlcc.compiler.frontend.dims import static_int
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.extents import fits
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable

GATHER = OpTable()


def _fold_gather(node: Node, x: np.ndarray, indices: np.ndarray, *axis: np.ndarray) -> Any:
    if indices.dtype == object or node.attr("batch_dims", 0):
        return None
    at = int(axis[0].item()) if axis else 0
    rows = x.shape[at] or 1
    if indices.size > rows and not fits([x.size // rows, indices.size], x.dtype):
        return None
    result = np.take(x, indices, at)
    if x.dtype == object and not isinstance(result, np.ndarray):
        scalar = np.empty((), object)
        scalar[()] = result
        return scalar
    return result


@GATHER.op("Gather", "GatherV2", "ResourceGather", fold=_fold_gather, symbolic=True)
def gather(g: Emitter, node: Node) -> relax.Expr:
    """x[…, indices, …] along an axis; an index outside gives 0, as TensorFlow's GPU kernel does."""
    x, indices = g.arg(node, 0), g.arg(node, 1)
    at = axis_at(g, node, 2, g.rank(x)) if len(node.inputs) > 2 else 0
    lane = Lane.of(g, x, at)
    x, axis = lane.x, lane.axis
    batch = int(node.attr("batch_dims", 0))
    batch += g.rank(indices) if batch < 0 else 0
    between = g.rank(indices) - batch

    def compute(t: te.Tensor, at: te.Tensor) -> te.Tensor:
        shape = [*t.shape[:axis], *at.shape[batch:], *t.shape[axis + 1 :]]

        def element(*i: Any) -> Any:
            k = tirx.Cast("int64", at[(*i[:batch], *i[axis : axis + between])])
            inside = tirx.all(k >= 0, k < t.shape[axis])
            value = t[(*i[:axis], k, *i[axis + between :])]
            return tirx.if_then_else(inside, value, tirx.const(0, t.dtype))

        return te.compute(shape, element, name="gather")

    return lane.back(g, g.te(compute, x, indices, name="gather"), g.shape(indices))


@GATHER.op("GatherNd", "ResourceGatherNd")
def gather_nd(g: Emitter, node: Node) -> relax.Expr:
    """x at the index vectors along the last axis of `indices`; 0 for one that is outside."""
    x, indices = g.args(node)
    depth = static_int(g.shape(indices)[-1])
    if depth is None:
        raise BadNode(node, "the length of an index vector is not known")
    lead = g.rank(indices) - 1

    def compute(t: te.Tensor, at: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            where = [tirx.Cast("int64", at[(*i[:lead], k)]) for k in range(depth)]
            inside = [tirx.all(w >= 0, w < d) for w, d in zip(where, t.shape, strict=False)]
            value = t[(*where, *i[lead:])]
            if not inside:
                return value
            return tirx.if_then_else(tirx.all(*inside), value, tirx.const(0, t.dtype))

        return te.compute([*at.shape[:-1], *t.shape[depth:]], element, name="gather_nd")

    return g.te(compute, x, indices, name="gather_nd")


@GATHER.op("UnravelIndex")
def unravel_index(g: Emitter, node: Node) -> relax.Expr:
    """Flat indices as coordinates, one row a dimension."""
    indices, dims = g.args(node)
    (count,) = g.static_shape(node, dims)

    def compute(flat: te.Tensor, d: te.Tensor) -> te.Tensor:
        def element(row: Any, *i: Any) -> Any:
            rest, result = flat[i], tirx.const(0, flat.dtype)
            for axis in reversed(range(count)):
                result = tirx.Select(row == axis, tirx.floormod(rest, d[axis]), result)
                rest = tirx.floordiv(rest, d[axis])
            return result

        return te.compute((count, *flat.shape), element, name="unravel_index")

    return g.te(compute, indices, dims, name="unravel_index")
