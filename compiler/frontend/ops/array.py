"""Tensors joined, split, turned, repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.axes import Lane, axes_in, axis_at, listed, permuted
from dlcc.compiler.frontend.dims import Dim, same_dim, static_int
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.extents import checked_count, fits
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.slice import cut
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
    tensors = [g.arg(node, i) for i in parts]
    if len(tensors) == 1:
        return tensors[0]
    axis = axis_at(g, node, at, g.rank(tensors[0]))
    lanes = [Lane.of(g, t, axis) for t in tensors]
    joined = _joined(g, [lane.x for lane in lanes], lanes[0].axis)
    return lanes[0].back(g, joined, [total([lane.extent for lane in lanes])])


def _joined(g: Emitter, tensors: Sequence[relax.Expr], axis: int) -> relax.Expr:
    """Tensors one behind the other, also where only the values tell that the rest is alike."""
    first, *others = ([*d[:axis], *d[axis + 1 :]] for d in map(g.shape, tensors))
    if all(same_dim(a, b) for other in others for a, b in zip(first, other, strict=True)):
        return R.concat(list(tensors), axis)

    def compute(*given: te.Tensor) -> te.Tensor:
        starts = [total([t.shape[axis] for t in given[:n]]) for n in range(len(given) + 1)]

        def element(*i: Any) -> Any:
            at = tirx.Cast("int64", i[axis])
            here = [
                t(*i[:axis], at - start, *i[axis + 1 :])
                for t, start in zip(given, starts, strict=False)
            ]
            result = here[-1]
            for value, end in reversed(list(zip(here, starts[1:-1], strict=False))):
                result = tirx.if_then_else(at < end, value, result)
            return result

        lead, tail = given[0].shape[:axis], given[0].shape[axis + 1 :]
        return te.compute([*lead, starts[-1], *tail], element, name="concat")

    return g.te(compute, *tensors, name="concat")


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


@ARRAY.op("ParallelConcat")
def parallel_concat(g: Emitter, node: Node) -> relax.Expr:
    tensors = g.args(node)
    return R.concat(tensors, 0) if len(tensors) > 1 else tensors[0]


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
    """Equal parts. An open axis that does not divide, which TensorFlow refuses, loses its rest."""
    x = g.arg(node, 1)
    lane = Lane.of(g, x, axis_at(g, node, 0, g.rank(x)))
    count = int(node.attr("num_split", 1))
    extent = lane.extent
    if isinstance(extent, int) and extent % count:
        raise BadNode(node, f"axis {lane.at} of size {extent} does not split into {count}")
    return _cuts(g, lane, [extent // count] * count)


@ARRAY.op("SplitV")
def split_v(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    x = g.arg(node, 0)
    """Parts of given sizes; one of -1 is what the others leave."""
    x = g.arg(node, 0)
    lane = Lane.of(g, x, axis_at(g, node, 2, g.rank(x)))
    sizes = g.dims(node, 1)
    rest = lane.extent - total(sizes) - 1
    return _cuts(g, lane, [_size_or_rest(g, s, rest) for s in sizes])


def _size_or_rest(g: Emitter, size: Dim, rest: Dim) -> Dim:
    if g.may_be_negative(size):
        return tirx.Select(size < 0, tirx.Cast("int64", rest), size)
    return rest if isinstance(size, int) and size == -1 else size


def total(dims: Sequence[Dim]) -> Dim:
    """The sum of dimensions."""
    result: Dim = 0
    for dim in dims:
        result = result + dim
    return result


def _cuts(g: Emitter, lane: Lane, sizes: Sequence[Dim]) -> list[relax.Expr]:
    """Parts along the lane's axis, one behind the other."""
    dims = g.shape(lane.x)
    parts: list[relax.Expr] = []
    for number, size in enumerate(sizes):
        starts = [0] * len(dims)
        starts[lane.axis] = total(sizes[:number])
        extents = [size if i == lane.axis else d for i, d in enumerate(dims)]
        part = cut(g, lane.x, starts, [1] * len(dims), extents)
        parts.append(g.emit(lane.back(g, part, [size])))
    return parts


