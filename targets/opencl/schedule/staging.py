"""Local memory: what all work-items of a group read is copied there once, by all of them."""

from __future__ import annotations

from collections.abc import Sequence

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.schedule.loops import extent
from dlcc.targets.opencl.engine import Engine
from dlcc.targets.opencl.schedule.loops import usual_group

INPUT, WEIGHTS = 0, 1  # operands of a tiled reduction


def stage_shared(
    s: Schedule,
    anchor: SBlockRV,
    items: Sequence[LoopRV],
    step: LoopRV,
    by_panels: bool,
    engine: Engine,
    most: int,
) -> None:
    """Bind tiles to work-items, and copy the operand that those of a group share in each `step`.

    Before:  for tiles: for panels: for k / 16: for k: sums += x[tile, k] * w[k, panel]
    After:   for group in blockIdx.x: for item in threadIdx.x: for k / 16:
               for n / items: local[n * items + item] = x[tile, …];  barrier
               for k: sums += local[k] * w[k, panel]

    A group is whole: it has neighbours of one row of `items`, as many as divide it."""
    *outer, last = items
    count = extent(s, last) or 1
    wanted = min(count, most or usual_group(engine))
    size = max(n for n in range(1, wanted + 1) if count % n == 0)
    group, item = s.split(last, [None, size])
    groups = s.fuse(*outer, group) if outer else group
    s.bind(groups, "blockIdx.x")
    s.bind(item, "threadIdx.x")
    copy = s.cache_read(anchor, INPUT if by_panels else WEIGHTS, "shared")
    s.compute_at(copy, step, preserve_unit_loops=True)
    own = s.get_loops(copy)[len(_around(s, anchor, step)) :]
    fused = s.fuse(*own) if len(own) > 1 else own[0]
    _, reader = s.split(fused, [None, size])
    s.bind(reader, "threadIdx.x")


def _around(s: Schedule, block: SBlockRV, loop: LoopRV) -> list[LoopRV]:
    """The loops of a block from the outermost to `loop`."""
    loops = s.get_loops(block)
    at = next(i for i, each in enumerate(loops) if s.get(each).same_as(s.get(loop)))
    return list(loops[: at + 1])
