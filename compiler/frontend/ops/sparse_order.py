"""Sparse tensors put in order, joined and cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, wide
from dlcc.compiler.frontend.ops.sparse_math import key, rank_of, zero
from dlcc.compiler.frontend.ops.table import OpTable

SPARSE_ORDER = OpTable()

R = relax.op


def _ordered(
    g: Emitter, node: Node, indices: relax.Expr, values: relax.Expr, shape: relax.Expr
) -> list[relax.Expr]:
    """The elements by their place, row by row; those of one place stay as they were."""
    rank, (count,) = rank_of(g, node, shape), g.shape(values)

    def body(at: Any, s: Any, out: Any) -> None:
        with T.serial(0, count) as i:
            out[i] = key(at, i, s, rank)

    keys = loop_kernel(g, "places", [indices, shape], [([count], "int64")], body)[0]
    order = g.emit(R.argsort(keys, -1, False, "int64"))
    return [g.emit(R.take(t, order, 0)) for t in (indices, values)]


@SPARSE_ORDER.op("SparseReorder")
def sparse_reorder(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    return _ordered(g, node, *g.args(node))


@SPARSE_ORDER.op("SparseConcat")
def sparse_concat(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Sparse tensors one behind the other along an axis.

    Source: tensorflow/core/kernels/sparse_concat_op.cc.
    """
    n = int(node.attr("N") or len(node.inputs) // 3)
    given = g.args(node)
    indices, values, shapes = given[:n], given[n : 2 * n], given[2 * n :]
    rank = rank_of(g, node, shapes[0])
    axis = int(node.attr("concat_dim", 0)) % rank
    counts = [g.shape(v)[0] for v in values]

    def body(*buffers: Any) -> None:
        places, sizes, (*outs, shape) = buffers[:n], buffers[n : 2 * n], buffers[2 * n :]
        shift = zero()
        for at, size, out, count in zip(places, sizes, outs, counts, strict=True):
            with T.serial(0, count) as i:
                for k in range(rank):
                    own = at[i * rank + k]
                    out[i * rank + k] = own + shift if k == axis else own
            shift = shift + size[axis]
        for k in range(rank):
            shape[k] = shift if k == axis else sizes[0][k]

    outputs = [*(([c, rank], "int64") for c in counts), ((rank,), "int64")]
    *moved, shape = loop_kernel(g, "sparse_concat", [*indices, *shapes], outputs, body)
    whole = [g.emit(R.concat(t, 0)) for t in (moved, values)]
    return [*_ordered(g, node, whole[0], whole[1], shape), shape]


def _cut(
    g: Emitter, node: Node, tensors: Sequence[relax.Expr], start: relax.Expr, size: relax.Expr
) -> list[relax.Expr]:
    """What lies in a box: indices in it, values, and its shape cut at the end of the tensor."""
    _, values, shape = tensors
    rank, (count,) = rank_of(g, node, shape), g.shape(values)

    def body(at: Any, v: Any, s: Any, first: Any, extent: Any, *outs: Any) -> None:
        out, new, n, box = outs
        n[0] = zero()
        for k in range(rank):
            box[k] = tirx.max(tirx.min(extent[k], s[k] - first[k]), zero())
        with T.serial(0, count) as i:
            own = [at[i * rank + k] - first[k] for k in range(rank)]
            inside = tirx.all(*(tirx.all(p >= 0, p < box[k]) for k, p in enumerate(own)))
            with T.If(inside), T.Then():
                for k, place in enumerate(own):
                    out[n[0] * rank + k] = place
                new[n[0]] = v[i]
                n[0] = n[0] + 1

    outputs = [([count, rank], "int64"), ([count], g.dtype(values)), ((1,), "int64"),
               ((rank,), "int64")]  # fmt: skip
    made = loop_kernel(g, "sparse_slice", [*tensors, start, size], outputs, body)
    return [*first_rows(g, node, made[:2], made[2]), made[3]]


@SPARSE_ORDER.op("SparseSlice")
def sparse_slice(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Source: tensorflow/core/kernels/sparse_slice_op.cc."""
    *tensors, start, size = g.args(node)
    return _cut(g, node, tensors, start, size)


@SPARSE_ORDER.op("SparseSplit")
def sparse_split(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Parts along an axis, the first ones longer by one where it does not divide.

    Indices of all parts, then values, then shapes.
    Source: tensorflow/core/util/sparse/sparse_tensor.h, SparseTensor::Split.
    """
    axis, tensors = g.static(node, 0, "the axis"), [g.arg(node, i) for i in (1, 2, 3)]
    parts, rank = int(node.attr("num_split", 1)), rank_of(g, node, tensors[2])
    at = int(axis.reshape(-1)[0])
    if not -rank <= at < rank or axis.size != 1:
        raise BadNode(node, f"splits axis {axis} of {rank}")
    at %= rank

    def body(s: Any, *outs: Any) -> None:
        for part in range(parts):
            each, more = tirx.floordiv(s[at], wide(parts)), tirx.floormod(s[at], wide(parts))
            start, size = outs[2 * part], outs[2 * part + 1]
            for k in range(rank):
                start[k] = part * each + tirx.min(wide(part), more) if k == at else zero()
                longer = tirx.Select(more > part, each + 1, each)
                size[k] = longer if k == at else s[k]

    boxes = loop_kernel(g, "split_boxes", tensors[2:], [((rank,), "int64")] * (2 * parts), body)
    made = [_cut(g, node, tensors, *boxes[2 * p : 2 * p + 2]) for p in range(parts)]
    return [m[k] for k in range(3) for m in made]
