"""Shapes and axes computed from shapes: offsets of parts, axes that broadcasting repeats along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, product
from dlcc.compiler.frontend.ops.table import OpTable

SHAPE_ARGS = OpTable()

R = relax.op


def _fold_concat_offset(node: Node, axis: np.ndarray, *shapes: np.ndarray) -> list[np.ndarray]:
    at = int(axis) % shapes[0].size
    offsets = [np.zeros_like(s) for s in shapes]
    for n in range(1, len(shapes)):
        offsets[n][at] = offsets[n - 1][at] + shapes[n - 1][at]
    return offsets


@SHAPE_ARGS.op("ConcatOffset", fold=_fold_concat_offset, symbolic=True)
def concat_offset(g: Emitter, node: Node) -> list[relax.Expr]:
    """Where each part begins in a concatenation of tensors of these shapes."""
    axis, *shapes = g.args(node)
    (rank,) = g.static_shape(node, shapes[0])

    def begins(number: int) -> Any:
        def compute(at: te.Tensor, *given: te.Tensor) -> te.Tensor:
            zero = tirx.const(0, given[0].dtype)

            def element(i: Any) -> Any:
                start = sum((s(i) for s in given[:number]), zero)
                here = i == tirx.floormod(tirx.Cast("int64", at()), rank)
                return tirx.Select(here, start, zero)

            return te.compute((rank,), element, name="offset")

        return compute

    return [g.te(begins(n), axis, *shapes, name="offset") for n in range(len(shapes))]


@SHAPE_ARGS.op("BroadcastGradientArgs")
def broadcast_gradient_args(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """The axes along which each of two shapes is repeated when both are broadcast.

    Shapes that are equal are repeated nowhere; an axis that is 1 in both counts for both.
    Source: tensorflow/core/util/bcast.h, BCastList.
    """
    a, b = g.args(node)
    (n,), (m,) = g.static_shape(node, a), g.static_shape(node, b)
    rank, dtype = max(n, m), g.dtype(a)
    one = tirx.const(1, dtype)

    def body(x: Any, y: Any, first: Any, second: Any, counts: Any, same: Any) -> None:
        same[0] = tirx.const(n == m, "bool")
        for i in range(min(n, m) if n == m else 0):
            same[0] = tirx.all(same[0], x[i] == y[i])
        counts[0], counts[1] = tirx.const(0, "int64"), tirx.const(0, "int64")
        for i in range(rank):
            for k, (s, out, size) in enumerate(((x, first, n), (y, second, m))):
                at = i - (rank - size)
                lone = s[at] == one if at >= 0 else tirx.const(True, "bool")
                with T.If(tirx.all(lone, tirx.Not(same[0]))), T.Then():
                    out[counts[k]] = tirx.const(i, dtype)
                    counts[k] = counts[k] + 1

    outputs = [((rank,), dtype), ((rank,), dtype), ((2,), "int64"), ((1,), "bool")]
    first, second, counts, _ = loop_kernel(g, "repeated_axes", [a, b], outputs, body)
    return [
        first_rows(g, node, [axes], g.emit(R.strided_slice(counts, [0], [k], [k + 1])))[0]
        for k, axes in enumerate((first, second))
    ]


def _formats(node: Node) -> tuple[str, str]:
    src = str(node.attr("src_format") or "NHWC")
    dst = str(node.attr("dst_format") or "NCHW")
    if sorted(src) != sorted(dst):
        raise BadAttr(node, "dst_format", found=dst, expected=(f"an order of {src!r}",))
    return src, dst


@SHAPE_ARGS.op("DataFormatDimMap")
def dim_map(g: Emitter, node: Node) -> relax.Expr:
    """Numbers of axes in one data format as those of another; negative ones from the end."""
    src, dst = _formats(node)
    x = g.arg(node, 0)
    dtype = g.dtype(x)
    places = g.const([dst.index(letter) for letter in src], dtype)
    at = g.emit(R.astype(R.floor_mod(x, g.const(len(src), dtype)), "int32"))
    flat = g.emit(g.reshape(at, [product(g.shape(x))]))
    return g.reshape(R.take(places, flat, axis=0), g.shape(x))


def _order(node: Node, count: int) -> list[int]:
    """Which element of a vector in the one format stands where in the other.

    A vector shorter than the format by two has its spatial axes alone.
    """
    src, dst = _formats(node)
    if count == len(src) - 2:
        src, dst = (s.replace("N", "").replace("C", "") for s in (src, dst))
    return [src.index(letter) for letter in dst]


def _fold_vec_permute(node: Node, x: np.ndarray) -> np.ndarray:
    return x[_order(node, x.shape[0])]


@SHAPE_ARGS.op("DataFormatVecPermute", fold=_fold_vec_permute, symbolic=True)
def vec_permute(g: Emitter, node: Node) -> relax.Expr:
    """A vector of sizes, or a matrix of paddings, an axis a row, in another data format."""
    x = g.arg(node, 0)
    order = _order(node, g.static_shape(node, x)[0])
    return R.take(x, g.const(order, "int32"), axis=0)
