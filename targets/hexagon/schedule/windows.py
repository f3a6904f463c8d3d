"""8-bit depthwise convolutions by words of four rows: see targets/hexagon/windows.py."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.schedule.inline import inline
from dlcc.targets.cpu.tiles import largest_vector
from dlcc.targets.hexagon.intrin import LANES, dots, words
from dlcc.targets.hexagon.schedule.grid import Stages, bytes_at_once, in_registers, one_run
from dlcc.targets.hexagon.schedule.loops import (
    Declined,
    Hvx,
    blocks,
    extent,
    fused,
    lanes_of,
    marked,
    pad_bytes,
    vectorize_last,
)
from dlcc.targets.hexagon.tiles import TILE

MOST_UNROLLED = 16  # steps of a window


def windows(s: Schedule, hvx: Hvx) -> None:
    """for blocks of rows: their words; for channels: for pixels: sums, and what is done with them
    in registers; then the rest of the epilogue. Where rows are whole vectors, words and the rest
    are in registers, too.

    Raises Declined for kernels that were not made for it."""
    sums = marked(s, "windows")
    if sums is None:
        raise Declined("not a depthwise convolution of 8-bit integers by rows")
    made = marked(s, "words")
    assert made is not None
    tile = s.get(sums).annotations[TILE]
    rows, pixels = int(tile[0]), int(tile[1])
    s.set_scope(sums, 0, "local")
    kept, rest = _epilogue(s, sums)
    lines = marked(s, "rows")
    at_once = lines is not None and bytes_at_once(s, rest, hvx)
    _, y, *_ = s.get_loops(rest or kept)
    block, _ = s.split(y, [None, rows])
    if rest is not None and not at_once:
        s.compute_at(kept, block, preserve_unit_loops=True)
    if lines is not None:
        in_registers(s, Stages(lines, made, sums, kept), rest if at_once else None, pixels)
    else:
        _by_rows(s, (made, sums, kept), block, pixels)
    if rest is not None and not at_once:
        _finish(s, rest, _whole(s, kept), hvx)


def _by_rows(
    s: Schedule, stages: tuple[SBlockRV, SBlockRV, SBlockRV], block: LoopRV, pixels: int
) -> None:
    """Words of a block of rows in memory, from a copy of the image."""
    made, sums, kept = stages
    dtype = str(s.get(made).writes[0].source.dtype)
    q = _tiled(s, kept, pixels)
    s.compute_at(sums, q, preserve_unit_loops=True)
    s.compute_at(made, block, preserve_unit_loops=True)
    s.transform_layout(made, ("write", 0), tirx.IndexMap.from_func(one_run, ndim=6))
    _multiply(s, sums, dots(dtype))
    s.tensorize(s.get_loops(made)[-2], words(dtype))
    if (pad := marked(s, "pad")) is not None:
        pad_bytes(s, pad)


def _epilogue(s: Schedule, sums: SBlockRV) -> tuple[SBlockRV, SBlockRV | None]:
    """What is done with the sums in registers, and what with whole rows after that.

    Where the channels of a pixel are whole vectors all that belongs to a channel is done in
    registers, with its constants; what is the same for all numbers has four vectors at once in
    the end, which become one of bytes."""
    found = blocks(s)
    at = [s.get(b).name_hint for b in found].index(s.get(sums).name_hint)
    chain = found[at + 1 :]
    channels = int(s.get(chain[1]).iter_vars[-1].dom.extent)
    cut = 0
    if channels % LANES == 0:
        own = [n for n, b in enumerate(chain) if _reads_several(s, b)]
        cut = max([1, *own])
    _inlined(s, chain[:cut])
    _inlined(s, chain[cut + 1 : -1])
    return chain[cut], chain[-1] if cut + 1 < len(chain) else None


def _inlined(s: Schedule, stages: Sequence[SBlockRV]) -> None:
    for stage in stages:
        if not inline(s, stage):
            raise Declined("what follows the sums is too large for one expression")


def _reads_several(s: Schedule, block: SBlockRV) -> bool:
    return len({str(r.source.name) for r in s.get(block).reads}) > 1


def _whole(s: Schedule, kept: SBlockRV) -> bool:
    """Whether the channels of what was kept are whole vectors, without a gap."""
    return len(s.get(kept).iter_vars) == 4


def _tiled(s: Schedule, kept: SBlockRV, pixels: int) -> LoopRV:
    """for channels: for pixels: the tile, unrolled; returns the loop of pixels."""
    if _whole(s, kept):
        row, q, channel = s.get_loops(kept)[-3:]
        m, lane = s.split(channel, [None, LANES])
    else:
        row, q, m, lane = s.get_loops(kept)[-4:]
    q, pixel = s.split(q, [None, pixels])
    s.reorder(m, q, row, pixel, lane)
    s.unroll(row)
    s.unroll(pixel)
    s.vectorize(lane)
    return q


def _finish(s: Schedule, rest: SBlockRV, whole: bool, hvx: Hvx) -> None:
    """Vectors of a row of pixels where they lie without a gap, else of a pixel."""
    if not whole:
        vectorize_last(s, rest, hvx)
        return
    row = fused(s, s.get_loops(rest)[-2:])
    width = largest_vector(extent(s, row) or 1, lanes_of(s, rest, hvx))
    s.vectorize(s.split(row, [None, width])[1])


def _multiply(s: Schedule, sums: SBlockRV, instruction: str) -> None:
    """The window outside, the tile inside and unrolled."""
    row, q, _, lane, *window, byte = s.get_loops(sums)[-8:]
    s.reorder(*window, row, q, lane, byte)
    unrolled, steps = [row, q], 1
    for loop in reversed(window):
        steps *= extent(s, loop) or 1
        if steps > MOST_UNROLLED:
            break
        unrolled.append(loop)
    for loop in unrolled:
        s.unroll(loop)
    init = s.decompose_reduction(sums, window[0])
    *_, init_row, init_q, _, init_lane = s.get_loops(init)
    s.vectorize(init_lane)
    s.unroll(init_row)
    s.unroll(init_q)
    s.tensorize(lane, instruction)
