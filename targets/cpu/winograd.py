"""3x3 convolutions by Winograd's minimal filtering: fewer multiplications, on transformed tiles.

F(m x m, 3 x 3): a tile of (m + 2)^2 inputs gives m^2 results by (m + 2)^2 products a channel, where
the sum itself takes 9 m^2. What is left is one product of matrices for each of the (m + 2)^2
positions of a tile. Source: A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks
(2015), section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import ir, relax, te, tirx

from dlcc.targets.cpu.geometry import Geometry
from dlcc.targets.cpu.matmul import pack
from dlcc.targets.cpu.plan import NO_WINOGRAD, PADDED, STAGE, Plan
from dlcc.targets.cpu.tiles import (
    COLD_BYTES_PER_CYCLE,
    FLOAT_BYTES,
    PER_CYCLE,
    Cpu,
    Tile,
    matmul_tile,
    round_up,
)
from dlcc.targets.tuned import Knobs, unfit
from dlcc.targets.workload import Conv2d

WAY = "dlcc.winograd"  # block annotation: size and rows of a `Winograd`

# m -> where the polynomials are evaluated, beside infinity. For F(4x4) these round less than the
# usual 1, -1, 2, -2: by 2e-6 of the largest result in place of 8e-6, of sums over 256 channels.
POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))}


def matrices(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B^T of the input, G of the weights and A^T of the result, for F(m, 3).

    Toom-Cook: A evaluates powers at the points; G evaluates the weights, over the product of a
    point's distances to the others; B has the coefficients of the products of all other (x - p)."""
    points = np.array(POINTS[m])
    others = [np.delete(points, i) for i in range(len(points))]
    last = np.eye(m + 2)[-1]
    scale = np.array([np.prod(p - rest) for p, rest in zip(points, others, strict=True)])
    g = np.vstack([np.vander(points, 3, increasing=True) / scale[:, None], last[-3:]])
    a_t = np.vstack([np.vander(points, m, increasing=True), last[-m:]]).T
    b_t = np.zeros((m + 2, m + 2))
    b_t[:-1, :-1] = [np.poly(rest)[::-1] for rest in others]
    b_t[-1] = np.poly(points)[::-1]
    b_t[np.abs(b_t) < 1e-12] = 0.0  # what rounding left of a coefficient costs a multiplication
    return b_t, g, a_t


@dataclass(frozen=True, slots=True)
class Winograd:
    """How a convolution is computed.   size: m, results of a tile in each direction.

    rows: rows of tiles that are transformed at once."""

    size: int
    rows: int

    def __str__(self) -> str:
        """The knob `winograd`."""
        return f"{self.size}x{self.rows}"


# Cycles, measured on an x86 core with 512 KB of L2 (Zen 3) over the 3x3 layers of resnet50 and
# inception v3, on which the estimates below lie within a fifth of what was measured.
TRANSFORM_CYCLES = {2: 5.0, 4: 12.0}  # m -> to make a vector of transformed inputs or results
WARM_BYTES_PER_CYCLE = 24.0  # weights that are read again for the next block
SPILLED_BYTES_PER_CYCLE = 16.0  # transformed tensors that do not stay in L2
PRODUCT_OVERHEAD = 1.05
WORTHWHILE = 0.9  # of the sum's cycles: the sum rounds less


def winograd_for(work: Conv2d, cpu: Cpu, knobs: Knobs) -> Winograd | None:
    """How to compute a convolution by Winograd's filtering; None where the sum is faster.

    Raises UsageError for a record with a way that the convolution cannot have."""
    ways = winograd_ways(work, cpu)
    if "winograd" in knobs:
        named = {NO_WINOGRAD: None, **{str(way): way for way in ways}}
        if knobs["winograd"] not in named:
            raise unfit(knobs, "winograd", f"{NO_WINOGRAD} or SIZExROWS that fits the convolution")
        return named[str(knobs["winograd"])]
    macs = work.n * work.oh * work.ow * 9 * work.c * work.oc
    weight_bytes = 9 * work.c * work.oc * FLOAT_BYTES
    direct = PRODUCT_OVERHEAD * macs / (PER_CYCLE * cpu.lanes) + weight_bytes / COLD_BYTES_PER_CYCLE
    worth = cpu.filters and ways and _cycles(ways[0], work, cpu) < WORTHWHILE * direct
    return ways[0] if worth else None


