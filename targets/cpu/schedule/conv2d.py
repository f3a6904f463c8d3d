"""Convolutions with a window: a register tile of one row of output."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.conv2d import STRIDE
from dlcc.targets.cpu.plan import MOST_ROWS, ORDER, PAD
from dlcc.targets.cpu.schedule.loops import (
    PARALLEL_FLOPS,
    TiledKernel,
    balanced,
    extent,
    extents,
    keep_in_registers,
    load_lanes,
    split_register_tile,
    split_steps,
    tiled_kernel,
    vectorize_last,
)
from dlcc.targets.cpu.tiles import FLOAT_BYTES, Cpu
from dlcc.targets.tuned import pick, unfit

L2_SHARE = 0.4  # of L2 for a block of padded rows; the rest is for weights and results


def conv2d(s: Schedule, cpu: Cpu) -> None:
    """Rows or panels of channels in parallel; window and channels: tile; epilogue of the tile.

    Small weights: blocks of rows in parallel, each pads the rows it needs. Large weights: panels
    of channels in parallel, so that every core reads its share of the weights once.
    Raises Declined for kernels that were not made for it."""
    kernel = tiled_kernel(s, "conv2d")
    loops = s.get_loops(kernel.anchor)
    n, y, x, f, ry, rx, k = loops
    worth = extent(s, n) is None or 2 * extents(s, loops) >= PARALLEL_FLOPS
    weight_bytes = extents(s, [f, ry, rx, k]) * FLOAT_BYTES
    tile_loop, panel_loop, inner = split_register_tile(s, x, f, kernel.tile, cpu.lanes)
    k, steps = split_steps(s, kernel.anchor, k, cpu)
    rest = [tile_loop, ry, rx, k, *steps, *inner]
    panels = extent(s, panel_loop) or 1
    first = "panels" if panels_outside_rows(weight_bytes, panels, cpu) else "pixels"
    if pick(kernel.knobs, "order", first, ORDER) == "panels":
        s.reorder(n, panel_loop, y, *rest)
        if worth:
            whole = balanced(panels, cpu.threads)
            s.parallel(panel_loop if whole else s.fuse(panel_loop, y))
        pad_whole(s, kernel.pad, cpu)
    else:
        rows = chosen_rows(s, kernel, y, [ry, k], cpu)
        y_outer, y_inner = s.split(y, [None, rows])
        s.reorder(n, y_outer, panel_loop, y_inner, *rest)
        block_loop = s.fuse(n, y_outer)
        pad_rows(s, kernel, block_loop, cpu)
        if worth:
            s.parallel(block_loop)
    s.reverse_compute_at(kernel.epilogue, tile_loop, preserve_unit_loops=True)
    vectorize_last(s, kernel.epilogue, cpu.lanes)
    if (extent(s, k) or 5) <= 4:
        s.unroll(k)
    load_lanes(s, kernel.anchor, k, steps, cpu)
    keep_in_registers(s, kernel.anchor, inner, ry)


def panels_outside_rows(weight_bytes: int, panels: int, cpu: Cpu) -> bool:
    """Whether weights are too large to be read again for every block of rows."""
    return weight_bytes > cpu.l2_bytes and panels >= cpu.threads


def chosen_rows(s: Schedule, kernel: TiledKernel, y: LoopRV, depth: list[LoopRV], cpu: Cpu) -> int:
    """Rows of output of one parallel piece: the knob, else `rows_per_block`."""
    if "rows" not in kernel.knobs:
        return rows_per_block(s, kernel, y, depth, cpu)
    rows = kernel.knobs["rows"]
    if not isinstance(rows, int) or not 1 <= rows <= MOST_ROWS or (extent(s, y) or 1) % rows:
        raise unfit(kernel.knobs, "rows", "rows that divide the output's height")
    return rows


def rows_per_block(
    s: Schedule, kernel: TiledKernel, y: LoopRV, depth: list[LoopRV], cpu: Cpu
) -> int:
    """Rows of output of one parallel piece: the most that balance over the threads and whose
    padded input stays in L2.

    depth: loops whose extents are the window's height and, last, the channels."""
    height = extent(s, y) or 1
    window = extent(s, depth[0]) or 1
    stride = int(s.get(kernel.anchor).annotations[STRIDE])
    row_bytes = padded_row_bytes(s, kernel)
    best = 1
    for rows in range(1, min(height, 16) + 1):
        pieces = height // rows
        fits = ((rows - 1) * stride + window) * row_bytes <= L2_SHARE * cpu.l2_bytes
        whole = height % rows == 0 and pieces >= cpu.threads
        if whole and fits and balanced(pieces, cpu.threads):
            best = rows
    return best


def padded_row_bytes(s: Schedule, kernel: TiledKernel) -> int:
    """Bytes of one row of the padded input, 0 where the input is not padded."""
    if kernel.pad is None:
        return 0
    *_, columns, channels = s.get_loops(kernel.pad)
    return extents(s, [columns, channels]) * FLOAT_BYTES


def pad_rows(s: Schedule, kernel: TiledKernel, loop: LoopRV, cpu: Cpu) -> None:
    """Pad where the knob says: what one step of `loop` reads, inside of it, or all, before it."""
    if pick(kernel.knobs, "pad", "block", PAD) == "block":
        pad_at(s, kernel.pad, loop, cpu)
    else:
        pad_whole(s, kernel.pad, cpu)


def pad_at(s: Schedule, pad: SBlockRV | None, loop: LoopRV, cpu: Cpu) -> None:
    """Pad, inside of `loop`, what one step of it reads."""
    if pad is not None:
        s.compute_at(pad, loop, preserve_unit_loops=True)
        vectorize_last(s, pad, cpu.lanes)


def pad_whole(s: Schedule, pad: SBlockRV | None, cpu: Cpu) -> None:
    """Pad the whole input first, in parallel."""
    if pad is not None:
        n, y, *_ = s.get_loops(pad)
        s.parallel(s.fuse(n, y))
        vectorize_last(s, pad, cpu.lanes)
