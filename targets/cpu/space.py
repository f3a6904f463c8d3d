"""The choices of knobs that tuning tries for a kernel made for tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.matmul import row_tile
from dlcc.targets.cpu.plan import (
    DEPTHWISE_PAD,
    NO_WINOGRAD,
    ORDER,
    PAD,
    PARALLEL,
    PRODUCT_ORDER,
    SHARES,
    fits,
)
from dlcc.targets.cpu.schedule.conv2d import panels_outside_rows
from dlcc.targets.cpu.schedule.loops import PARALLEL_FLOPS
from dlcc.targets.cpu.schedule.matmul import product_order
from dlcc.targets.cpu.tiles import (
    FLOAT_BYTES,
    Cpu,
    Tile,
    Window,
    balanced,
    depthwise_tile,
    depthwise_tiles,
    inlines_padding,
    matmul_tile,
    matmul_tiles,
    pixels_outside_channels,
)
from dlcc.targets.cpu.winograd import product_tile, winograd_for, winograd_ways
from dlcc.targets.tuned import Knobs
from dlcc.targets.workload import Conv2d, Matmul, parse

MOST_TILES = 8
MOST_ROWS = 16
MOST_WAYS = 4  # of Winograd's filtering
NEAR_THRESHOLD = 4  # a kernel of so many times the work that pays for threads may not be worth it

Axes = Mapping[str, Sequence[int | str]]


def space(workload: str, chip: Chip) -> list[Knobs]:
    """The choices for a workload: {}, which leaves all to the cost model, then those with one knob
    set, those with two, and so on; of each the likelier first. Raises UsageError for a text that
    is no workload."""
    work, cpu = parse(workload), Cpu.of(chip)
    if isinstance(work, Conv2d) and work.depthwise:
        tiles = depthwise_tiles(work.ow, work.oc, cpu)
        high, wide = work.p[0] + work.h + work.p[2], work.p[1] + work.w + work.p[3]
        shape, window = (work.oh, work.ow, work.oc), Window(*work.k, work.s)
        default = depthwise_tile(shape, window, (high, wide) if work.padded else None, cpu)
        padded, results = high * wide * work.c, work.oh * work.ow * work.oc
        usual = "inline" if inlines_padding(work.n * padded, work.n * results, cpu) else "block"
        axes = _by_rows(work, [pad for pad in DEPTHWISE_PAD if pad != usual])
        first = pixels_outside_channels(work.oc, cpu)
        order = [name for name in ORDER if (name == "pixels") != first]
        return _combined({"tile": _tiles(tiles, default, work, cpu), "order": order, **axes})
    if isinstance(work, Conv2d) and not work.pointwise:
        return _of_filtering(work, cpu) if work.weights == "packed" else _of_windows(work, cpu)
    rows, depth, columns = (
        (work.m, work.k, work.n)
        if isinstance(work, Matmul)
        else (work.n * work.oh * work.ow, work.c, work.oc)
    )
    return _of_products(work, rows, depth, columns, cpu)


def _of_filtering(work: Conv2d, cpu: Cpu) -> list[Knobs]:
    """Choices for a convolution that Winograd's filtering may compute, and for its sum."""
    default = winograd_for(work, cpu, {})
    ways = [way for way in winograd_ways(work, cpu) if way != default][:MOST_WAYS]
    if default is None:
        return sorted([*_of_windows(work, cpu), *({"winograd": str(w)} for w in ways)], key=len)
    tile = product_tile(work, default, cpu)
    tiles = matmul_tiles(default.rows * -(-work.ow // default.size), work.oc, cpu)
    filtered = _combined({"winograd": list(map(str, ways)), "tile": _tiles(tiles, tile, work, cpu)})
    summed = [{"winograd": NO_WINOGRAD, **knobs} for knobs in _of_windows(work, cpu)]
    return sorted([*filtered, *summed], key=len)


def _of_windows(work: Conv2d, cpu: Cpu) -> list[Knobs]:
    channels = work.oc // work.g
    default = matmul_tile(work.ow, channels, cpu)
    tiles = _tiles(matmul_tiles(work.ow, channels, cpu), default, work, cpu)
    weight_bytes = work.k[0] * work.k[1] * channels * work.c * FLOAT_BYTES
    panels = panels_outside_rows(weight_bytes, -(-work.oc // default.channels), cpu)
    by_order: dict[str, Axes] = {
        "panels": {"tile": tiles},
        "pixels": {"tile": tiles, **_by_rows(work, PAD[1:])},
    }
    first, other = ORDER if panels else ORDER[::-1]
    further = [{"order": other, **knobs} for knobs in _combined(by_order[other])]
    return sorted([*_combined(by_order[first]), *further], key=len)


def _of_products(
    work: Conv2d | Matmul, rows: int, depth: int, columns: int, cpu: Cpu
) -> list[Knobs]:
    default = row_tile(rows, columns, cpu)
    flops = 2 * rows * depth * columns
    order = product_order(rows, columns, depth, default, cpu)
    tiles = -(-rows // default.pixels)
    outer = {"panels": -(-columns // default.channels), "pixels": tiles, SHARES: cpu.threads}[order]
    whole = "outer" if balanced(outer, cpu.threads) else "fused"
    usual = whole if flops >= PARALLEL_FLOPS else "none"
    ways = [way for way in PARALLEL if way != usual and cpu.threads > 1]
    if flops > NEAR_THRESHOLD * PARALLEL_FLOPS:
        ways = [way for way in ways if way != "none"]
    orders = PRODUCT_ORDER if tiles >= cpu.threads > 1 else ORDER
    return _combined(
        {
            "tile": _tiles(matmul_tiles(rows, columns, cpu), default, work, cpu),
            "order": [o for o in orders if o != order],
            "parallel": ways,
        }
    )


def _by_rows(work: Conv2d, pads: Sequence[str]) -> Axes:
    """Rows of a block, and where it is padded."""
    rows = [r for r in range(1, min(work.oh, MOST_ROWS) + 1) if work.oh % r == 0]
    return {"rows": rows, "pad": pads if work.padded else ()}


def _tiles(tiles: Sequence[Tile], default: Tile, work: Conv2d | Matmul, cpu: Cpu) -> list[str]:
    able = [t for t in tiles if t != default and fits(t, work, cpu)]
    return [f"{t.pixels}x{t.channels}" for t in able[:MOST_TILES]]


def _combined(axes: Axes) -> list[Knobs]:
    rows = product(*([None, *values] for values in axes.values()))
    made = [
        {name: value for name, value in zip(axes, row, strict=True) if value is not None}
        for row in rows
    ]
    return sorted(made, key=len)
