"""8-bit depthwise convolutions by words in registers: see targets/hexagon/grid.py."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import ir, tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.hexagon.intrin import LANES, VECTOR, dots, words
from dlcc.targets.hexagon.schedule.loops import Hvx, extent, lanes_of

# Multiplications in straight code: a row of 112 pixels of 32 channels has 672. Where tiles are a
# loop, it makes words again for each, and compares what is at the edges. With more channels than a
# vector has, registers are spilled, which takes LLVM long, and more tiles gain nothing.
MOST_UNROLLED = {False: 700, True: 350}


@dataclass(frozen=True, slots=True)
class Stages:
    """Of a kernel: lines of the image, their words, sums, what is done with vectors of these."""

    lines: SBlockRV
    words: SBlockRV
    sums: SBlockRV
    kept: SBlockRV


def bytes_at_once(s: Schedule, rest: SBlockRV | None, hvx: Hvx) -> bool:
    """Whether what is done in the end makes vectors of bytes, at the places of the sums."""
    if rest is None or len(s.get(rest).iter_vars) != 4:
        return False
    return lanes_of(s, rest, hvx) == VECTOR


def in_registers(s: Schedule, stages: Stages, rest: SBlockRV | None, pixels: int) -> None:
    """for channels: for tiles of pixels: lines, words, sums, and what is done with these.

    rest: what makes bytes of 128 numbers; None where numbers go to memory. The loops of the stage
    that writes there end with rows of a block, pixels, channels."""
    channels = extent(s, s.get_loops(rest or stages.kept)[-1]) or 0
    q = _tiled(s, rest or stages.kept, pixels, VECTOR if rest else LANES)
    if rest is not None:
        s.set_scope(stages.kept, 0, "local")
        s.compute_at(stages.kept, q, preserve_unit_loops=True)
        row, pixel, channel = s.get_loops(stages.kept)[-3:]
        m, lane = s.split(channel, [None, LANES])
        s.vectorize(lane)
        _unroll(s, row, pixel, m)
    s.compute_at(stages.sums, q, preserve_unit_loops=True)
    for made in (stages.words, stages.lines):
        s.set_scope(made, 0, "local")
        s.compute_at(made, q, preserve_unit_loops=True)
    dtype = str(s.get(stages.words).writes[0].source.dtype)
    _interleave(s, stages, dtype)
    products = _multiply(s, stages.sums, dtype)
    tiles = extent(s, q) or 1
    most = MOST_UNROLLED[channels > VECTOR] // products
    able = [n for n in range(1, min(tiles, most) + 1) if tiles % n == 0]
    _, straight = s.split(q, [None, max(able, default=1)])
    s.unroll(straight)


def one_run(*index: ir.Expr) -> list[ir.Expr]:
    """The bytes of a row are cut into vectors only for `compute_at`, which makes whole ones so."""
    *outer, vector, byte, row = index
    return [*outer, vector * VECTOR + byte, row]


def _tiled(s: Schedule, last: SBlockRV, pixels: int, width: int) -> LoopRV:
    """The loop of tiles; what is in it is unrolled, and vectors of `width` results."""
    row, q, channel = s.get_loops(last)[-3:]
    q, pixel = s.split(q, [None, pixels])
    if (extent(s, channel) or 0) > VECTOR:
        m, channel = s.split(channel, [None, VECTOR])
        s.reorder(m, q, row, pixel, channel)
    else:
        s.reorder(q, row, pixel, channel)
    vector, lane = s.split(s.fuse(pixel, channel), [None, width])
    s.vectorize(lane)
    _unroll(s, row, vector)
    return q


def _interleave(s: Schedule, stages: Stages, dtype: str) -> None:
    s.transform_layout(stages.words, ("write", 0), tirx.IndexMap.from_func(one_run, ndim=8))
    *_, k, v, u, byte, _ = s.get_loops(stages.words)
    s.tensorize(byte, words(dtype, "local"))
    _unroll(s, k, v, u)
    *_, k, v, u, t, byte = s.get_loops(stages.lines)
    s.vectorize(byte)
    _unroll(s, k, v, u, t)


def _multiply(s: Schedule, sums: SBlockRV, dtype: str) -> int:
    """The window outside, then channels, pixels, rows: of the orders this one spills least.
    Returns how many multiplications a tile takes."""
    row, q, m, lane, *window, byte = s.get_loops(sums)[-8:]
    order = [*window, m, q, row]
    s.reorder(*order, lane, byte)
    products = 1
    for loop in order:
        products *= extent(s, loop) or 1
    _unroll(s, *order)
    init = s.decompose_reduction(sums, window[0])
    *_, m, q, row, init_lane = s.get_loops(init)
    s.vectorize(init_lane)
    _unroll(s, m, q, row)
    s.tensorize(lane, dots(dtype, "local"))
    return products


def _unroll(s: Schedule, *loops: LoopRV) -> None:
    for loop in loops:
        s.unroll(loop)
