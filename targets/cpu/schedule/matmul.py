"""Products of matrices: a register tile, its weights one contiguous panel."""

from __future__ import annotations

import math

from tvm import ir, tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.plan import PARALLEL, PRODUCT_ORDER, SHARES
from dlcc.targets.cpu.prefetch import PREFETCH
from dlcc.targets.cpu.schedule.loops import (
    PARALLEL_ELEMENTS,
    PARALLEL_FLOPS,
    extent,
    extents,
    finish_tile,
    keep_in_registers,
    load_lanes,
    split_register_tile,
    split_steps,
    tiled_kernel,
)
from dlcc.targets.cpu.tiles import (
    COLD_BYTES_PER_CYCLE,
    FLOAT_BYTES,
    PER_CYCLE,
    Cpu,
    Tile,
    balanced,
)
from dlcc.targets.tuned import pick

# A panel is asked for by so many tiles at least, some lines every so many steps: hundreds of lines
# at once keep what is read now waiting, and gain nothing.
FEWEST_TILES = 4
FEWEST_STEPS, MOST_STEPS = 16, 96


def matmul(s: Schedule, cpu: Cpu) -> None:
    """for panels, tiles (the larger matrix outermost, parallel): k: tile; epilogue of the tile.

    Or for shares of the tiles, one a thread: panels, tiles of the share: as above; see
    `product_order`. Raises Declined for kernels that were not made for it."""
    kernel = tiled_kernel(s, "matmul")
    flatten_rows(s, kernel.epilogue)
    i, j, k = s.get_loops(kernel.anchor)
    rows, columns, depth = (extent(s, loop) for loop in (i, j, k))
    tile_loop, panel_loop, inner = split_register_tile(s, i, j, kernel.tile, cpu.lanes)
    usual = product_order(rows, columns or 1, depth or 1, kernel.tile, cpu)
    order = pick(kernel.knobs, "order", usual, PRODUCT_ORDER)
    outer = [tile_loop, panel_loop] if order == "pixels" else [panel_loop, tile_loop]
    if order == SHARES:
        share, outer[1] = s.split(tile_loop, [cpu.threads, None])
        outer = [share, *outer]
    k, steps = split_steps(s, kernel.anchor, k, cpu)
    flops = None if rows is None else 2 * rows * (columns or 1) * (depth or 1)
    # one row may be followed by what it scales: a whole image, in squeeze and excite
    behind = extents(s, s.get_loops(kernel.epilogue))
    worth = flops is None or flops >= PARALLEL_FLOPS or behind >= PARALLEL_ELEMENTS
    whole = "outer" if balanced(extent(s, outer[0]), cpu.threads) else "fused"
    parallel = pick(kernel.knobs, "parallel", whole if worth else "none", PARALLEL)
    reduction = [k]
    weights = asked_ahead(s, kernel.anchor, outer[-2:], cpu)
    if weights is not None and order != "pixels" and parallel != "fused":
        reduction = ask_ahead(s, outer[-2], k, weights)
    s.reorder(*outer, *reduction, *steps, *inner)
    at = s.fuse(*outer) if parallel == "fused" else outer[-1]
    if parallel != "none":
        s.parallel(at if parallel == "fused" else outer[0])
    finish_tile(s, kernel.epilogue, at, cpu)
    load_lanes(s, kernel.anchor, k, steps, cpu)
    keep_in_registers(s, kernel.anchor, inner, reduction[0])


def asked_ahead(s: Schedule, anchor: SBlockRV, outer: list[LoopRV], cpu: Cpu) -> int | None:
    """Which parameter the weights are, if a panel of them is to be asked for while tiles use up the
    one before; None where there are too few tiles to hide that, or no panels."""
    w = list(s.get(anchor).reads)[-1].source
    at = [i for i, p in enumerate(s.mod["main"].params) if p.same_as(w)]
    panels, tiles = (extent(s, loop) or 1 for loop in outer)
    worth = cpu.prefetches and len(w.shape) == 3 and panels > 1 and tiles >= FEWEST_TILES
    return at[0] if at and worth else None


def ask_ahead(s: Schedule, panels: LoopRV, k: LoopRV, weights: int) -> list[LoopRV]:
    """Split the reduction so that what is asked for is spread over it; see `prefetch_panels`."""
    depth = extent(s, k) or 1
    few = [depth] if depth <= MOST_STEPS else range(FEWEST_STEPS, MOST_STEPS + 1)
    if not (divisors := [d for d in few if depth % d == 0]):
        return [k]
    first, k = s.split(k, [None, divisors[-1]])
    for loop in (panels, first):
        s.annotate(loop, PREFETCH, weights)
    return [first, k]


def product_order(rows: int | None, columns: int, depth: int, tile: Tile, cpu: Cpu) -> str:
    """What the outermost loop runs over by default, one of PRODUCT_ORDER.

    Where panels come first, each thread takes all of them for its share of the pixels, if that is
    even: what it reads it has written itself, in the kernel before, and what it writes it reads in
    the next one, as they share images by rows. Then every thread reads all weights, so the pixels
    of a share must be so many that weights take at most half of the time of the products."""
    if not panels_first(rows, columns, depth, tile.pixels, cpu):
        return "pixels"
    if rows is None or cpu.threads == 1:
        return "panels"
    product_cycles = rows / cpu.threads / (PER_CYCLE * cpu.lanes)  # a weight
    hidden = product_cycles >= 2 * FLOAT_BYTES / COLD_BYTES_PER_CYCLE
    return SHARES if hidden and balanced(-(-rows // tile.pixels), cpu.threads) else "panels"


def panels_first(rows: int | None, columns: int, depth: int, pixels: int, cpu: Cpu) -> bool:
    """Whether panels of weights are the outer loop: the inner operand is read once for each of
    the outer, which costs most where it does not stay in L2."""
    if rows is None:
        return True
    x_bytes, w_bytes = rows * depth * FLOAT_BYTES, depth * columns * FLOAT_BYTES
    if max(x_bytes, w_bytes) <= cpu.l2_bytes:
        return w_bytes >= x_bytes
    panels, tiles = -(-columns // (cpu.lanes * 2)), -(-rows // pixels)
    x_again = panels * x_bytes if x_bytes > cpu.l2_bytes else 0
    w_again = tiles * w_bytes if w_bytes > cpu.l2_bytes else 0
    return x_again <= w_again


def flatten_rows(s: Schedule, epilogue: SBlockRV, rank: int = 2) -> None:
    """Make the epilogue's leading dimensions one, so that it has `rank`, as the product has."""
    shape = [v.dom.extent for v in s.get(epilogue).iter_vars]
    ahead = len(shape) - rank + 1
    if ahead < 2:
        return
    lead = [int(e) for e in shape[:ahead]]
    steps = [math.prod(lead[d + 1 :]) for d in range(ahead)]

    def number(*i: ir.Expr) -> tuple[ir.Expr, ...]:
        return sum(a * b for a, b in zip(i[:ahead], steps, strict=True)), *i[ahead:]

    s.transform_block_layout(epilogue, tirx.IndexMap.from_func(number, ndim=len(shape)))
