"""What every rule needs: extents, vectors, and the blocks of a kernel made for tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.plan import PADDED, RULE, STAGE, TILE
from dlcc.targets.cpu.schedule.inline import inline, nodes
from dlcc.targets.cpu.tiles import MOST_PIXELS, STEPS, Cpu, Tile, largest_vector
from dlcc.targets.tuned import KNOBS, Knobs

Rule = Callable[[Schedule, Cpu], None]

# A parallel region costs about as much as this many multiply-adds or moved elements: 0.8 us to
# fork and join two threads, measured on an idle x86 server.
PARALLEL_FLOPS = 400_000
PARALLEL_ELEMENTS = 40_000


SPATIAL, REDUCTION = 0, 2  # tirx.IterVar.iter_type


class Declined(Exception):
    """A rule does not apply to a kernel; the reason is for people."""


@dataclass(frozen=True, slots=True)
class TiledKernel:
    """Blocks of a kernel made for tiles.

    anchor: the reduction. epilogue: what is done with its results, one block.
    pad: the padded input, or None. knobs: what tuning chose, see `plan`."""

    anchor: SBlockRV
    epilogue: SBlockRV
    pad: SBlockRV | None
    tile: Tile
    knobs: Knobs


def extent(s: Schedule, loop: LoopRV) -> int | None:
    """Extent of a loop; None where it is symbolic."""
    value = s.get(loop).extent
    return int(value) if isinstance(value, int | tirx.IntImm) else None


def extents(s: Schedule, loops: Sequence[LoopRV]) -> int:
    """Product of the extents; a symbolic one counts as 1."""
    return math.prod(extent(s, loop) or 1 for loop in loops)


def blocks(s: Schedule) -> list[SBlockRV]:
    """The blocks of a kernel, first to last."""
    return list(s.get_child_blocks(s.get_sblock("root")))


def tiled_kernel(s: Schedule, rule: str) -> TiledKernel:
    """Find the blocks of a kernel made for `rule`, and inline all others.

    The tile's sums keep the scope "global": on CPUs TVM puts a buffer of up to 1 KiB on the stack,
    where LLVM makes registers of it, in that scope alone; for "local" it calls an allocator.
    Raises Declined if the kernel was made for another rule or for none."""
    found = blocks(s)
    at = [i for i, b in enumerate(found) if str(s.get(b).annotations.get(RULE, "")) == rule]
    if len(at) != 1:
        raise Declined(f"not a kernel made for {rule}")
    anchor = found[at[0]]
    pad = None
    for block in found[: at[0]]:
        if PADDED in s.get(block).annotations:
            pad = block
        elif STAGE not in s.get(block).annotations:
            s.compute_inline(block)
    for block in found[at[0] + 1 : -1]:
        if STAGE not in s.get(block).annotations and not inline(s, block):
            raise Declined("what follows the reduction is too large for one expression")
    pixels, channels = (int(v) for v in s.get(anchor).annotations[TILE])
    knobs = s.get(anchor).annotations.get(KNOBS, {})
    return TiledKernel(anchor, found[-1], pad, Tile(pixels, channels), dict(knobs))


def vectorize_last(s: Schedule, block: SBlockRV, lanes: int, most_unrolled: int = 8) -> None:
    """Vectorise the last loop of a block as far as its extent is a multiple of a power of two."""
    loop = s.get_loops(block)[-1]
    last = s.get(block).iter_vars[-1].dom.extent
    whole = int(last) if isinstance(last, int | tirx.IntImm) else 1
    size = extent(s, loop) or 1
    width = largest_vector(math.gcd(size, whole), lanes)
    if width < 2:
        return
    outer, inner = s.split(loop, [None, width])
    s.vectorize(inner)
    if (extent(s, outer) or most_unrolled + 1) <= most_unrolled:
        s.unroll(outer)


def finish_tile(s: Schedule, epilogue: SBlockRV, at: LoopRV, cpu: Cpu) -> None:
    """What is done with a tile's sums, behind them in the loop `at`: unrolled, vectorised."""
    s.reverse_compute_at(epilogue, at, preserve_unit_loops=True)
    outside = sum(1 for _ in s.get_loops(epilogue)) - len(s.get(epilogue).iter_vars)
    for loop in s.get_loops(epilogue)[outside:-1]:
        if (extent(s, loop) or MOST_PIXELS + 1) <= 2 * MOST_PIXELS:
            s.unroll(loop)
    vectorize_last(s, epilogue, cpu.lanes)


