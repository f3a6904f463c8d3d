"""Depthwise convolutions: bound by memory, so padding is not stored, or where it is read."""

from __future__ import annotations

from dataclasses import replace

from tvm.s_tir import Schedule

from dlcc.targets.cpu.conv2d import STRIDES
from dlcc.targets.cpu.plan import DEPTHWISE_PAD, ORDER
from dlcc.targets.cpu.schedule.conv2d import chosen_rows, pad_rows
from dlcc.targets.cpu.schedule.loops import (
    PARALLEL_FLOPS,
    TiledKernel,
    extent,
    extents,
    finish_tile,
    keep_in_registers,
    split_register_tile,
    tiled_kernel,
)
from dlcc.targets.cpu.tiles import (
    Cpu,
    Window,
    depthwise_panels,
    depthwise_rows,
    inlines_padding,
    pixels_outside_channels,
)
from dlcc.targets.tuned import pick

UNROLLED_WINDOW = 25  # larger windows stay loops: unrolled, they cost compile time only


def depthwise(s: Schedule, cpu: Cpu) -> None:
    """Blocks of rows by panels of channels in parallel; rows, pixels and channels: the window
    unrolled on a register tile.

    Raises Declined for kernels that were not made for it."""
    kernel = padding_inlined(s, tiled_kernel(s, "depthwise"), cpu)
    loops = s.get_loops(kernel.anchor)
    n, y, x, c, ry, rx = loops
    worth = extent(s, n) is None or 2 * extents(s, loops) >= PARALLEL_FLOPS
    channels, step = extent(s, c) or 1, kernel.tile.channels
    panels = 1 if kernel.pad is None else depthwise_panels(channels, step, cpu)
    rows = chosen_rows(s, kernel, y, ry, cpu, panels)
    strides = s.get(kernel.anchor).annotations[STRIDES]
    window = Window(extent(s, ry) or 1, extent(s, rx) or 1, (int(strides[0]), int(strides[1])))
    tile_loop, channel_loop, inner = split_register_tile(s, x, c, kernel.tile, cpu.lanes)
    y_outer, y_inner = s.split(y, [None, rows])
    y_inner, y_tile = s.split(y_inner, [None, depthwise_rows(rows, kernel.tile, window, cpu)])
    panel_loop, channel_loop = s.split(channel_loop, [panels, None])
    inner = [y_tile, *inner]
    usual = "pixels" if pixels_outside_channels(channels, cpu) else "panels"
    tiles = [channel_loop, y_inner, tile_loop]
    if pick(kernel.knobs, "order", usual, ORDER) == "pixels":
        tiles = [y_inner, tile_loop, channel_loop]
    s.reorder(n, y_outer, panel_loop, *tiles, ry, rx, *inner)
    block_loop = s.fuse(n, y_outer, panel_loop)
    pad_rows(s, kernel, block_loop, cpu)
    if worth:
        s.parallel(block_loop)
    finish_tile(s, kernel.epilogue, tiles[-1], cpu)
    if window.size <= UNROLLED_WINDOW:
        s.unroll(ry)
        s.unroll(rx)
    keep_in_registers(s, kernel.anchor, inner, ry)


def padding_inlined(s: Schedule, kernel: TiledKernel, cpu: Cpu) -> TiledKernel:
    """The kernel with its padding inlined, where the knob or else the cost model says so."""
    if kernel.pad is None:
        return kernel
    padded, results = (extents(s, s.get_loops(b)) for b in (kernel.pad, kernel.epilogue))
    default = "inline" if inlines_padding(padded, results, cpu) else "block"
    if pick(kernel.knobs, "pad", default, DEPTHWISE_PAD) != "inline":
        return kernel
    s.compute_inline(kernel.pad)
    return replace(kernel, pad=None)