def winograd_ways(work: Conv2d, cpu: Cpu) -> list[Winograd]:
    """All ways to compute a convolution by Winograd's filtering, the fastest first by estimate."""
    if (work.k, work.s, work.d, work.g) != ((3, 3), (1, 1), (1, 1), 1):
        return []
    if work.c % cpu.lanes or work.oc % cpu.lanes:
        return []
    ways = [
        Winograd(m, rows)
        for m in POINTS
        for rows in range(1, -(-work.oh // m) + 1)
        if -(-work.oh // m) % rows == 0
    ]
    return sorted(ways, key=lambda way: _cycles(way, work, cpu))


def product_tile(work: Conv2d, way: Winograd, cpu: Cpu) -> Tile:
    """The cost model's register tile for the products of a block."""
    return matmul_tile(way.rows * -(-work.ow // way.size), work.oc, cpu)


def _cycles(way: Winograd, work: Conv2d, cpu: Cpu) -> float:
    """An estimate, for one core: products, transforms, and memory that does not stay in L2."""
    tile = product_tile(work, way, cpu)
    high, wide = work.n * -(-work.oh // way.size), -(-work.ow // way.size)
    positions, tiles, blocks = (way.size + 2) ** 2, high * wide, high // way.rows
    per_block, columns = round_up(way.rows * wide, tile.pixels), round_up(work.oc, tile.channels)
    macs = blocks * per_block * positions * work.c * columns
    cycles = PRODUCT_OVERHEAD * macs / (PER_CYCLE * cpu.lanes)
    cycles += TRANSFORM_CYCLES[way.size] * tiles * positions * (work.c + work.oc) / cpu.lanes
    weight_bytes = positions * work.c * columns * FLOAT_BYTES
    cycles += weight_bytes / COLD_BYTES_PER_CYCLE
    cycles += (blocks - 1) * weight_bytes / WARM_BYTES_PER_CYCLE
    for channels, at_once in ((work.c, work.c), (work.oc, tile.channels)):
        if per_block * positions * at_once * FLOAT_BYTES > cpu.l2_bytes / 2:
            spilled = 2 * tiles * positions * channels * FLOAT_BYTES
            cycles += spilled / SPILLED_BYTES_PER_CYCLE
    pieces = blocks if shares_blocks(blocks, cpu) else columns // tile.channels
    return cycles * round_up(pieces, cpu.threads) / pieces


def shares_blocks(count: int, cpu: Cpu) -> bool:
    """Whether threads share blocks of rows; else they share the panels of channels of a block."""
    return count > 1 and (count % cpu.threads == 0 or count >= 8 * cpu.threads)


def transformed_weights(w: np.ndarray, way: Winograd, tile: Tile) -> relax.Expr:
    """[3, 3, c, oc] -> constant [oc / tile, (m + 2)^2, c, tile]: G w G^T for each two channels."""
    g = matrices(way.size)[1]
    u = np.tensordot(g, np.tensordot(g, w.astype("float64"), ([1], [1])), ([1], [1]))  # [u, v, …]
    u = u.reshape(-1, *w.shape[2:]).astype("float32")
    return relax.const(pack(u, tile.channels))


def winograd(x: te.Tensor, w: te.Tensor, g: Geometry, way: Winograd, made: Plan) -> te.Tensor:
    """The kernel. x: [n, h, w, c]; w: as `transformed_weights` makes it."""
    m, side, a_t = way.size, way.size + 2, matrices(way.size)[2]
    high, wide = -(-g.oh // m), -(-g.ow // m)
    blocks, per_block = g.batch * high // way.rows, way.rows * wide
    source = _padded(x, g, high * m + 2, wide * m + 2)
    inputs = _transformed(source, g, way)
    sums = _products(inputs, w, g, way, made)
    shape = (*sums.shape[:3], per_block, sums.shape[4])
    products = te.compute(shape, lambda *i: sums(*i), "products", attrs={STAGE: "products"})
    rows = te.compute(
        (blocks, per_block, m, side, sums.shape[4]),
        lambda b, q, a, v, c: _row(a_t, a, lambda u: products[b, u, v, q, c]),
        name="rows", attrs={STAGE: "rows"},
    )  # fmt: skip

    results = te.compute(
        (blocks, per_block, m, m, sums.shape[4]),
        lambda b, q, a, e, c: _row(a_t, e, lambda v: rows[b, q, a, v, c]),
        name="results", attrs={STAGE: "results"},
    )  # fmt: skip

    def result(n: ir.Expr, y: ir.Expr, q: ir.Expr, c: ir.Expr) -> ir.Expr:
        row = n * high + y // m
        tile = row % way.rows * wide + q // m
        return results[row // way.rows, tile, y % m, q % m, c]

    return te.compute((g.batch, g.oh, g.ow, g.oc), result, name="untile")


def _transformed(source: te.Tensor, g: Geometry, way: Winograd) -> te.Tensor:
    """B^T d B of each tile d of the padded input, as [block, position, tile, channel]."""
    m, side, b_t = way.size, way.size + 2, matrices(way.size)[0]
    high, wide = -(-g.oh // m), -(-g.ow // m)
    blocks, per_block = g.batch * high // way.rows, way.rows * wide

    def at(b: ir.Expr, q: ir.Expr, i: ir.Expr, j: ir.Expr, c: ir.Expr) -> ir.Expr:
        row = b * way.rows + q // wide
        return source[row // high, row % high * m + i, q % wide * m + j, c]

    columns = te.compute(
        (blocks, per_block, side, side, g.c),
        lambda b, q, u, j, c: _row(b_t, u, lambda i: at(b, q, i, j, c)),
        name="columns", attrs={STAGE: "columns"},
    )  # fmt: skip
    return te.compute(
        (blocks, side, side, per_block, g.c),
        lambda b, u, v, q, c: _row(b_t, v, lambda j: columns[b, q, u, j, c]),
        name="inputs", attrs={STAGE: "inputs"},
    )  # fmt: skip


def _products(inputs: te.Tensor, w: te.Tensor, g: Geometry, way: Winograd, made: Plan) -> te.Tensor:
    """One product of matrices for each position in a tile: tiles x channels."""
    blocks, side, tile = inputs.shape[0], way.size + 2, made.tile
    per_block = way.rows * -(-g.ow // way.size)
    count, columns = round_up(per_block, tile.pixels), round_up(g.oc, tile.channels)
    k = te.reduce_axis((0, g.c), "k")

    def value(b: ir.Expr, u: ir.Expr, v: ir.Expr, q: ir.Expr, j: ir.Expr) -> ir.Expr:
        q = q if count == per_block else tirx.min(q, per_block - 1)
        weight = w[j // tile.channels, u * side + v, k, j % tile.channels]
        return te.sum(inputs[b, u, v, q, k] * weight, axis=k)

    attrs = {**made.annotations("winograd"), WAY: [way.size, way.rows]}
    return te.compute((blocks, side, side, count, columns), value, name="sums", attrs=attrs)


def _row(matrix: np.ndarray, row: ir.Expr, vector: object) -> ir.Expr:
    """Element `row` of a matrix times a vector. The row is known when its loop is unrolled."""
    total: ir.Expr | None = None
    for i in range(matrix.shape[1]):
        factor: ir.Expr = tirx.const(float(matrix[-1, i]), "float32")
        for r in reversed(range(matrix.shape[0] - 1)):
            factor = tirx.Select(
                tirx.EQ(row, r), tirx.const(float(matrix[r, i]), "float32"), factor
            )
        term = factor * vector(i)  # type: ignore[operator]
        total = term if total is None else total + term
    assert total is not None
    return total


def _padded(x: te.Tensor, g: Geometry, height: int, width: int) -> te.Tensor:
    """The input with its padding, in whole tiles."""
    if not g.padded and (g.h, g.w) == (height, width):
        return x
    zero = tirx.const(0.0, "float32")

    def value(n: ir.Expr, y: ir.Expr, q: ir.Expr, c: ir.Expr) -> ir.Expr:
        inside = tirx.all(y >= g.top, y < g.h + g.top, q >= g.left, q < g.w + g.left)
        return tirx.if_then_else(inside, x[n, y - g.top, q - g.left, c], zero)

    return te.compute(
        (g.batch, height, width, g.c), value, name="pad", attrs={PADDED: [g.left, g.w]}
    )
