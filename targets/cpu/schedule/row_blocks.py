"""An expansion and the depthwise convolution behind it, by blocks that stay in L2."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import SBlockRV

from dlcc.targets.cpu.plan import BLOCKS, RULE, STAGE, TILE
from dlcc.targets.cpu.schedule.depthwise import UNROLLED_WINDOW
from dlcc.targets.cpu.schedule.inline import inline
from dlcc.targets.cpu.schedule.loops import (
    Declined,
    blocks,
    extents,
    finish_tile,
    keep_in_registers,
    split_register_tile,
)
from dlcc.targets.cpu.tiles import Cpu, Tile


def row_blocks(s: Schedule, cpu: Cpu) -> None:
    """Blocks of rows by panels of channels in parallel: first what is expanded, tile by tile, then
    the windows over it.

    Raises Declined for kernels that were not made for it."""
    product, expanded, anchor, epilogue = _stages(s)
    rows, channels = (int(v) for v in s.get(anchor).annotations[BLOCKS])
    n, y, x, c, ry, rx = s.get_loops(anchor)
    y_outer, y_inner = s.split(y, [None, rows])
    panel_loop, c = s.split(c, [None, channels])
    tile = _tile(s, anchor)
    tile_loop, channel_loop, inner = split_register_tile(s, x, c, tile, cpu.lanes)
    s.reorder(n, y_outer, panel_loop, y_inner, tile_loop, channel_loop, ry, rx, *inner)
    block_loop = s.fuse(n, y_outer, panel_loop)
    s.parallel(block_loop)
    finish_tile(s, epilogue, channel_loop, cpu)
    s.compute_at(expanded, block_loop, preserve_unit_loops=True)
    _expand(s, product, expanded, cpu)
    if extents(s, [ry, rx]) <= UNROLLED_WINDOW:
        s.unroll(ry)
        s.unroll(rx)
    keep_in_registers(s, anchor, inner, ry)


def _stages(s: Schedule) -> tuple[SBlockRV, SBlockRV, SBlockRV, SBlockRV]:
    """The product, what becomes of it, the windows and what becomes of them; the rest is inlined.

    Raises Declined for other kernels."""
    found = blocks(s)
    notes = [s.get(block).annotations for block in found]
    anchors = [i for i, note in enumerate(notes) if str(note.get(RULE, "")) == "row_blocks"]
    products = [i for i, note in enumerate(notes) if STAGE in note and TILE in note]
    if len(anchors) != 1 or len(products) != 1:
        raise Declined("not a kernel made for row_blocks")
    (at,), (first,) = anchors, products
    if not first < at - 1 < len(found) - 2:
        raise Declined("a stage between is missing")
    kept = {first, at - 1, at, len(found) - 1}
    for i, block in enumerate(found):
        if i not in kept and not inline(s, block):
            raise Declined("what follows a reduction is too large for one expression")
    return found[first], found[at - 1], found[at], found[-1]


def _expand(s: Schedule, product: SBlockRV, expanded: SBlockRV, cpu: Cpu) -> None:
    """The expansion of a block: panels of weights, tiles of its pixels in their order."""
    tile = _tile(s, product)
    *_, pixel, c = s.get_loops(expanded)
    tile_loop, panel_loop, inner = split_register_tile(s, pixel, c, tile, cpu.lanes)
    s.reorder(panel_loop, tile_loop, *inner)
    s.compute_at(product, tile_loop, preserve_unit_loops=True)
    *_, pixel, c, k = s.get_loops(product)
    vectors, lane = s.split(c, [None, cpu.lanes])
    s.reorder(k, pixel, vectors, lane)
    for loop in inner[:-1]:
        s.unroll(loop)
    s.vectorize(inner[-1])
    keep_in_registers(s, product, [pixel, vectors, lane], k)


def _tile(s: Schedule, block: SBlockRV) -> Tile:
    return Tile(*(int(v) for v in s.get(block).annotations[TILE]))
