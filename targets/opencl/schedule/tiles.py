"""Convolutions and products of matrices: every work-item computes a tile in its registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from dlcc.targets.opencl.plan import INLINE, PANELS, WHOLE, Plan, usual_shares
from dlcc.targets.opencl.schedule.loops import bind, vector
from dlcc.targets.opencl.schedule.stages import of_map, worth_sharing
from dlcc.targets.opencl.schedule.staging import stage_shared

MOST_UNROLLED = 8  # vectors of an epilogue
UNROLLED_WINDOW = 25  # larger windows stay loops: unrolled, they cost compile time only
FEW_CHANNELS = 4  # of an input, which are unrolled


@dataclass(frozen=True, slots=True)
class Loops:
    """Loops of a tiled reduction. pixels: those of the rows, the last is tiled.

    window, depth: of the reduction; depth is None where there is a window alone."""

    pixels: Sequence[LoopRV]
    channels: LoopRV
    window: Sequence[LoopRV]
    depth: LoopRV | None


def matmul(s: Schedule, engine: Engine) -> None:
    """A work-item a tile of the product, neighbours along the columns or the rows.

    Raises Declined for kernels that were not made for it."""
    kernel = in_registers(s, "matmul")
    flatten_rows(s, kernel.epilogue)
    i, j, k = s.get_loops(kernel.anchor)
    columns = kernel.tile.channels
    usual = usual_shares(columns, engine) if worth_sharing(s, [i, j], [k], engine) else 1
    shares = Plan(kernel.knobs, engine).shares(usual, columns)
    if shares > 1:
        _share_row(s, kernel, i, j, k, shares)
    else:
        tile(s, kernel, Loops([i], j, [], k), engine)


def _share_row(
    s: Schedule, kernel: TiledKernel, i: LoopRV, j: LoopRV, k: LoopRV, shares: int
) -> None:
    """A work-group a panel of columns of a row: a share of the terms of a column a work-item.

    Work-items side by side read side by side: a panel holds its columns together."""
    panel, column = s.split(j, [None, kernel.tile.channels])
    _, share = s.split(k, [None, shares])
    s.reverse_compute_at(kernel.epilogue, column, preserve_unit_loops=True)
    group = s.fuse(i, panel)
    s.bind(group, "blockIdx.x")
    s.bind(column, "threadIdx.y")
    s.bind(share, "threadIdx.x")


def conv2d(s: Schedule, engine: Engine) -> None:
    """A work-item a tile of a row of output, neighbours along the channels or the pixels.

    Raises Declined for kernels that were not made for it."""
    kernel = _padded(s, in_registers(s, "conv2d"), engine, WHOLE)
    n, y, x, f, ry, rx, k = s.get_loops(kernel.anchor)
    tile(s, kernel, Loops([n, y, x], f, [ry, rx], k), engine)


def depthwise(s: Schedule, engine: Engine) -> None:
    """A work-item a tile of a row of output, its window unrolled.

    Raises Declined for kernels that were not made for it."""
    kernel = _padded(s, in_registers(s, "depthwise"), engine, INLINE)
    n, y, x, c, ry, rx = s.get_loops(kernel.anchor)
    window = extents(s, [ry, rx])
    tile(s, kernel, Loops([n, y, x], c, [ry, rx], None), engine)
    if window <= UNROLLED_WINDOW:
        s.unroll(ry)
        s.unroll(rx)


def in_registers(s: Schedule, rule: str) -> TiledKernel:
    """The blocks of a kernel made for `rule`, its sums in memory of one work-item: what is global
    there cannot be declared inside of a kernel. Raises Declined."""
    kernel = tiled_kernel(s, rule)
    s.set_scope(kernel.anchor, 0, "local")
    return kernel


def _padded(s: Schedule, kernel: TiledKernel, engine: Engine, usual: str) -> TiledKernel:
    """The kernel with its padding inlined, or a launch before it.

    usual: which of both where nobody chose. A depthwise convolution is bound by memory, which a
    copy is written to and read from; others read an element of the input once for each panel."""
    if kernel.pad is None:
        return kernel
    if Plan(kernel.knobs, engine).pad(usual) == INLINE:
        s.compute_inline(kernel.pad)
    else:
        of_map(s, kernel.pad, engine)
    return replace(kernel, pad=None)


def tile(
    s: Schedule, kernel: TiledKernel, loops: Loops, engine: Engine, order: str = PANELS
) -> None:
    """Bind tiles of the last pixels by channels to work-items; sums stay in registers.

    order: what neighbours are neighbours along, where nobody chose."""
    plan = Plan(kernel.knobs, engine)
    *outer, last = loops.pixels
    lanes = plan.lanes()
    tile_loop, panel, inner = split_register_tile(s, last, loops.channels, kernel.tile, lanes)
    by_panels = plan.order(order) == PANELS
    items = [*outer, tile_loop, panel] if by_panels else [panel, *outer, tile_loop]
    reduced, steps, staged = _steps(s, kernel, loops, plan, by_panels)
    s.reorder(*items, *reduced, *steps, *inner)
    s.reverse_compute_at(kernel.epilogue, items[-1], preserve_unit_loops=True)
    _vectorize(s, kernel.epilogue, lanes)
    if staged:
        stage_shared(s, kernel.anchor, items, reduced[-1], by_panels, engine, plan.group())
    else:
        bind(s, items, engine, plan.group())
    keep_in_registers(s, kernel.anchor, inner, reduced[0])


def _steps(
    s: Schedule, kernel: TiledKernel, loops: Loops, plan: Plan, by_panels: bool
) -> tuple[list[LoopRV], list[LoopRV], bool]:
    """The loops of the reduction outside and inside of what is copied to local memory, and
    whether something is."""
    if loops.depth is None:
        return list(loops.window), [], False
    depth = extent(s, loops.depth) or 1
    if loops.window and depth <= FEW_CHANNELS:
        s.unroll(loops.depth)
        return [*loops.window, loops.depth], [], False
    shared = kernel.tile.pixels if by_panels else kernel.tile.channels
    staged, unrolled = plan.staged(depth, shared), plan.steps(depth)
    k, steps = loops.depth, []
    if staged:
        k, step = s.split(k, [None, staged])
        steps.append(step)
    if unrolled > 1:
        last = steps.pop() if steps else k
        rest, step = s.split(last, [None, unrolled])
        s.unroll(step)
        steps = [rest, step] if staged else [step]
        k = k if staged else rest
    return [*loops.window, k], steps, staged > 0


def _vectorize(s: Schedule, block: SBlockRV, lanes: int) -> None:
    """Vectors along the last loop of an epilogue, unrolled where they are few."""
    outer, lane = vector(s, block, s.get_loops(block)[-1], lanes)
    if lane is None:
        return
    s.vectorize(lane)
    if (extent(s, outer) or MOST_UNROLLED + 1) <= MOST_UNROLLED:
        s.unroll(outer)
