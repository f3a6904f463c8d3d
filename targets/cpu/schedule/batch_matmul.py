"""Products of matrices that are both computed: a panel of the second is packed, then used up."""

from __future__ import annotations

from tvm.s_tir import Schedule

from dlcc.targets.cpu.schedule.loops import (
    PARALLEL_FLOPS,
    extents,
    finish_tile,
    keep_in_registers,
    load_lanes,
    split_register_tile,
    split_steps,
    tiled_kernel,
    vectorize_last,
)
from dlcc.targets.cpu.schedule.matmul import flatten_rows
from dlcc.targets.cpu.tiles import Cpu


def batch_matmul(s: Schedule, cpu: Cpu) -> None:
    """for products, panels in parallel: pack the panel; for tiles: k: tile; epilogue of the tile.

    Raises Declined for kernels that were not made for it."""
    kernel = tiled_kernel(s, "batch_matmul")
    loops = s.get_loops(kernel.anchor)
    worth = 2 * extents(s, loops) >= PARALLEL_FLOPS
    *batch, i, j, k = loops
    flatten_rows(s, kernel.epilogue, 3 if batch else 2)
    tile_loop, panel_loop, inner = split_register_tile(s, i, j, kernel.tile, cpu.lanes)
    k, steps = split_steps(s, kernel.anchor, k, cpu)
    s.reorder(*batch, panel_loop, tile_loop, k, *steps, *inner)
    at = s.fuse(*batch, panel_loop) if batch else panel_loop
    assert kernel.pad is not None
    s.compute_at(kernel.pad, at, preserve_unit_loops=True)
    vectorize_last(s, kernel.pad, cpu.lanes)
    if worth:
        s.parallel(at)
    finish_tile(s, kernel.epilogue, tile_loop, cpu)
    load_lanes(s, kernel.anchor, k, steps, cpu)
    keep_in_registers(s, kernel.anchor, inner, k)