def _fold_transpose(node: Node, x: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.transpose(x, [int(i) for i in order])


@ARRAY.op("Transpose", "ConjugateTranspose", fold=_fold_transpose)
def transpose(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    if len(node.inputs) == 1:
        return R.permute_dims(x)
    if g.known(node, 1) is None:
        return permuted(g, x, axes_in(g, node, 1, g.rank(x)))
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
    nothing = [static_int(d) == 0 for d in dims]
    whole = [0 if n else d * t for n, d, t in zip(nothing, dims, times, strict=True)]
    if any(nothing):
        return R.zeros(relax.ShapeExpr(whole), g.dtype(x))
    lifted = g.reshape(x, [q for d in dims for q in (1, d)])
    spread = [q for t, d in zip(times, dims, strict=True) for q in (t, d)]
    return g.reshape(R.broadcast_to(lifted, relax.ShapeExpr(spread)), whole)


@ARRAY.op("ReverseV2", "Reverse")
def reverse(g: Emitter, node: Node) -> relax.Expr:
    """Axes by number (V2), or by a flag an axis (V1)."""
    x = g.arg(node, 0)
    if g.known(node, 1) is None:
        return _reversed(g, x, g.arg(node, 1))
    which = g.static(node, 1, "the axes").reshape(-1)
    if node.op == "Reverse" or which.dtype == np.bool_:
        axes = [i for i, flag in enumerate(which) if flag]
    else:
        axes = [int(a) % g.rank(x) for a in which]
    for axis in axes:
        x = g.emit(R.flip(x, axis))
    return x


def _reversed(g: Emitter, x: relax.Expr, which: relax.Expr) -> relax.Expr:
    """`x` turned along axes by number, or by flags, that a tensor holds."""
    rank, flags = g.rank(x), g.dtype(which) == "bool"

    def compute(t: te.Tensor, axes: te.Tensor) -> te.Tensor:
        def place(axis: int, v: Any) -> Any:
            turned = axes[axis] if flags else tirx.any(*listed(axes, rank, axis))
            return tirx.if_then_else(turned, t.shape[axis] - 1 - v, v)

        return te.compute(t.shape, lambda *i: t(*map(place, range(rank), i)), name="reverse")

    count = g.shape(which)[0]
    return g.te(compute, x, which, name="reverse") if rank and count != 0 else x


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
    x, rank = g.arg(node, 0), g.rank(g.arg(node, 0))
    shifts, axes = (_flat(g, node, i) for i in (1, 2))
    if g.empty(x):
        return x

    def compute(t: te.Tensor, by: te.Tensor, where: te.Tensor) -> te.Tensor:
        def place(axis: int, v: Any) -> Any:
            at = tirx.Cast("int64", v)
            for k, here in enumerate(listed(where, rank, axis)):
                at = at - tirx.Select(here, tirx.Cast("int64", by[k]), tirx.const(0, "int64"))
            return tirx.floormod(at, t.shape[axis])

        return te.compute(t.shape, lambda *i: t(*map(place, range(rank), i)), name="roll")

    return g.te(compute, x, shifts, axes, name="roll")


def _flat(g: Emitter, node: Node, index: int) -> relax.Expr:
    """A small input as a vector of known length."""
    x = g.arg(node, index)
    return g.emit(g.reshape(x, [int(np.prod(g.static_shape(node, x)))]))


@ARRAY.op("OneHot")
def one_hot(g: Emitter, node: Node) -> relax.Expr:
    """`on` where the new axis' position equals the index, else `off`; any index, also outside."""
    indices, on, off = g.arg(node, 0), g.arg(node, 2), g.arg(node, 3)
    (depth,) = g.dims(node, 1)
    if isinstance(depth, int):
        checked_count(node, depth, "the depth")
    rank = g.rank(indices) + 1
    axis = int(node.attr("axis", -1)) % rank
    dims = g.shape(indices)
    shape = [*dims[:axis], depth, *dims[axis:]]
    symbols = [d for d in shape if not isinstance(d, int)]

    def compute(at: te.Tensor, hot: te.Tensor, cold: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given)

        def element(*i: Any) -> Any:
            here = at(*i[:axis], *i[axis + 1 :]) == tirx.Cast(at.dtype, i[axis])
            return tirx.Select(here, hot(), cold())

        return te.compute([d if isinstance(d, int) else next(rest) for d in shape], element)

    return g.te(compute, indices, on, off, *symbols, name="one_hot")


def _fold_lin_space(node: Node, a: np.ndarray, b: np.ndarray, n: np.ndarray) -> np.ndarray:
    num = checked_count(node, int(n), "the number of points")
    return np.linspace(a, b, num, dtype=a.dtype)


@ARRAY.op("LinSpace", fold=_fold_lin_space)
def lin_space(g: Emitter, node: Node) -> relax.Expr:
    """`num` points from start to stop, which may be known at run time only."""
    (num,) = g.dims(node, 2)
    if isinstance(num, int):
        checked_count(node, num, "the number of points")

    def compute(start: te.Tensor, stop: te.Tensor, n: Any) -> te.Tensor:
        step = (stop() - start()) / tirx.Cast(start.dtype, tirx.max(n - 1, 1))

        def element(i: Any) -> Any:
            inner = start() + step * tirx.Cast(start.dtype, i)
            return tirx.if_then_else(tirx.all(i == n - 1, i > 0), stop(), inner)

        return te.compute((n,), element, name="lin_space")

    size = tirx.IntImm("int64", num) if isinstance(num, int) else num
    return g.te(compute, g.arg(node, 0), g.arg(node, 1), size, name="lin_space")
