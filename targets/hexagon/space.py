"""The choices of knobs that tuning tries for a kernel of 8-bit integers."""

from __future__ import annotations

from itertools import product

from dlcc.targets.chips import Chip
from dlcc.targets.hexagon.plan import WAYS
from dlcc.targets.hexagon.tiles import MOST_STEPS, tiles
from dlcc.targets.hexagon.windows import Window, blocks
from dlcc.targets.tuned import Knobs
from dlcc.targets.workload import Conv2d, Matmul, parse

MOST_TILES = 12


def space(workload: str, _chip: Chip) -> list[Knobs]:
    """The choices for a workload: {}, which leaves all to the cost model, then those with one knob
    set, then those with two; of each the likelier first. Raises UsageError for a text that is no
    workload."""
    work = parse(workload)
    if isinstance(work, Conv2d) and work.depthwise:
        return _of_windows(work)
    if isinstance(work, Matmul):
        rows, columns = work.m, work.n
    else:
        rows, columns = work.n * work.oh * work.ow if work.pointwise else work.ow, work.oc
    sizes = [f"{t.rows}x{t.vectors}" for t in tiles(rows, columns)[1 : 1 + MOST_TILES]]
    steps = [n for n in (4, 1, 3) if n <= MOST_STEPS]
    one: list[Knobs] = [{"tile": tile} for tile in sizes]
    one += [{"steps": n} for n in steps]
    two: list[Knobs] = [{"tile": tile, "steps": n} for tile, n in product(sizes, steps)]
    return [{}, *one, *two]


def _of_windows(work: Conv2d) -> list[Knobs]:
    """By words with a tile, or by taps: what the default is depends on the weights, too."""
    able = blocks(Window(work.w, work.oh, work.ow, work.c, work.k, work.s, work.d))[:MOST_TILES]
    if not able:
        return [{}]
    words, taps = WAYS
    by_words: list[Knobs] = [{"window": words, "tile": str(block)} for block in able]
    return [{}, {"window": taps}, *by_words]
