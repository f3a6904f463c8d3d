"""Padding with constants and mirrors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.extents import fits
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.padding import pad_by

PAD = OpTable()


def _fold_pad(node: Node, x: np.ndarray, widths: np.ndarray, *value: np.ndarray) -> Any:
    if not fits([d + int(w.sum()) for d, w in zip(x.shape, widths, strict=True)], x.dtype):
        return None
    return np.pad(x, widths, constant_values=value[0] if value else 0)


@PAD.op("Pad", "PadV2", fold=_fold_pad)
def pad(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    flat = g.dims(node, 1)
    value = g.known(node, 2) if len(node.inputs) > 2 else 0
    if value is None:
        return _pad_with(g, x, g.arg(node, 2), flat)
    value = np.asarray(value).item()
    if g.dtype(x) == "bool":
        wide = pad_by(g, relax.op.astype(x, "int8"), flat[::2], flat[1::2], int(value))
        return relax.op.astype(wide, "bool")
    return pad_by(g, x, flat[::2], flat[1::2], value)


@PAD.op("MirrorPad")
def mirror_pad(g: Emitter, node: Node) -> relax.Expr:
    """REFLECT leaves the edge out of the mirror image, SYMMETRIC repeats it."""
    return mirrored(g, node, g.arg(node, 0), 1)


def mirrored(g: Emitter, node: Node, x: relax.Expr, index: int) -> relax.Expr:
    """`x` padded by the widths in an input of the node, in the mode that it names."""
    mode = node.attr("mode")
    if mode not in ("REFLECT", "SYMMETRIC"):
        raise BadAttr(node, "mode", found=mode, expected=("REFLECT", "SYMMETRIC"))
    flat = g.dims(node, index)
    edge = 1 if mode == "SYMMETRIC" else 0

    def folded(at: Any, extent: Any) -> Any:
        low = tirx.Select(at < 0, -at - edge, at)
        return tirx.Select(low >= extent, 2 * extent - 2 + edge - low, low)

    return _padded(g, x, flat, lambda t, at: t(*map(folded, at, t.shape)))


def _pad_with(g: Emitter, x: relax.Expr, value: relax.Expr, widths: Sequence[Dim]) -> relax.Expr:
    """`x` padded with a number known at run time only."""

    def element(t: te.Tensor, at: Sequence[Any], fill: te.Tensor) -> Any:
        inside = [c for v, d in zip(at, t.shape, strict=True) for c in (v >= 0, v < d)]
        return tirx.if_then_else(tirx.all(*inside), t(*at), fill()) if inside else t()

    return _padded(g, x, widths, element, value)


def _padded(
    g: Emitter,
    x: relax.Expr,
    widths: Sequence[Dim],
    element: Callable[..., Any],
    *others: relax.Expr,
) -> relax.Expr:
    """A tensor larger than `x` by widths before and after each axis.

    element(x, place, *others): what stands at a place counted from x's first element.
    """
    dims = g.shape(x)
    sizes = [b + d + a for b, d, a in zip(widths[::2], dims, widths[1::2], strict=True)]
    symbols = [v for v in (*widths[::2], *sizes) if not isinstance(v, int)]

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given[len(others) :])
        before = [w if isinstance(w, int) else next(rest) for w in widths[::2]]
        shape = [s if isinstance(s, int) else next(rest) for s in sizes]

        def place(*i: Any) -> Any:
            at = [tirx.Cast("int64", v) - b for v, b in zip(i, before, strict=True)]
            return element(t, at, *given[: len(others)])

        return te.compute(shape, place, name="padded")

    return g.te(compute, x, *others, *symbols, name="padded")
