"""8-bit products and convolutions: a register tile of sums, two multiplications a packet."""

from __future__ import annotations

import math

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import SBlockRV

from dlcc.targets.cpu.schedule.matmul import flatten_rows
from dlcc.targets.hexagon.intrin import LANES, dot, total
from dlcc.targets.hexagon.schedule.loops import (
    Declined,
    Hvx,
    epilogue_after,
    extent,
    marked,
    pad_bytes,
    vectorize_last,
)
from dlcc.targets.hexagon.tiles import STEPS, TILE

MOST_UNROLLED_STEPS = 4  # steps of a row of the window that are unrolled as a whole


def product(s: Schedule, hvx: Hvx) -> None:
    """for tiles of rows: totals of x; for tiles of channels: sums; zero points; epilogue.

    Raises Declined for kernels that were not made for it."""
    sums = marked(s, "product")
    if sums is None:
        raise Declined("not a product of 8-bit integers")
    totals, fixed, pad = marked(s, "totals"), marked(s, "fixed"), marked(s, "pad")
    assert fixed is not None
    rows, vectors = (int(v) for v in s.get(sums).annotations[TILE])
    steps = int(s.get(sums).annotations[STEPS])
    epilogue = epilogue_after(s, fixed)
    if len(s.get(fixed).iter_vars) == 2:
        flatten_rows(s, epilogue)
    for block in (sums, fixed, *([totals] if totals else [])):
        s.set_scope(block, 0, "local")
    *outer, row, channel = s.get_loops(fixed)
    row_tile, row = s.split(row, [None, rows])
    channel_tile, channel = s.split(channel, [None, vectors * LANES])
    s.reorder(*outer, row_tile, channel_tile, row, channel)
    s.compute_at(sums, channel_tile, preserve_unit_loops=True)
    if totals is not None:
        s.compute_at(totals, row_tile, preserve_unit_loops=True)
    s.reverse_compute_at(epilogue, channel_tile, preserve_unit_loops=True)
    vector, lane = s.split(channel, [None, LANES])
    s.vectorize(lane)
    s.unroll(vector)
    s.unroll(row)
    vectorize_last(s, epilogue, hvx)
    data = _data_dtype(s, sums)
    _tensorize(s, sums, dot(data), 2, len(outer) + 3, steps)
    if totals is not None:
        _tensorize(s, totals, total(data), 1, len(outer) + 2, steps)
    if pad is not None:
        pad_bytes(s, pad)


def _tensorize(
    s: Schedule, block: SBlockRV, name: str, tile_axes: int, spatial: int, unrolled_words: int
) -> None:
    """The reduction outside, the tile inside and unrolled, its lanes and words one instruction.

    tile_axes: loops of the tile, lanes not counted. spatial: all loops over the result.
    unrolled_words: steps of the reduction, as many where that divides them."""
    kinds = s.get(block).iter_vars
    loops = s.get_loops(block)[-len(kinds) :]
    tile, lane = loops[spatial - 1 - tile_axes : spatial - 1], loops[spatial - 1]
    *window, word, byte = loops[spatial:]
    words = extent(s, word) or 1
    steps = math.gcd(words, unrolled_words)  # loop control is shared, loads are told apart
    word, step = s.split(word, [None, steps])
    s.reorder(*window, word, step, *tile, lane, byte)
    unrolled = [step, *tile]
    if window and (extent(s, window[-1]) or 1) * words <= MOST_UNROLLED_STEPS:
        unrolled += [window[-1], word]
    for loop in unrolled:
        s.unroll(loop)
    init = s.decompose_reduction(block, [*window, word][0])
    *_, init_lane = init_loops = s.get_loops(init)
    s.vectorize(init_lane)
    for loop in init_loops[-1 - tile_axes : -1]:
        s.unroll(loop)
    s.tensorize(lane, name)


def _data_dtype(s: Schedule, sums: SBlockRV) -> str:
    """dtype of the first operand: the block reads data and weights, and not only its sums."""
    reads = [r.source for r in s.get(sums).reads if str(r.source.dtype) != "int32"]
    return str(reads[0].dtype)
