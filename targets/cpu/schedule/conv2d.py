"""Convolutions with a window: a register tile of one row of output."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.conv2d import STRIDES
from dlcc.targets.cpu.plan import MOST_ROWS, ORDER, PAD, PADDED
from dlcc.targets.cpu.schedule.loops import (
    PARALLEL_FLOPS,
    TiledKernel,
    extent,
    extents,
    finish_tile,
    keep_in_registers,
    load_lanes,
    split_register_tile,
    split_steps,
    tiled_kernel,
    vectorize_last,
)
from dlcc.targets.cpu.tiles import FLOAT_BYTES, Cpu, balanced, block_rows
from dlcc.targets.tuned import pick, unfit


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
        rows = chosen_rows(s, kernel, y, ry, cpu)
        y_outer, y_inner = s.split(y, [None, rows])
        s.reorder(n, y_outer, panel_loop, y_inner, *rest)
        block_loop = s.fuse(n, y_outer)
        pad_rows(s, kernel, block_loop, cpu)
        if worth:
            s.parallel(block_loop)
    finish_tile(s, kernel.epilogue, tile_loop, cpu)
    if (extent(s, k) or 5) <= 4:
        s.unroll(k)
    load_lanes(s, kernel.anchor, k, steps, cpu)
    keep_in_registers(s, kernel.anchor, inner, ry)


def panels_outside_rows(weight_bytes: int, panels: int, cpu: Cpu) -> bool:
    """Whether weights are too large to be read again for every block of rows."""
    return weight_bytes > cpu.l2_bytes and panels >= cpu.threads


def chosen_rows(
    s: Schedule, kernel: TiledKernel, y: LoopRV, window_loop: LoopRV, cpu: Cpu, panels: int = 1
) -> int:
    """Rows of output of one parallel piece: the knob, else `block_rows`.

    window_loop: over the window's height. panels: see `block_rows`."""
    height = extent(s, y) or 1
    if "rows" not in kernel.knobs:
        stride = int(s.get(kernel.anchor).annotations[STRIDES][0])
        window = extent(s, window_loop) or 1
        return block_rows(height, window, stride, padded_row_bytes(s, kernel), cpu, panels)
    rows = kernel.knobs["rows"]
    if not isinstance(rows, int) or not 1 <= rows <= MOST_ROWS or height % rows:
        raise unfit(kernel.knobs, "rows", "rows that divide the output's height")
    return rows


def padded_row_bytes(s: Schedule, kernel: TiledKernel) -> int:
    """Bytes of one row of the padded input, 0 where the input is not padded."""
    if kernel.pad is None:
        return 0
    *_, columns, channels = s.get_loops(kernel.pad)
    return extents(s, [columns, channels]) * FLOAT_BYTES


def pad_rows(s: Schedule, kernel: TiledKernel, loop: LoopRV, cpu: Cpu) -> None:
    """Pad where the knob says: what one step of `loop` reads, inside of it, or all, before it."""
    if kernel.pad is None:
        return
    if pick(kernel.knobs, "pad", "block", PAD) == "block":
        pad_at(s, kernel.pad, loop, cpu)
    else:
        pad_whole(s, kernel.pad, cpu)


def pad_at(s: Schedule, pad: SBlockRV | None, loop: LoopRV, cpu: Cpu) -> None:
    """Pad, inside of `loop`, what one step of it reads."""
    if pad is not None:
        s.compute_at(pad, loop, preserve_unit_loops=True)
        copy_rows(s, pad, cpu)


def pad_whole(s: Schedule, pad: SBlockRV | None, cpu: Cpu) -> None:
    """Pad the whole input first, in parallel."""
    if pad is not None:
        n, y, *_ = s.get_loops(pad)
        s.parallel(s.fuse(n, y))
        copy_rows(s, pad, cpu)


def copy_rows(s: Schedule, pad: SBlockRV, cpu: Cpu) -> None:
    """Copy each row of the input in one piece, between zeros: what is left to ask is whether there
    is such a row, once for each.

    Before:  for columns, channels: pad = x if rows and columns are inside else 0
    After:   for columns on the left, channels: pad = 0
             for columns x channels: pad = x if the row is inside else 0
             for columns on the right, channels: pad = 0
    """
    left, inside = (int(v) for v in s.get(pad).annotations[PADDED])
    *_, columns, _ = s.get_loops(pad)
    right = (extent(s, columns) or 0) - left - inside
    pieces = [n for n in (left, inside, right) if n]
    loops = s.loop_partition(columns, pieces[:-1]) if len(pieces) > 1 else [columns]
    for loop in loops:
        (block,) = s.get_child_blocks(loop)
        vectorize_last(s, block, cpu.lanes)
