"""Products of matrices, and 1x1 convolutions that are one, as kernels made for tiles.

The kernel computes whole tiles: rows and columns beyond the edges are computed and dropped.
"""

from __future__ import annotations

import math

import numpy as np
from tvm import ir, relax, te, tirx

from dlcc.targets.cpu.plan import Plan, plan
from dlcc.targets.cpu.tiles import Cpu, Tile, matmul_tile, round_up
from dlcc.targets.tuned import Tuned
from dlcc.targets.workload import Matmul

FUSABLE = {"op_pattern": 4}  # "out elementwise fusable": what follows may join the kernel


def matmul(bb: relax.BlockBuilder, call: relax.Call, cpu: Cpu, tuned: Tuned) -> relax.Expr | None:
    """x[..., k] @ w[k, c] of float32, of known rank; None where w cannot be read in whole tiles.

    A constant w is packed into panels w[c / tile][k][tile], one contiguous read a tile.
    """
    x, w = call.args
    if len(dims(w)) != 2 or len(dims(x)) < 2:
        return None
    depth, columns = map(static, dims(w))
    if columns is None or depth is None:
        return None
    rows = [static(d) for d in dims(x)[:-1]]
    if len(rows) > 1 and None in rows:
        return None
    count = None if None in rows else math.prod(r for r in rows if r is not None)
    if count == 0 or columns == 0 or depth == 0:
        return None
    kind = "packed" if is_const(w) else "plain"
    work = None if count is None else Matmul(count, depth, columns, "float32", kind)
    made = plan(tuned, work, row_tile(count, columns, cpu), cpu)
    weights = packed_weights(w, made.tile) if is_const(w) else w
    if not is_const(w) and columns % made.tile.channels:
        return None

    def kernel(x: te.Tensor, w: te.Tensor) -> te.Tensor:
        shape = [*x.shape[:-1], columns]
        product = tiled_product(x, w, shape, made)
        return te.compute(shape, lambda *i: product[(flat(i[:-1], shape), i[-1])], name="unflat")

    return bb.call_te(kernel, x, weights, primfunc_name_hint="matmul", primfunc_attrs=dict(FUSABLE))


def row_tile(rows: int | None, columns: int, cpu: Cpu) -> Tile:
    """A tile for `rows`; one row alone takes more columns, to have enough sums in flight."""
    if rows == 1:
        return Tile(1, min(4 * cpu.lanes, round_up(columns, cpu.lanes)))
    return matmul_tile(rows, columns, cpu)


def tiled_product(x: te.Tensor, w: te.Tensor, shape: list[ir.Expr], made: Plan) -> te.Tensor:
    """c[i, j] = sum_k x[i, k] w[k, j], i and j rounded up to whole tiles.

    x: [..., k], its leading dimensions taken as one. w: [k, c], or [c / tile, k, tile].
    Rows beyond the last read the last one, so that nothing outside x is read.
    """
    columns, tile = static(shape[-1]), made.tile
    assert columns is not None
    count = math.prod(shape[:-1]) if len(shape) > 2 else shape[0]
    rows = tirx.ceildiv(count, tile.pixels) * tile.pixels
    depth = x.shape[-1]
    k = te.reduce_axis((0, depth), "k")
    exact = isinstance(count, int | tirx.IntImm) and int(count) % tile.pixels == 0

    def value(i: ir.Expr, j: ir.Expr) -> ir.Expr:
        row = i if exact else tirx.min(i, count - 1)
        return te.sum(x[(*unflat(row, shape[:-1]), k)] * weight(w, k, j, tile), axis=k)

    return te.compute(
        (rows, round_up(columns, tile.channels)),
        value,
        name="product",
        attrs=made.annotations("matmul"),
    )


def weight(w: te.Tensor, k: ir.Expr, j: ir.Expr, tile: Tile) -> ir.Expr:
    """w[k, j] of a packed or plain matrix."""
    return w[j // tile.channels, k, j % tile.channels] if len(w.shape) == 3 else w[k, j]


def flat(index: tuple[ir.Expr, ...], shape: list[ir.Expr]) -> ir.Expr:
    """Row-major number of an element."""
    out = index[0]
    for i, extent in zip(index[1:], shape[1:], strict=False):
        out = out * extent + i
    return out


def unflat(number: ir.Expr, shape: list[ir.Expr]) -> tuple[ir.Expr, ...]:
    """Row-major index of an element by its number."""
    index: list[ir.Expr] = []
    for extent in reversed(shape[1:]):
        index.append(number % extent)
        number = number // extent
    return (number, *reversed(index))


def packed_weights(w: relax.Expr, tile: Tile, matrix: bool = False) -> relax.Expr:
    """Constant [..., k, c] -> constant [c / tile, ..., k, tile], see `pack`.

    matrix: drop leading dimensions, which are 1."""
    value = w.value.numpy()
    return relax.const(pack(value.reshape(value.shape[-2:]) if matrix else value, tile.channels))


def pack(w: np.ndarray, channels: int) -> np.ndarray:
    """[..., c] -> [c / channels, ..., channels]; the last panel is filled up with zeros."""
    short = -w.shape[-1] % channels
    w = np.pad(w, [(0, 0)] * (w.ndim - 1) + [(0, short)])
    w = w.reshape(*w.shape[:-1], -1, channels)
    return np.ascontiguousarray(np.moveaxis(w, -2, 0))


def is_const(x: relax.Expr) -> bool:
    """Whether an expression is a constant tensor."""
    return hasattr(x, "value") and hasattr(x.value, "numpy")


def dims(x: relax.Expr) -> list[ir.Expr]:
    """Extents of a tensor of known rank."""
    return list(x.ty.shape.values)


def static(extent: ir.Expr) -> int | None:
    """An extent as a number; None where it is symbolic."""
    return int(extent) if isinstance(extent, int | tirx.IntImm) else None
