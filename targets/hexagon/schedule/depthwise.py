"""8-bit depthwise convolutions: the runs of a window in registers, four of them a step."""

from __future__ import annotations

import logging

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import SBlockRV, ScheduleError

from dlcc.targets.hexagon.intrin import taps
from dlcc.targets.hexagon.schedule.loops import (
    Declined,
    Hvx,
    epilogue_after,
    extent,
    marked,
    pad_bytes,
    vectorize_last,
)
from dlcc.targets.hexagon.tiles import TILE

log = logging.getLogger("dlcc")

MOST_UNROLLED = 8  # groups of four positions, 5 x 5 with room to spare; larger windows are loops


def depthwise(s: Schedule, hvx: Hvx) -> None:
    """for rows: for vectors of results: their runs, their sums; then the row's epilogue.

    Raises Declined for kernels that were not made for it."""
    sums = marked(s, "depthwise")
    if sums is None:
        raise Declined("not a depthwise convolution of 8-bit integers")
    runs, pad = marked(s, "runs"), marked(s, "pad")
    assert runs is not None
    epilogue = epilogue_after(s, sums)
    s.set_scope(runs, 0, "local")
    cached = s.cache_write(sums, 0, "local")
    if int(s.get(sums).annotations[TILE][0]):
        s.compute_at(cached, s.get_loops(epilogue)[1], preserve_unit_loops=True)
    else:  # `compute_at` would cut vectors down to the lanes that are read
        _row_by_row(s, epilogue, cached)
    *_, v, j = s.get_loops(cached)
    s.vectorize(s.split(j, [None, 32])[1])
    s.unroll(s.get_loops(cached)[-2])
    s.compute_at(sums, v, preserve_unit_loops=True)
    *_, lane, group, tap = s.get_loops(sums)
    s.reorder(group, lane, tap)
    s.compute_at(runs, v if (extent(s, group) or 1) <= MOST_UNROLLED else group)
    *_, run, byte = s.get_loops(runs)
    s.vectorize(byte)
    s.unroll(run)
    if (extent(s, group) or 1) <= MOST_UNROLLED:
        s.unroll(group)
    init = s.decompose_reduction(sums, group)
    outer, inner = s.split(s.get_loops(init)[-1], [None, 32])
    s.vectorize(inner)
    s.unroll(outer)
    dtype = str(s.get(runs).writes[0].source.dtype)
    s.tensorize(lane, taps(dtype))
    vectorize_last(s, epilogue, hvx)
    if pad is not None:
        pad_bytes(s, pad)


def _row_by_row(s: Schedule, epilogue: SBlockRV, sums: SBlockRV) -> None:
    """The epilogue behind every row of sums; behind all of them where TVM cannot tell the rows."""
    try:
        s.reverse_compute_at(epilogue, s.get_loops(sums)[1], preserve_unit_loops=True)
    except (ScheduleError, ValueError) as error:
        log.debug("the epilogue stays behind all rows: %s", str(error).strip().splitlines()[-1])
