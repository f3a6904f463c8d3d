"""Pools: bound by memory, so rows are read in order, all channels of a tile's pixels at a time."""

from __future__ import annotations

from tvm.s_tir import Schedule

from dlcc.targets.cpu.schedule.depthwise import UNROLLED_WINDOW
from dlcc.targets.cpu.schedule.loops import (
    PARALLEL_ELEMENTS,
    extent,
    extents,
    finish_tile,
    keep_in_registers,
    split_register_tile,
    tiled_kernel,
)
from dlcc.targets.cpu.tiles import Cpu


def pool(s: Schedule, cpu: Cpu) -> None:
    """Rows in parallel; pixels, channels: the window unrolled on a register tile.

    Raises Declined for kernels that were not made for it."""
    kernel = tiled_kernel(s, "pool")
    if kernel.pad is not None:
        s.compute_inline(kernel.pad)
    loops = s.get_loops(kernel.anchor)
    n, y, x, c, ry, rx = loops
    worth = extent(s, n) is None or extents(s, loops) >= PARALLEL_ELEMENTS
    unrolled = extents(s, [ry, rx]) <= UNROLLED_WINDOW
    tile_loop, channel_loop, inner = split_register_tile(s, x, c, kernel.tile, cpu.lanes)
    s.reorder(n, y, tile_loop, channel_loop, ry, rx, *inner)
    rows = s.fuse(n, y)
    if worth:
        s.parallel(rows)
    finish_tile(s, kernel.epilogue, channel_loop, cpu)
    if unrolled:
        s.unroll(ry)
        s.unroll(rx)
    keep_in_registers(s, kernel.anchor, inner, ry)
