"""3x3 convolutions by Winograd's filtering: transform tiles, multiply matrices, transform back."""

from __future__ import annotations

import math

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.plan import STAGE
from dlcc.targets.cpu.schedule.conv2d import pad_at
from dlcc.targets.cpu.schedule.loops import (
    TiledKernel,
    blocks,
    extent,
    keep_in_registers,
    load_lanes,
    split_steps,
    tiled_kernel,
)
from dlcc.targets.cpu.tiles import Cpu, largest_vector
from dlcc.targets.cpu.winograd import WAY, shares_blocks


def winograd(s: Schedule, cpu: Cpu) -> None:
    """for blocks of rows of tiles: transform the input; for panels of channels: the products of all
    positions; transform back; epilogue.

    Raises Declined for kernels that were not made for it."""
    kernel = tiled_kernel(s, "winograd")
    size, rows = (int(v) for v in s.get(kernel.anchor).annotations[WAY])
    stage = {str(s.get(b).annotations.get(STAGE, "")): b for b in blocks(s)}
    block_loop, panel_loop, vector_loop = _result_loops(s, kernel, size, rows, cpu)
    for name in ("results", "rows"):
        s.compute_at(stage[name], vector_loop, preserve_unit_loops=True)
        _unroll_transform(s, stage[name])
    s.compute_at(stage["products"], panel_loop, preserve_unit_loops=True)
    inner, depth = _multiply(s, stage["products"], kernel, cpu)
    s.compute_at(stage["inputs"], block_loop, preserve_unit_loops=True)
    tiles_loop, lane_loop = _transform_input(s, stage["inputs"], cpu)
    s.compute_at(stage["columns"], lane_loop, preserve_unit_loops=True)
    _unroll_transform(s, stage["columns"])
    pad_at(s, kernel.pad, block_loop, cpu)
    shared = shares_blocks(extent(s, block_loop) or 1, cpu)
    for loop in (block_loop,) if shared else (tiles_loop, panel_loop):
        s.parallel(loop)
    keep_in_registers(s, kernel.anchor, inner, depth)  # last: it takes the reduction apart


def _result_loops(
    s: Schedule, kernel: TiledKernel, size: int, rows: int, cpu: Cpu
) -> tuple[LoopRV, LoopRV, LoopRV]:
    """Loops of the epilogue: blocks of rows, panels of channels, and vectors of one tile."""
    n, y, x, c = s.get_loops(kernel.epilogue)
    blocks_, row, in_y = s.split(y, [None, rows, size])
    column, in_x = s.split(x, [None, size])
    width = largest_vector(math.gcd(extent(s, c) or 1, kernel.tile.channels), cpu.lanes)
    panel, vector, lane = s.split(c, [None, kernel.tile.channels // width, width])
    s.reorder(n, blocks_, panel, row, column, vector, in_y, in_x, lane)
    s.unroll(in_y)
    s.unroll(in_x)
    s.vectorize(lane)
    return s.fuse(n, blocks_), panel, vector


def _unroll_transform(s: Schedule, block: SBlockRV) -> None:
    """Unroll the two directions of a tile, its vector innermost."""
    *_, first, second, lane = s.get_loops(block)
    s.unroll(first)
    s.unroll(second)
    s.vectorize(lane)


def _multiply(
    s: Schedule, products: SBlockRV, kernel: TiledKernel, cpu: Cpu
) -> tuple[list[LoopRV], LoopRV]:
    """The products of one panel, tile by tile; the loops of a tile and of its reduction."""
    *_, q, j = s.get_loops(products)
    tiles, _ = s.split(q, [None, kernel.tile.pixels])
    vector, lane = s.split(j, [None, largest_vector(kernel.tile.channels, cpu.lanes)])
    s.vectorize(lane)
    s.unroll(vector)
    s.compute_at(kernel.anchor, tiles, preserve_unit_loops=True)
    *_, pixel, j, k = s.get_loops(kernel.anchor)
    vector, lane = s.split(j, [None, largest_vector(kernel.tile.channels, cpu.lanes)])
    k, steps = split_steps(s, kernel.anchor, k, cpu)
    s.reorder(k, *steps, pixel, vector, lane)
    load_lanes(s, kernel.anchor, k, steps, cpu)
    return [pixel, vector, lane], k


def _transform_input(s: Schedule, inputs: SBlockRV, cpu: Cpu) -> tuple[LoopRV, LoopRV]:
    """Vectors of channels of a tile at a time; the loops over tiles and over vectors."""
    *_, u, v, q, c = s.get_loops(inputs)
    vector, lane = s.split(c, [None, largest_vector(extent(s, c) or 1, cpu.lanes)])
    s.reorder(q, vector, u, v, lane)
    s.unroll(u)
    s.unroll(v)
    s.vectorize(lane)
    return q, vector
