"""Convolutions and products of matrices: every work-item computes a tile in its registers."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.schedule.loops import (
    TiledKernel,
    extent,
    extents,
    keep_in_registers,
    split_register_tile,
    tiled_kernel,
)
from dlcc.targets.cpu.schedule.matmul import flatten_rows
from dlcc.targets.opencl.engine import Engine
from dlcc.targets.opencl.schedule.loops import bind, vector
from dlcc.targets.opencl.schedule.stages import of_map, worth_sharing

SHARES = 16  # work-items that sum a column of a matrix together
MOST_UNROLLED = 8  # vectors of an epilogue
UNROLLED_WINDOW = 25  # larger windows stay loops: unrolled, they cost compile time only


def matmul(s: Schedule, engine: Engine) -> None:
    """A work-item a tile of the product, neighbours along the columns.

    Raises Declined for kernels that were not made for it."""
    kernel = _in_registers(s, "matmul")
    flatten_rows(s, kernel.epilogue)
    i, j, k = s.get_loops(kernel.anchor)
    if worth_sharing(s, [i, j], [k], engine):
        _share_row(s, kernel, i, j, k, engine)
        return
    _tile(s, kernel, [i], j, [k], engine)


def _share_row(
    s: Schedule, kernel: TiledKernel, i: LoopRV, j: LoopRV, k: LoopRV, engine: Engine
) -> None:
    """A work-group a panel of columns of a row: a share of the terms of a column a work-item.

    Work-items side by side read side by side: a panel holds its columns together."""
    columns = kernel.tile.channels
    shares = max(1, min(engine.work_group // columns, SHARES))
    panel, column = s.split(j, [None, columns])
    _, share = s.split(k, [None, shares])
    s.reverse_compute_at(kernel.epilogue, column, preserve_unit_loops=True)
    group = s.fuse(i, panel)
    s.bind(group, "blockIdx.x")
    s.bind(column, "threadIdx.y")
    s.bind(share, "threadIdx.x")


def conv2d(s: Schedule, engine: Engine) -> None:
    """A work-item a tile of a row of output, neighbours along the channels.

    Raises Declined for kernels that were not made for it."""
    kernel = _in_registers(s, "conv2d")
    n, y, x, f, ry, rx, k = s.get_loops(kernel.anchor)
    if (extent(s, k) or 5) <= 4:
        s.unroll(k)
    _tile(s, kernel, [n, y, x], f, [ry, rx, k], engine)


def depthwise(s: Schedule, engine: Engine) -> None:
    """A work-item a tile of a row of output, its window unrolled.

    Raises Declined for kernels that were not made for it."""
    kernel = _in_registers(s, "depthwise")
    n, y, x, c, ry, rx = s.get_loops(kernel.anchor)
    window = extents(s, [ry, rx])
    _tile(s, kernel, [n, y, x], c, [ry, rx], engine)
    if window <= UNROLLED_WINDOW:
        s.unroll(ry)
        s.unroll(rx)


def _in_registers(s: Schedule, rule: str) -> TiledKernel:
    """The blocks of a kernel made for `rule`, its sums in memory of one work-item: what is global
    there cannot be declared inside of a kernel. Raises Declined."""
    kernel = tiled_kernel(s, rule)
    s.set_scope(kernel.anchor, 0, "local")
    return kernel


def _tile(
    s: Schedule,
    kernel: TiledKernel,
    pixels: list[LoopRV],
    channels: LoopRV,
    reduced: list[LoopRV],
    engine: Engine,
) -> None:
    """Bind tiles of the last of `pixels` by `channels` to work-items; sums stay in registers."""
    if kernel.pad is not None:
        of_map(s, kernel.pad, engine)
    *outer, last = pixels
    tile_loop, panel_loop, inner = split_register_tile(s, last, channels, kernel.tile, engine.lanes)
    s.reorder(*outer, tile_loop, panel_loop, *reduced, *inner)
    s.reverse_compute_at(kernel.epilogue, panel_loop, preserve_unit_loops=True)
    _vectorize(s, kernel.epilogue, engine)
    bind(s, [*outer, tile_loop, panel_loop], engine)
    keep_in_registers(s, kernel.anchor, inner, reduced[0])


def _vectorize(s: Schedule, block: SBlockRV, engine: Engine) -> None:
    """Vectors along the last loop of an epilogue, unrolled where they are few."""
    outer, lane = vector(s, block, s.get_loops(block)[-1], engine.lanes)
    if lane is None:
        return
    s.vectorize(lane)
    if (extent(s, outer) or MOST_UNROLLED + 1) <= MOST_UNROLLED:
        s.unroll(outer)
