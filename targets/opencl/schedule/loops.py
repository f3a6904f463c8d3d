"""What every rule for OpenCL needs: loops as work-items of work-groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.matmul import static
from dlcc.targets.cpu.schedule.inline import nodes
from dlcc.targets.cpu.schedule.loops import SPATIAL, extent
from dlcc.targets.cpu.tiles import largest_vector
from dlcc.targets.opencl.engine import Engine

# Work-items of a group on a device that runs them in lockstep: several subgroups, so that one
# computes while another waits for memory. On a CPU a group is one call of a loop over its items.
SUBGROUPS = 2
CPU_GROUP = 8


def bind(s: Schedule, loops: Sequence[LoopRV], engine: Engine, most: int = 0) -> LoopRV:
    """Make loops work-items, the last one's neighbours neighbours; returns the items' loop.

    Before:  for n: for y: for c
    After:   for group in blockIdx.x: for item in threadIdx.x

    most: work-items of a group; 0: what suits the engine.
    """
    fused = s.fuse(*loops) if len(loops) > 1 else loops[0]
    group, item = s.split(fused, [None, group_size(extent(s, fused), most or usual_group(engine))])
    s.bind(group, "blockIdx.x")
    s.bind(item, "threadIdx.x")
    return item


def usual_group(engine: Engine) -> int:
    """Work-items of a group where nobody chose."""
    if engine.is_cpu:
        return min(engine.work_group, CPU_GROUP)
    return min(engine.work_group, SUBGROUPS * engine.subgroup)


def group_size(items: int | None, wanted: int) -> int:
    """Work-items of a group for so many in all; one that divides them where there is one near."""
    if items is None:
        return wanted
    if items <= wanted:
        return items
    whole = [size for size in range(wanted, wanted // 2, -1) if items % size == 0]
    return whole[0] if whole else wanted


def vector(s: Schedule, block: SBlockRV, loop: LoopRV, lanes: int) -> tuple[LoopRV, LoopRV | None]:
    """The loop over the last axis of a block's result split into vectors, which the caller is to
    vectorise; or the loop alone, where its extent is a multiple of none or the block is not for
    vectors."""
    axis = [v for v in s.get(block).iter_vars if int(v.iter_type) == SPATIAL][-1:]
    whole = [static(v.dom.extent) or 1 for v in axis] or [1]
    width = largest_vector(math.gcd(extent(s, loop) or 1, *whole), lanes)
    if width < 2 or not for_vectors(s, block):
        return loop, None
    outer, lane = s.split(loop, [None, width])
    return outer, lane


def for_vectors(s: Schedule, block: SBlockRV) -> bool:
    """Whether vectors of OpenCL compute what a block says.

    A comparison of vectors gives -1 for true and not 1, in numbers as wide as those compared, and
    selects only numbers of that width (OpenCL C 1.2, 6.3.d and 6.12.6)."""
    stmt = s.get(block)
    buffers = [region.source for region in (*stmt.reads, *stmt.writes)]
    types = {str(buffer.dtype) for buffer in buffers}
    if "bool" in types:
        return False
    if any(static(e) is None for buffer in buffers for e in buffer.shape[1:]):
        return False  # indices are divided by what may be negative for all that TVM knows
    if not isinstance(stmt.body, tirx.BufferStore):
        return False
    made = list(nodes(stmt.body.value))
    if any(isinstance(n, tirx.Cast) and _is_bool(n.value) for n in made):
        return False
    return types <= {"float32", "float16"} or not any(_is_bool(n) for n in made)


def _is_bool(node: object) -> bool:
    return str(getattr(getattr(node, "ty", None), "dtype", "")) == "bool"
