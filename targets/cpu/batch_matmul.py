"""Products of matrices that are both computed: the second is packed into panels as it is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvm import ir, relax, te, tirx

from dlcc.targets.cpu.matmul import FUSABLE, dims, flat, static, unflat
from dlcc.targets.cpu.plan import PADDED, Plan
from dlcc.targets.cpu.tiles import Cpu, matmul_tile, round_up

LEAST_ROWS = 4  # that share a packed panel: with fewer, packing costs more than it saves

Index = tuple[ir.Expr, ...]


def batch_matmul(bb: relax.BlockBuilder, call: relax.Call, cpu: Cpu) -> relax.Expr | None:
    """x[..., m, k] @ w[..., k, n] of float32, leading dimensions broadcast; None where an extent
    is not known, or there are too few rows. With w of two dimensions all rows of x are one."""
    x, w = call.args
    extents = [static(d) for d in (*dims(x), *dims(w), *dims(call))]
    if not all(extents) or min(len(dims(x)), len(dims(w))) < 2:
        return None
    lead = [] if len(dims(w)) == 2 else [int(d) for d in dims(call)[:-2]]
    rows = math.prod(int(d) for d in dims(call)[len(lead) : -1])
    if rows < LEAST_ROWS:
        return None
    made = Plan(matmul_tile(rows, int(dims(call)[-1]), cpu))
    shape = [int(d) for d in dims(call)]

    def kernel(x: te.Tensor, w: te.Tensor) -> te.Tensor:
        product = _product(x, w, lead, rows, made)
        return te.compute(shape, lambda *i: product[_place(i, shape, lead)], name="unflat")

    return bb.call_te(kernel, x, w, primfunc_name_hint="matmul", primfunc_attrs=dict(FUSABLE))


def _product(x: te.Tensor, w: te.Tensor, lead: list[int], rows: int, made: Plan) -> te.Tensor:
    """[batch, rows, columns] of whole tiles, without batch where `lead` has no dimension. Rows
    beyond the last are the last; columns beyond the last are sums of zeros."""
    tile, batch = made.tile, [math.prod(lead)] if lead else []
    depth, columns, nb = int(x.shape[-1]), int(w.shape[-1]), made.tile.channels

    def panel(*i: ir.Expr) -> ir.Expr:
        *b, p, k, c = i
        column = p * nb + c
        value = w[(*_own(b, lead, w.shape[:-2]), k, column)]
        if columns % nb == 0:
            return value
        return tirx.if_then_else(column < columns, value, tirx.const(0.0, "float32"))

    # the annotation of what is prepared for a block of the kernel, as a padded input is
    attrs = {PADDED: [0, columns]}
    packed = te.compute((*batch, -(-columns // nb), depth, nb), panel, "panels", attrs=attrs)
    k = te.reduce_axis((0, depth), "k")

    def value(*i: ir.Expr) -> ir.Expr:
        *b, row, j = i
        row = tirx.min(row, rows - 1) if rows % tile.pixels else row
        at = (*_own(b, lead, x.shape[:-2]), row) if lead else unflat(row, list(x.shape[:-1]))
        return te.sum(x[(*at, k)] * packed[(*b, j // nb, k, j % nb)], axis=k)

    whole = (*batch, round_up(rows, tile.pixels), round_up(columns, nb))
    return te.compute(whole, value, "product", attrs=made.annotations("batch_matmul"))


def _own(b: Sequence[ir.Expr], lead: list[int], own: Sequence[ir.Expr]) -> Index:
    """Leading index of an operand, from the number of a product: 0 where it is broadcast."""
    if not lead:
        return ()
    index = unflat(b[0], list(lead))
    mine = index[len(index) - len(own) :]
    return tuple(0 if int(d) == 1 else i for i, d in zip(mine, own, strict=True))


def _place(i: Index, shape: list[int], lead: list[int]) -> Index:
    """Where the product keeps an element of the result."""
    if not lead:
        return flat(i[:-1], shape[:-1]), i[-1]
    return flat(i[: len(lead)], lead), *i[len(lead) :]
