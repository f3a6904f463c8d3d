"""8-bit convolutions in NHWC with int32 sums as kernels made for vrmpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import ir, relax, te, tirx

from dlcc.targets.cpu.geometry import Geometry
from dlcc.targets.hexagon.dense import (
    Reduction,
    correction,
    emit,
    emit_product,
    fix,
    pack,
)
from dlcc.targets.hexagon.depthwise import depthwise
from dlcc.targets.hexagon.geometry import geometry
from dlcc.targets.hexagon.intrin import LANES, TAPS
from dlcc.targets.hexagon.operands import Data, Lookup, as_unsigned, data_of, weights_of
from dlcc.targets.hexagon.pad import Border, in_words, padded
from dlcc.targets.hexagon.plan import Plan, conv2d_workload
from dlcc.targets.hexagon.tiles import RULE, TILE, Tile, round_up
from dlcc.targets.tuned import Tuned

LONG_CHANNELS = 64  # of a pixel, whose words are a loop that LLVM keeps
NAMES = ("ry", "rx", "k", "t")


def conv2d(
    bb: relax.BlockBuilder, call: relax.Call, lookup: Lookup, tuned: Tuned
) -> relax.Expr | str:
    """An NHWC convolution with int32 sums as a kernel, or why not."""
    if str(call.ty.dtype) != "int32":
        return f"its sums are {call.ty.dtype}"
    x = data_of(call.args[0], lookup)
    if x is None:
        return "its data are not 8-bit integers of a known shape"
    w = weights_of(call.args[1], lookup)
    if w is None:
        return "its weights are not constant"
    found = geometry(call)
    if isinstance(found, str):
        return found
    g, w = found, np.transpose(w, [str(call.attrs.kernel_layout).index(c) for c in "HWIO"])
    plan = Plan.of(tuned, conv2d_workload(g, x.dtype))
    if g.groups == g.c and g.groups > 1:
        return depthwise(bb, x, _by_channel(w, g), g, plan)
    if g.groups > 1:
        return "it has groups of several channels"
    if g.pointwise:
        return emit_product(bb, x, w.reshape(w.shape[2:]), "conv2d8_1x1", plan)
    return _windowed(bb, x, w, g, plan)


def _by_channel(w: np.ndarray, g: Geometry) -> np.ndarray:
    """[kh, kw, 1, oc] or [kh, kw, oc, 1] -> [kh, kw, oc]."""
    return w.reshape(g.kh, g.kw, g.oc)


def _windowed(
    bb: relax.BlockBuilder, x: Data, w: np.ndarray, g: Geometry, plan: Plan
) -> relax.Expr | str:
    unsigned = as_unsigned(w)
    if unsigned is None:
        return "the range of its weights is wider than 8 bits"
    u, offset = unsigned
    tile = plan.product_tile(g.ow, g.oc)
    packed = _one_run(pack(u), g)
    constants = [packed, correction(w, x.zero)] if x.zero else [packed]
    attrs = plan.annotations("product", (tile.rows, tile.vectors))

    def kernel(x_: te.Tensor, w: te.Tensor, *rest: te.Tensor) -> te.Tensor:
        sums, totals = _windows(_words(x_, g, tile, x.zero), w, g, attrs, offset)
        fixed = fix(sums, totals, rest, offset)
        shape = (int(g.batch), g.oh, g.ow, g.oc)
        return te.compute(shape, lambda n, y, q, c: fixed[n, y, q, c], name="uncrop")

    return emit(bb, "conv2d8", kernel, x.x, constants)


def _merges(g: Geometry) -> bool:
    """Whether the pixels of a row of the window become one run of words: a longer loop, where
    that of a pixel alone is so short that LLVM unrolls it as a whole and spills."""
    return g.dilation[1] == 1 and g.kw > 1 and g.c < LONG_CHANNELS


def _one_run(packed: np.ndarray, g: Geometry) -> np.ndarray:
    """[blocks, kh, kw, words, …] -> [blocks, kh, 1, kw * words, …] if the window `_merges`."""
    blocks, kh, kw, words, *rest = packed.shape
    return packed.reshape(blocks, kh, 1, kw * words, *rest) if _merges(g) else packed


Word = Callable[[ir.Expr, ir.Expr, ir.Expr, ir.Expr], ir.Expr]


def _words(x: te.Tensor, g: Geometry, tile: Tile, zero: int) -> Word:
    """(n, row, column, channel) of the padded input -> its byte; channels are whole words, and
    where `_one_run` made one of the window's rows they go on in the next pixels."""
    needed = (round_up(g.ow, tile.rows) - 1) * g.strides[1] + (g.kw - 1) * g.dilation[1] + 1
    if g.c % TAPS:
        flat = padded(x, Border(g.top, g.bottom, g.left, needed * g.c, zero))
        words, step = in_words(flat, max(needed, g.left + g.w), g.c), round_up(g.c, TAPS)
        return lambda n, y, q, c: words[n, y, q * step + c]
    if g.padded or _merges(g):
        flat = padded(x, Border(g.top, g.bottom, g.left, needed * g.c, zero))
        return lambda n, y, q, c: flat[n, y, q * g.c + c]
    if needed > g.w:
        return lambda n, y, q, c: x[n, y, tirx.min(q, g.w - 1), c]
    return lambda n, y, q, c: x[n, y, q, c]


def _windows(
    word: Word, w: te.Tensor, g: Geometry, attrs: dict[str, Any], offset: int
) -> Reduction:
    shape = (int(g.batch), g.oh, round_up(g.ow, attrs[TILE][0]))
    extents = (g.kh, int(w.shape[2]), w.shape[3], TAPS)

    def axes() -> list[tirx.IterVar]:
        return [te.reduce_axis((0, e), n) for e, n in zip(extents, NAMES, strict=True)]

    def at(n: ir.Expr, y: ir.Expr, q: ir.Expr, axes: list[tirx.IterVar]) -> ir.Expr:
        ry, rx, k, t = axes
        row = y * g.strides[0] + ry * g.dilation[0]
        return word(n, row, q * g.strides[1] + rx * g.dilation[1], k * TAPS + t).astype("int32")

    own = axes()

    def product(n: ir.Expr, y: ir.Expr, q: ir.Expr, b: ir.Expr, j: ir.Expr) -> ir.Expr:
        ry, rx, k, t = own
        weight = w[b, ry, rx, k, j, t].astype("int32")
        return te.sum(at(n, y, q, own) * weight, own)

    sums = te.compute((*shape, w.shape[0], LANES), product, name="windows", attrs=attrs)
    if not offset:
        return sums, None
    others = axes()
    totals = te.compute(
        (*shape, LANES),
        lambda n, y, q, _j: te.sum(at(n, y, q, others), others),
        name="totals",
        attrs={RULE: "totals"},
    )
    return sums, totals
