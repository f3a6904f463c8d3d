"""Everything else: every stage of a kernel by itself, a launch each."""

from __future__ import annotations

from collections.abc import Sequence

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.schedule.inline import nodes
from dlcc.targets.cpu.schedule.loops import SPATIAL, extent, extents
from dlcc.targets.cpu.schedule.stages import axes, each_stage
from dlcc.targets.opencl.engine import Engine
from dlcc.targets.opencl.schedule.loops import bind, vector

# Work-items for each lane of a GPU below which its units wait for memory more than they compute.
ITEMS_PER_LANE = 4
LEAST_SHARED = 64  # terms of a result from which on a work-group sums them together


def stages(s: Schedule, engine: Engine) -> None:
    """Schedule a kernel of simple stages.

    Raises Declined for kernels with other control flow, which run on the CPU."""
    each_stage(s, engine, of_map, of_reduction)


def of_map(s: Schedule, block: SBlockRV, engine: Engine) -> None:
    """A work-item a vector of the last axis."""
    *outer, last = s.get_loops(block)
    last_outer, lane = vector(s, block, last, engine.lanes)
    bind(s, [*outer, last_outer], engine)
    if lane is not None:
        s.vectorize(lane)


def of_reduction(s: Schedule, block: SBlockRV, engine: Engine) -> None:
    """A work-item a vector of results, each summed in order in registers."""
    spatial, reduced = axes(s, block)
    if not spatial:
        spatial = [s.add_unit_loop(block)]
    if worth_sharing(s, spatial, reduced, engine):
        share_reduction(s, spatial, reduced, engine)
        return
    # A GPU's vectors of what lies apart are single loads, by fewer work-items.
    lanes = engine.lanes if engine.is_cpu or reads_side_by_side(s, block) else 1
    result = s.cache_write(block, 0, "local")
    *outer, last = spatial
    last_outer, lane = vector(s, block, last, lanes)
    s.reorder(*outer, last_outer, *reduced, *([lane] if lane is not None else []))
    item = bind(s, [*outer, last_outer], engine)
    s.reverse_compute_at(result, item, preserve_unit_loops=True)
    if lane is not None:
        s.vectorize(lane)  # before its sum is split: afterwards it is no reduction to TVM
        s.vectorize(s.get_loops(result)[-1])
    init = s.decompose_reduction(block, reduced[0])
    if lane is not None:
        s.vectorize(s.get_loops(init)[-1])


def reads_side_by_side(s: Schedule, block: SBlockRV) -> bool:
    """Whether neighbours along the last axis of a block's result are made of neighbours."""
    stmt = s.get(block)
    last = [v.var for v in stmt.iter_vars if int(v.iter_type) == SPATIAL][-1:]
    return any(
        node.same_as(var)
        for region in stmt.reads
        if len(region.region)  # a scalar has no axes
        for node in nodes(region.region[-1].min)
        for var in last
    )


def worth_sharing(
    s: Schedule, spatial: Sequence[LoopRV], reduced: Sequence[LoopRV], engine: Engine
) -> bool:
    """Whether there are too few results to keep a GPU busy, each of many terms."""
    if engine.is_cpu or any(extent(s, loop) is None for loop in (*spatial, *reduced)):
        return False
    few = extents(s, spatial) < engine.units * engine.subgroup * ITEMS_PER_LANE
    return few and extents(s, reduced) >= LEAST_SHARED


def share_reduction(
    s: Schedule,
    spatial: Sequence[LoopRV],
    reduced: Sequence[LoopRV],
    engine: Engine,
) -> None:
    """A work-group a result: its work-items sum a share of the terms each, and then together."""
    s.reorder(*spatial, *reduced)
    result = s.fuse(*spatial) if len(spatial) > 1 else spatial[0]
    terms = s.fuse(*reduced) if len(reduced) > 1 else reduced[0]
    items = min(engine.work_group, engine.subgroup * 2, _power_of_two(extents(s, [terms])))
    _, item = s.split(terms, [None, items])
    s.bind(result, "blockIdx.x")
    s.bind(item, "threadIdx.x")


def _power_of_two(most: int) -> int:
    """The largest power of two up to a number."""
    return 1 << (most.bit_length() - 1)
