"""Padding with constants and mirrors."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, te, topi

from dlcc.compiler.errors import BadAttr
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
    value = g.static(node, 2, "the value").item() if len(node.inputs) > 2 else 0
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
    widths = g.static(node, index, "the padding")
    before, after = [int(w) for w in widths[:, 0]], [int(w) for w in widths[:, 1]]

    def compute(t: te.Tensor) -> te.Tensor:
        return topi.nn.mirror_pad(t, before, after, mode)

    return g.te(compute, x, name="mirror_pad")
