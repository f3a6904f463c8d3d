"""The choices of knobs that tuning tries for a kernel made for tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.matmul import row_tile
from dlcc.targets.cpu.plan import NO_WINOGRAD, fits
from dlcc.targets.cpu.tiles import (
    Cpu,
    Tile,
    Window,
    depthwise_tile,
    depthwise_tiles,
    matmul_tile,
    matmul_tiles,
)
from dlcc.targets.cpu.winograd import product_tile, winograd_for, winograd_ways
from dlcc.targets.opencl.engine import Engine
from dlcc.targets.opencl.plan import (
    INLINE,
    LANES,
    ORDER,
    PANELS,
    PIXELS,
    STAGED,
    STEPS,
    WHOLE,
    able_shares,
)
from dlcc.targets.opencl.schedule.loops import usual_group
from dlcc.targets.tuned import Knobs
from dlcc.targets.workload import Conv2d, Matmul, parse

MOST_TILES = 8
MOST_WAYS = 4  # of Winograd's filtering
MOST_TOGETHER = 3  # knobs that are set at once
LEAST_DEPTH = 8  # steps of a reduction that are worth unrolling or copying

Axes = Mapping[str, Sequence[int | str]]


def space(workload: str, chip: Chip) -> list[Knobs]:
    """The choices for a workload: {}, which leaves all to the rules, then those with one knob set,
    those with two, and so on; of each the likelier first. Raises UsageError for a text that is no
    workload."""
    work, cpu, engine = parse(workload), Cpu.of(chip), Engine.of(chip)
    if isinstance(work, Conv2d) and work.depthwise:
        return _of_depthwise(work, cpu, engine)
    if isinstance(work, Conv2d) and not work.pointwise:
        return _of_windows(work, cpu, engine)
    rows, depth, columns = _product(work)
    tile = row_tile(rows, columns, cpu)
    shared = rows == 1 and not engine.is_cpu
    axes: Axes = {
        "tile": _tiles(matmul_tiles(rows, columns, cpu), tile, work, cpu),
        "shares": able_shares(tile.channels, engine) if shared else (),
    }
    return _combined({**axes, **_of_items(depth, engine), **_of_local(depth, engine)})


def _product(work: Conv2d | Matmul) -> tuple[int, int, int]:
    """Rows, depth and columns of a product of matrices."""
    if isinstance(work, Matmul):
        return work.m, work.k, work.n
    return work.n * work.oh * work.ow, work.c, work.oc


def _of_depthwise(work: Conv2d, cpu: Cpu, engine: Engine) -> list[Knobs]:
    high, wide = work.p[0] + work.h + work.p[2], work.p[1] + work.w + work.p[3]
    shape, window = (work.oh, work.ow, work.oc), Window(*work.k, work.s)
    default = depthwise_tile(shape, window, (high, wide) if work.padded else None, cpu)
    tiles = _tiles(depthwise_tiles(work.ow, work.oc, cpu), default, work, cpu)
    return _combined({"tile": tiles, "pad": [WHOLE] * work.padded, **_of_items(1, engine)})


def _of_windows(work: Conv2d, cpu: Cpu, engine: Engine) -> list[Knobs]:
    """Choices for the sum and, where there is one, for Winograd's filtering."""
    columns, depth = work.oc // work.g, work.c // work.g
    default = matmul_tile(work.ow, columns, cpu)
    tiles = _tiles(matmul_tiles(work.ow, columns, cpu), default, work, cpu)
    items = {**_of_items(depth, engine), **_of_local(depth, engine)}
    summed = _combined({"tile": tiles, "pad": [INLINE] * work.padded, **items})
    if work.weights != "packed" or engine.half:
        return summed
    usual = winograd_for(work, cpu, {})
    ways = [way for way in winograd_ways(work, cpu) if way != usual][:MOST_WAYS]
    filtered: list[Knobs] = [{"winograd": str(way)} for way in ways]
    if usual is None:
        return sorted([*summed, *filtered], key=len)
    tile = product_tile(work, usual, cpu)
    rows = usual.rows * -(-work.ow // usual.size)
    tiles = _tiles(matmul_tiles(rows, work.oc, cpu), tile, work, cpu)
    products = _combined({"tile": tiles, **_of_items(depth, engine, PIXELS)})
    direct = [{"winograd": NO_WINOGRAD, **knobs} for knobs in summed if len(knobs) < MOST_TOGETHER]
    return sorted([*products, *filtered, *direct], key=len)


def _of_items(depth: int, engine: Engine, order: str = PANELS) -> Axes:
    """Work-groups, what is side by side in them, vectors, and steps that are unrolled.

    order: what the rule takes where nobody chose."""
    usual = usual_group(engine)
    sizes = [usual * 4, usual // 2, usual * 2, 1, usual * 8]
    return {
        "order": [way for way in ORDER if way != order],
        "group": [n for n in dict.fromkeys(sizes) if 1 <= n <= engine.work_group and n != usual],
        "lanes": [n for n in sorted(LANES, reverse=True) if engine.lanes in (n // 2, n * 2)],
        "steps": [n for n in STEPS[1:] if depth >= LEAST_DEPTH and depth % n == 0],
    }


def _of_local(depth: int, engine: Engine) -> Axes:
    """Steps whose shared operand goes through local memory, which a CPU has no use for."""
    able = () if engine.is_cpu or depth < LEAST_DEPTH else STAGED[1:]
    return {"local": [n for n in able if depth % n == 0]}


def _tiles(tiles: Sequence[Tile], default: Tile, work: Conv2d | Matmul, cpu: Cpu) -> list[str]:
    able = [t for t in tiles if t != default and fits(t, work, cpu)]
    return [f"{t.pixels}x{t.channels}" for t in able[:MOST_TILES]]


def _combined(axes: Axes) -> list[Knobs]:
    """{} and all choices of up to `MOST_TOGETHER` knobs, fewest first; of as many those first whose
    values come first in their axes, so that a short search tries each knob."""
    ranked = {name: list(enumerate(values)) for name, values in axes.items() if values}
    made: list[tuple[int, int, Knobs]] = []
    for count in range(MOST_TOGETHER + 1):
        for names in combinations(ranked, count):
            for row in product(*(ranked[name] for name in names)):
                knobs = {name: value for name, (_, value) in zip(names, row, strict=True)}
                made.append((count, sum(rank for rank, _ in row), knobs))
    return [knobs for *_, knobs in sorted(made, key=lambda each: each[:2])]