def split_register_tile(
    s: Schedule, pixel: LoopRV, channel: LoopRV, tile: Tile, lanes: int
) -> tuple[LoopRV, LoopRV, list[LoopRV]]:
    """Split two loops by the tile: outer pixel, outer channel, [pixels, vectors, lanes]."""
    pixel_outer, pixel_inner = s.split(pixel, [None, tile.pixels])
    channel_outer, channel_inner = s.split(channel, [None, tile.channels])
    width = largest_vector(tile.channels, lanes)
    vectors, lane = s.split(channel_inner, [None, width])
    return pixel_outer, channel_outer, [pixel_inner, vectors, lane]


def split_steps(
    s: Schedule, anchor: SBlockRV, channels: LoopRV, cpu: Cpu
) -> tuple[LoopRV, list[LoopRV]]:
    """Split the reduction over channels where a register holds the factors of several steps.

    Returns the outer loop, and the inner one for `load_lanes`; none where there is nothing to
    gain: each factor is then broadcast as it is needed."""
    depth = extent(s, channels) or 1
    if not cpu.lane_fma or depth % cpu.lanes or _depends_on_column(s, anchor):
        return channels, []
    outer, inner = s.split(channels, [None, STEPS if depth % STEPS == 0 else cpu.lanes])
    return outer, [inner]


def load_lanes(s: Schedule, anchor: SBlockRV, outer: LoopRV, steps: list[LoopRV], cpu: Cpu) -> None:
    """Read a tile's input of some steps as vectors, before the steps, each unrolled.

    Before:  for k, pixels: sums += x[pixel, k] * w[k]
    After:   for k / 8: for pixels: lanes = x[pixel, k : k + 8]
                        for 8 steps, pixels: sums += lanes[step] * w[k]
    """
    if not steps:
        return
    column = _column(s, anchor)

    def without_column(*i: tirx.Var) -> list[tirx.Var]:
        return [v for n, v in enumerate(i) if n != column]

    axes = tirx.IndexMap.from_func(without_column, ndim=len(s.get(anchor).iter_vars))
    lanes = s.reindex_cache_read(anchor, 0, "global", axes)
    s.compute_at(lanes, outer, preserve_unit_loops=True)
    *_, pixel, channel = s.get_loops(lanes)
    vectors, lane = s.split(channel, [None, cpu.lanes])
    for loop in (pixel, vectors, *steps):
        s.unroll(loop)
    s.vectorize(lane)


def _column(s: Schedule, anchor: SBlockRV) -> int:
    """Which axis of a block is the column of weights: the last that is no reduction."""
    kinds = [int(v.iter_type) for v in s.get(anchor).iter_vars]
    return max(i for i, kind in enumerate(kinds) if kind == SPATIAL)


def _depends_on_column(s: Schedule, anchor: SBlockRV) -> bool:
    """Whether the input that is read depends on the column, as in a convolution of groups."""
    block = s.get(anchor)
    column = block.iter_vars[_column(s, anchor)].var
    return any(n.same_as(column) for r in block.reads[0].region for n in nodes(r.min))


def keep_in_registers(
    s: Schedule, anchor: SBlockRV, inner: list[LoopRV], reduction: LoopRV
) -> None:
    """Unroll the tile's loops, vectorise its lanes, and set its sums to zero before `reduction`.

    inner: the tile's loops, the lanes last."""
    _unrolled_vectors(s, inner)
    init = s.decompose_reduction(anchor, reduction)
    _unrolled_vectors(s, s.get_loops(init)[-len(inner) :])


def _unrolled_vectors(s: Schedule, loops: Sequence[LoopRV]) -> None:
    for loop in loops[:-1]:
        s.unroll(loop)
    s.vectorize(loops[-1])
