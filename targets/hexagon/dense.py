"""Products of 8-bit matrices, and 1x1 convolutions that are one, as kernels made for vrmpy.

With x the bytes, zero their zero point, u the weights as uint8 and offset what makes them so:
    sum (x - zero) (u - offset) = sum x u - offset sum x + correction
    correction = zero (K offset - sum u)
in int32, whose wrapping hides no error of these sums: all are exact modulo 2^32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm import ir, relax, te, tirx

from dlcc.targets.cpu.matmul import dims, unflat
from dlcc.targets.hexagon.intrin import LANES, TAPS
from dlcc.targets.hexagon.operands import Data, Lookup, as_unsigned, data_of, weights_of
from dlcc.targets.hexagon.plan import PACKED, Plan
from dlcc.targets.hexagon.tiles import FUSABLE, RULE, TILE, round_up
from dlcc.targets.tuned import Tuned
from dlcc.targets.workload import Matmul

Reduction = tuple[te.Tensor, te.Tensor | None]  # products, and totals of x


def dense(
    bb: relax.BlockBuilder, call: relax.Call, lookup: Lookup, tuned: Tuned
) -> relax.Expr | str:
    """x[..., k] @ w[k, c] with int32 sums as a kernel, or why not."""
    if str(call.ty.dtype) != "int32":
        return f"its sums are {call.ty.dtype}"
    x, w = data_of(call.args[0], lookup), weights_of(call.args[1], lookup)
    if x is None:
        return "its data are not 8-bit integers of a known shape"
    if w is None or w.ndim != 2:
        return "its weights are no constant matrix"
    shape = [int(d) for d in dims(x.x)]
    if len(shape) < 2 or w.size == 0 or math.prod(shape) == 0:
        return "a vector, or nothing, is multiplied"
    depth, columns = w.shape
    work = Matmul(math.prod(shape[:-1]), depth, columns, x.dtype, PACKED)
    return emit_product(bb, x, w, "dense8", Plan.of(tuned, work))


def emit_product(
    bb: relax.BlockBuilder, x: Data, w: np.ndarray, name: str, plan: Plan
) -> relax.Expr | str:
    """The kernel of x[..., k] @ w[k, c], or why not."""
    unsigned = as_unsigned(w)
    if unsigned is None:
        return "the range of its weights is wider than 8 bits"
    u, offset = unsigned
    depth, columns = w.shape
    shape = [int(d) for d in dims(x.x)]
    rows = math.prod(shape[:-1])
    tile = plan.product_tile(rows, columns)
    packed = pack(u.reshape(1, 1, depth, columns))
    constants = [packed, correction(w, x.zero)] if x.zero else [packed]
    attrs = plan.annotations("product", (tile.rows, tile.vectors))

    def kernel(x: te.Tensor, w: te.Tensor, *rest: te.Tensor) -> te.Tensor:
        matrix = _matrix(x, rows, depth)
        sums, totals = _products(matrix, w, rows, attrs, offset)
        fixed = fix(sums, totals, rest, offset)
        out = [*shape[:-1], columns]
        return te.compute(out, lambda *i: fixed[(number(i[:-1], out), i[-1])], name="unflat")

    return emit(bb, name, kernel, x.x, constants)


def emit(
    bb: relax.BlockBuilder, name: str, kernel: object, x: relax.Expr, constants: list[np.ndarray]
) -> relax.Expr:
    """A call of a kernel that what follows may be fused to."""
    consts = [relax.const(c) for c in constants]
    return bb.call_te(kernel, x, *consts, primfunc_name_hint=name, primfunc_attrs=dict(FUSABLE))


def pack(w: np.ndarray) -> np.ndarray:
    """[kh, kw, k, c] -> [c / 32, kh, kw, k / 4, 32, 4], filled up with zeros."""
    kh, kw, k, c = w.shape
    w = np.pad(w, [(0, 0), (0, 0), (0, -k % TAPS), (0, -c % LANES)])
    w = w.reshape(kh, kw, -1, TAPS, w.shape[3] // LANES, LANES)
    return np.ascontiguousarray(w.transpose(4, 0, 1, 2, 5, 3))


def correction(w: np.ndarray, zero: int) -> np.ndarray:
    """-zero * sum of the weights w[..., c] of each channel, [c rounded up to 32], int32."""
    sums = w.reshape(-1, w.shape[-1]).astype(np.int64).sum(axis=0)
    sums = np.pad(-zero * sums, (0, -w.shape[-1] % LANES))
    return (sums & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def fix(
    sums: te.Tensor, totals: te.Tensor | None, rest: tuple[te.Tensor, ...], offset: int
) -> te.Tensor:
    """sums[..., block, lane] -> [..., channel], with what the zero points ask for."""
    shape = [*sums.shape[:-2], sums.shape[-2] * LANES]

    def value(*i: ir.Expr) -> ir.Expr:
        made = sums[(*i[:-1], i[-1] // LANES, i[-1] % LANES)]
        if totals is not None:
            made = made - totals[(*i[:-1], i[-1] % LANES)] * offset
        return made + rest[0][i[-1]] if rest else made

    return te.compute(shape, value, name="fixed", attrs={RULE: "fixed"})


def number(index: tuple[ir.Expr, ...], shape: list[int]) -> ir.Expr:
    """Row-major number of an element; `shape` may have more dimensions than `index`."""
    out = index[0]
    for i, extent in zip(index[1:], shape[1:], strict=False):
        out = out * extent + i
    return out


def _matrix(x: te.Tensor, rows: int, depth: int) -> te.Tensor:
    """x[..., k] with its channels filled up to words; x itself where they are words already."""
    if depth % TAPS == 0:
        return x
    zero, leading = tirx.const(0, x.dtype), list(x.shape[:-1])

    def value(i: ir.Expr, k: ir.Expr) -> ir.Expr:
        return tirx.if_then_else(k < depth, x[(*unflat(i, leading), k)], zero)

    return te.compute((rows, round_up(depth, TAPS)), value, name="pad", attrs={RULE: "pad"})


def _products(
    x: te.Tensor, w: te.Tensor, rows: int, attrs: dict[str, Any], offset: int
) -> Reduction:
    leading, blocks = list(x.shape[:-1]), w.shape[0]
    whole = round_up(rows, attrs[TILE][0])

    def word(i: ir.Expr, k: ir.Expr, t: ir.Expr) -> ir.Expr:
        row = i if whole == rows else tirx.min(i, rows - 1)  # nothing outside of x is read
        return x[(*unflat(row, leading), k * TAPS + t)].astype("int32")

    def axes() -> tuple[tirx.IterVar, tirx.IterVar]:
        return te.reduce_axis((0, w.shape[3]), "k"), te.reduce_axis((0, TAPS), "t")

    k, t = axes()
    sums = te.compute(
        (whole, blocks, LANES),
        lambda i, b, j: te.sum(word(i, k, t) * w[b, 0, 0, k, j, t].astype("int32"), [k, t]),
        name="product",
        attrs=attrs,
    )
    if not offset:
        return sums, None
    k2, t2 = axes()
    totals = te.compute(
        (whole, LANES),
        lambda i, _j: te.sum(word(i, k2, t2), [k2, t2]),
        name="totals",
        attrs={RULE: "totals"},
    )
    return sums, totals
