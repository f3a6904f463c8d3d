"""Tensors with some rows, or a strided slice, written anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.scatter import join_of, scattered
from dlcc.compiler.frontend.ops.slice import Extent, extents_of
from dlcc.compiler.frontend.ops.table import OpTable

INPLACE = OpTable()

R = relax.op


@INPLACE.op("InplaceUpdate", "InplaceAdd", "InplaceSub")
def inplace(g: Emitter, node: Node) -> relax.Expr:
    """Rows joined with new ones; a number of a row wraps around.

    Source: tensorflow/core/kernels/inplace_ops.cc, DoInplaceUpdateOp.
    """
    x, rows, values = g.args(node)
    count = g.shape(x)[0]
    if isinstance(count, int):
        rows = g.emit(R.floor_mod(rows, g.const(max(count, 1), "int32")))
    vectors = g.emit(g.reshape(rows, [*g.shape(rows), 1]))
    return scattered(g, node, (x, vectors, values), join_of(node))


@INPLACE.op("TensorStridedSliceUpdate")
def strided_slice_update(g: Emitter, node: Node) -> relax.Expr:
    """x with the elements that a StridedSlice takes replaced."""
    x, extents = g.arg(node, 0), extents_of(g, node, g.shape(g.arg(node, 0)))
    return _replaced(g, x, g.arg(node, 4), extents)


@INPLACE.op("StridedSliceGrad")
def strided_slice_grad(g: Emitter, node: Node) -> relax.Expr:
    """Zeros of a shape, with the elements that a StridedSlice takes replaced."""
    dims, dy = g.dims(node, 0), g.arg(node, 4)
    dtype = g.dtype(dy)
    zeros = g.emit(R.full(relax.ShapeExpr(dims), g.const(0, dtype), dtype))
    return _replaced(g, zeros, dy, extents_of(g, node, dims))


def _replaced(g: Emitter, x: relax.Expr, new: relax.Expr, extents: Sequence[Extent]) -> relax.Expr:
    new = g.emit(g.reshape(new, [size for _, _, size in extents]))
    flat: list[Dim] = [v for extent in extents for v in extent]
    symbols = [v for v in flat if not isinstance(v, int)]

    def compute(t: te.Tensor, values: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given)
        numbers = [v if isinstance(v, int) else next(rest) for v in flat]
        parts = list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))

        def element(*i: Any) -> Any:
            at = [tirx.floordiv(v - b, s) for v, (b, s, _) in zip(i, parts, strict=True)]
            inside = [
                c
                for v, k, (b, s, n) in zip(i, at, parts, strict=True)
                for c in (k >= 0, k < n, b + k * s == v)
            ]
            return tirx.if_then_else(tirx.all(*inside), values(*at), t(*i)) if inside else values()

        return te.compute(t.shape, element, name="slice_update")

    return g.te(compute, x, new, *symbols, name="slice_update")
