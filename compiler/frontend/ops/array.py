"""Tensors joined, split, turned, repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.extents import checked_count, fits
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable

ARRAY = OpTable()

R = relax.op


def _fold_concat(node: Node, *arrays: np.ndarray) -> np.ndarray:
    *parts, axis = arrays if node.op == "ConcatV2" else (*arrays[1:], arrays[0])
    return np.concatenate(parts, int(axis.item()))


@ARRAY.op("ConcatV2", "Concat", fold=_fold_concat, symbolic=True)
def concat(g: Emitter, node: Node) -> relax.Expr:
    last = len(node.inputs) - 1
    at, parts = (last, range(last)) if node.op == "ConcatV2" else (0, range(1, last + 1))
    axis = int(g.static(node, at, "the axis").item())
    tensors = [g.arg(node, i) for i in parts]
    return R.concat(tensors, axis % g.rank(tensors[0])) if len(tensors) > 1 else tensors[0]


def _fold_pack(node: Node, *arrays: np.ndarray) -> np.ndarray:
    return np.stack(arrays, node.attr("axis", 0))


@ARRAY.op("Pack", fold=_fold_pack, symbolic=True)
def pack(g: Emitter, node: Node) -> relax.Expr:
    tensors = g.args(node)
    rank = g.rank(tensors[0]) + 1
    axis = int(node.attr("axis", 0)) % rank
    dims = g.shape(tensors[0])
    lifted = [g.reshape(t, [*dims[:axis], 1, *dims[axis:]]) for t in tensors]
    return R.concat(lifted, axis) if len(lifted) > 1 else lifted[0]


def _fold_unpack(node: Node, x: np.ndarray) -> list[np.ndarray]:
    axis = node.attr("axis", 0)
    return [np.take(x, i, axis) for i in range(x.shape[axis])]


@ARRAY.op("Unpack", fold=_fold_unpack, symbolic=True)
def unpack(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    x = g.arg(node, 0)
    axis = int(node.attr("axis", 0)) % g.rank(x)
    count = int(node.attr("num", 0))
    dims = g.shape(x)
    rest = [d for i, d in enumerate(dims) if i != axis]
    return [g.emit(g.reshape(R.strided_slice(x, [axis], [i], [i + 1]), rest)) for i in range(count)]


@ARRAY.op("Split")
def split(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    x = g.arg(node, 1)
    axis = int(g.static(node, 0, "the axis").item()) % g.rank(x)
    count = int(node.attr("num_split", 1))
    extent = g.shape(x)[axis]
    if not isinstance(extent, int) or extent % count:
        raise BadNode(node, f"axis {axis} of size {extent} does not split into {count}")
    size = extent // count
    return _cuts(g, x, axis, [size] * count)


@ARRAY.op("SplitV")
def split_v(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    x = g.arg(node, 0)
    axis = int(g.static(node, 2, "the axis").item()) % g.rank(x)
    sizes = [int(s) for s in g.static(node, 1, "the sizes").reshape(-1)]
    if -1 in sizes:
        extent = g.shape(x)[axis]
        if not isinstance(extent, int):
            raise BadNode(node, f"size -1 of an axis of unknown size {extent}")
        sizes[sizes.index(-1)] = extent - sum(s for s in sizes if s >= 0)
    return _cuts(g, x, axis, sizes)


def _cuts(g: Emitter, x: relax.Expr, axis: int, sizes: Sequence[int]) -> list[relax.Expr]:
    ends = np.cumsum(sizes)
    return [
        g.emit(R.strided_slice(x, [axis], [int(end) - size], [int(end)]))
        for end, size in zip(ends, sizes, strict=True)
    ]


def _fold_transpose(node: Node, x: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.transpose(x, [int(i) for i in order])


@ARRAY.op("Transpose", "ConjugateTranspose", fold=_fold_transpose)
def transpose(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    if len(node.inputs) == 1:
        return R.permute_dims(x)
    order = [int(i) % g.rank(x) for i in g.static(node, 1, "the order of axes")]
    return R.permute_dims(x, order) if order != sorted(order) else x


@ARRAY.op("InvertPermutation", fold=lambda node, x: np.argsort(x).astype(x.dtype))
def invert_permutation(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    return R.argsort(x, -1, False, g.dtype(x))


def _fold_tile(node: Node, x: np.ndarray, times: np.ndarray) -> Any:
    if times.dtype == object or not fits([x.size, *times], x.dtype):
        return None
    return np.tile(x, [int(t) for t in times])


@ARRAY.op("Tile", fold=_fold_tile, symbolic=True)
def tile(g: Emitter, node: Node) -> relax.Expr:
    """Repeat along each axis; the multiples may be symbolic."""
    x = g.arg(node, 0)
    times = g.dims(node, 1)
    dims = g.shape(x)
    if all(isinstance(t, int) for t in times):
        return R.tile(x, times) if any(t != 1 for t in times) else x
    whole = [d * t for d, t in zip(dims, times, strict=True)]
    lifted = g.reshape(x, [q for d in dims for q in (1, d)])
    spread = [q for t, d in zip(times, dims, strict=True) for q in (t, d)]
    return g.reshape(R.broadcast_to(lifted, relax.ShapeExpr(spread)), whole)


@ARRAY.op("ReverseV2", "Reverse")
def reverse(g: Emitter, node: Node) -> relax.Expr:
    """Axes by number (V2), or by a flag an axis (V1)."""
    x = g.arg(node, 0)
    which = g.static(node, 1, "the axes").reshape(-1)
    if node.op == "Reverse" or which.dtype == np.bool_:
        axes = [i for i, flag in enumerate(which) if flag]
    else:
        axes = [int(a) % g.rank(x) for a in which]
    for axis in axes:
        x = g.emit(R.flip(x, axis))
    return x


@ARRAY.op("ReverseSequence")
def reverse_sequence(g: Emitter, node: Node) -> relax.Expr:
    """The first `seq_lengths[b]` elements along seq_dim reversed, for each b along batch_dim."""
    x, lengths = g.args(node)
    seq, batch = int(node.attr("seq_dim", 0)), int(node.attr("batch_dim", 0))

    def compute(t: te.Tensor, n: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            count = tirx.Cast("int64", n[i[batch]])
            at = tirx.Cast("int64", i[seq])
            turned = tirx.if_then_else(at < count, count - 1 - at, at)
            return t[tuple(turned if d == seq else v for d, v in enumerate(i))]

        return te.compute(t.shape, element, name="reverse_sequence")

    return g.te(compute, x, lengths, name="reverse_sequence")


@ARRAY.op("Roll")
def roll(g: Emitter, node: Node) -> relax.Expr:
    """Elements moved on along axes, around the end; an axis given twice moves by the sum."""
    x, shifts = g.arg(node, 0), g.arg(node, 1)
    axes = [int(a) % g.rank(x) for a in g.static(node, 2, "the axes").reshape(-1)]
    shifts = g.emit(g.reshape(shifts, [len(axes)]))
    if g.empty(x):
        return x

    def compute(t: te.Tensor, by: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            at = [tirx.Cast("int64", v) for v in i]
            for k, axis in enumerate(axes):
                at[axis] = tirx.floormod(at[axis] - tirx.Cast("int64", by[k]), t.shape[axis])
            return t(*at)

        return te.compute(t.shape, element, name="roll")

    return g.te(compute, x, shifts, name="roll")


@ARRAY.op("OneHot")
def one_hot(g: Emitter, node: Node) -> relax.Expr:
    """`on` where the new axis' position equals the index, else `off`; any index, also outside."""
    indices, on, off = g.arg(node, 0), g.arg(node, 2), g.arg(node, 3)
    depth = checked_count(node, int(g.static(node, 1, "the depth").item()), "the depth")
    rank = g.rank(indices) + 1
    axis = int(node.attr("axis", -1)) % rank
    dims = g.shape(indices)
    positions = g.const(
        np.arange(depth).reshape([depth if i == axis else 1 for i in range(rank)]),
        g.dtype(indices),
    )
    lifted = g.reshape(indices, [*dims[:axis], 1, *dims[axis:]])
    return R.where(R.equal(lifted, positions), on, off)


def _fold_lin_space(node: Node, a: np.ndarray, b: np.ndarray, n: np.ndarray) -> np.ndarray:
    num = checked_count(node, int(n), "the number of points")
    return np.linspace(a, b, num, dtype=a.dtype)


@ARRAY.op("LinSpace", fold=_fold_lin_space)
def lin_space(g: Emitter, node: Node) -> relax.Expr:
    """`num` points from start to stop, which may be known at run time only."""
    start, stop = g.arg(node, 0), g.arg(node, 1)
    what = "the number of points"
    num = checked_count(node, int(g.static(node, 2, what).item()), what)
    dtype = g.dtype(start)
    steps = g.const(np.arange(num) / max(num - 1, 1), dtype)
    return R.add(start, R.multiply(R.subtract(stop, start), steps))
