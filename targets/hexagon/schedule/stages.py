"""Everything else: every stage of a kernel by itself, vectorised over what lies side by side."""

from __future__ import annotations

import math

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.schedule.stages import axes, each_stage
from dlcc.targets.cpu.tiles import largest_vector
from dlcc.targets.hexagon.schedule.loops import (
    LEAST_LANES,
    Hvx,
    extent,
    fused,
    lanes_of,
)

MOST_VECTORS = 4  # sums of a reduction that are in registers at once


def stages(s: Schedule, hvx: Hvx) -> None:
    """Schedule a kernel of simple stages.

    Raises Declined for kernels with other control flow, which are left as they are."""
    each_stage(s, hvx, _map, _reduction)


def _map(s: Schedule, block: SBlockRV, hvx: Hvx) -> None:
    """Vectors along the last dimension, or along all of them where the map reads what it writes."""
    loops = s.get_loops(block)
    lanes = lanes_of(s, block, hvx)
    last = loops[-1]
    if _same_place(s, block):
        last = fused(s, loops)
    width = largest_vector(extent(s, last) or 1, lanes)
    if width >= LEAST_LANES:
        outer, lane = s.split(last, [None, width])
        s.vectorize(lane)
        steps = extent(s, outer) or 1
        s.unroll(s.split(outer, [None, math.gcd(steps, 2)])[1])


def _same_place(s: Schedule, block: SBlockRV) -> bool:
    """Whether every tensor is read at the place that is written."""
    stmt = s.get(block)
    own = [v.var for v in stmt.iter_vars]

    def is_own(region: object) -> bool:
        ranges = list(region.region)  # type: ignore[attr-defined]
        return len(ranges) == len(own) and all(
            isinstance(r.min, tirx.Var) and r.min.same_as(v) and int(r.extent) == 1
            for r, v in zip(ranges, own, strict=True)
        )

    return all(is_own(r) for r in (*stmt.reads, *stmt.writes))


def _reduction(s: Schedule, block: SBlockRV, hvx: Hvx) -> None:
    """The last dimension of the result in vectors that stay in registers over the reduction."""
    spatial, reduced = axes(s, block)
    if not spatial:
        return
    last = spatial[-1]
    size = extent(s, last) or 1
    width = largest_vector(size, lanes_of(s, block, hvx))
    if width < LEAST_LANES:
        return
    vectors = max(v for v in range(1, MOST_VECTORS + 1) if size % (v * width) == 0)
    cached = s.cache_write(block, 0, "local")
    *_, last = s.get_loops(cached)
    last, vector, lane = s.split(last, [None, vectors, width])
    s.vectorize(lane)
    s.unroll(vector)
    s.compute_at(block, last, preserve_unit_loops=True)
    count = len(spatial) + len(reduced)
    loops = s.get_loops(block)[-count:]
    own, window = loops[: len(spatial)], loops[len(spatial) :]
    vector, lane = s.split(own[-1], [None, width])
    s.reorder(*own[:-1], *window, vector, lane)
    _unrolled(s, vector, lane)
    init = s.decompose_reduction(block, window[0])
    _unrolled(s, *s.get_loops(init)[-2:])


def _unrolled(s: Schedule, vector: LoopRV, lane: LoopRV) -> None:
    s.unroll(vector)
    s.vectorize(lane)
