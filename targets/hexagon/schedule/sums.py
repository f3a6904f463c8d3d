"""Sums of float32 products on the scalar unit: a tile of them in registers over the reduction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvm import ir, tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.schedule.inline import inline, nodes
from dlcc.targets.cpu.schedule.loops import SPATIAL
from dlcc.targets.cpu.schedule.stages import axes, check_simple
from dlcc.targets.hexagon.schedule.loops import Declined, Hvx, blocks, epilogue_after, extent

# Of 32 registers: the sums; the rest is what a step multiplies, and addresses.
MOST_SUMS = 16
# Where both factors belong to a channel, what a window's positions share is kept too. Measured.
MOST_SUMS_DEPTHWISE = 8
MOST_UNROLLED = 9  # steps of a window: what its positions share is loaded once
STEP_PACKETS = 1.0  # loop control and what no multiplication hides, a step
STRIP = 8  # rows of results whose data get their border at once


def sums(s: Schedule, hvx: Hvx) -> None:
    """for strips of rows: their data with a border; for tiles: rows x channels sums; epilogue.

    A packet takes two multiplications and two loads, so that 4 x 4 sums, which ask for eight
    numbers a step, are bound by multiplications; LLVM by itself keeps one sum, two loads each.
    Raises Declined for kernels without one sum of products, and where HVX has floats."""
    block = _sum_of_products(s, hvx)
    pad = _inline_before(s, block)
    epilogue = _epilogue(s, block)
    if pad is None and _is_matrix(s, block, epilogue):
        _flatten(s, block, epilogue)
    tile = _tile(s, block)
    (*outer, channel), reduced = axes(s, block)
    if pad is not None and len(outer) > 1:
        rows = _divisor(extent(s, outer[-2]) or 1)
        outer[-2:-1] = s.split(outer[-2], [None, rows])
    inner: list[LoopRV] = []
    if outer:
        outer[-1], row = s.split(outer[-1], [None, tile[0]])
        inner.append(row)
    channel, lane = s.split(channel, [None, tile[1]])
    inner.append(lane)
    s.reorder(*outer, channel, *reduced, *inner)
    s.reverse_compute_at(epilogue, channel, preserve_unit_loops=True)
    if pad is not None:
        _pad(s, pad, outer)
    _unroll(s, block, reduced, inner)
    for loop in s.get_loops(epilogue)[-len(inner) :]:
        s.unroll(loop)


def _sum_of_products(s: Schedule, hvx: Hvx) -> SBlockRV:
    if hvx.floats:
        raise Declined("HVX has floats")
    for block in blocks(s):
        check_simple(s, block)
    found = [b for b in blocks(s) if axes(s, b)[1]]
    if len(found) != 1:
        raise Declined(f"{len(found)} of its stages are reductions")
    value = s.get(found[0]).body.value
    if str(s.get(found[0]).writes[0].source.dtype) != "float32":
        raise Declined("its sums are not float32")
    if not isinstance(value, tirx.Add) or not isinstance(value.b, tirx.Mul):
        raise Declined("it is no sum of products")
    if not axes(s, found[0])[0]:
        raise Declined("it is one sum")
    return found[0]


def _inline_before(s: Schedule, block: SBlockRV) -> SBlockRV | None:
    """Inline the maps in front of the sums; a border is kept, which is a choice an element."""
    name, pad = s.get(block).name_hint, None
    for before in blocks(s):
        if s.get(before).name_hint == name:
            break
        readers = [s.get(r).name_hint for r in s.get_consumers(before)]
        if readers == [name] and pad is None and _chooses(s.get(before).body.value):
            pad = before
        elif not inline(s, before):
            raise Declined("what is in front of the sums is too large for one expression")
    return pad


def _chooses(value: ir.Expr) -> bool:
    names = (getattr(getattr(n, "op", None), "name", "") for n in nodes(value))
    return "prim.if_then_else" in names


def _epilogue(s: Schedule, block: SBlockRV) -> SBlockRV:
    """What follows the sums, which lie in registers, as one block."""
    if not s.get_consumers(block):
        return s.cache_write(block, 0, "local")
    s.set_scope(block, 0, "local")
    return epilogue_after(s, block)


def _is_matrix(s: Schedule, block: SBlockRV, epilogue: SBlockRV) -> bool:
    """Whether every place of the data makes one of the results, by weights that all share."""
    stmt = s.get(block)
    shape = [int(d) for d in stmt.writes[0].source.shape]
    leading = [v.var for v in stmt.iter_vars[: len(shape) - 1]]
    product = stmt.body.value.b
    return (
        len(shape) > 2
        and [int(v.dom.extent) for v in s.get(epilogue).iter_vars] == shape
        and any([int(d) for d in r.source.shape[:-1]] == shape[:-1] for r in stmt.reads)
        and any(not _reads(f, leading) for f in (product.a, product.b))
        and all(extent(s, loop) == 1 for loop in axes(s, block)[1][:-1])
    )


def _reads(value: ir.Expr, those: Sequence[tirx.Var]) -> bool:
    return any(isinstance(n, tirx.Var) and any(n.same_as(v) for v in those) for n in nodes(value))


def _flatten(s: Schedule, block: SBlockRV, epilogue: SBlockRV) -> None:
    """Make one of the leading dimensions, of the sums and of what reads them."""
    shape = [int(d) for d in s.get(block).writes[0].source.shape]
    steps = [math.prod(shape[d + 1 : -1]) for d in range(len(shape) - 1)]

    def number(*i: tirx.Var) -> list[object]:
        row = sum(a * b for a, b in zip(i[: len(steps)], steps, strict=True))
        return [row, i[len(steps)], *i[len(shape) :][-1:]]  # no window: it is one position

    counts = [len(s.get(b).iter_vars) for b in (block, epilogue)]
    s.transform_layout(block, ("write", 0), tirx.IndexMap.from_func(number, ndim=len(shape)))
    for stage, ndim in zip((block, epilogue), counts, strict=True):
        s.transform_block_layout(stage, tirx.IndexMap.from_func(number, ndim=ndim))


def _tile(s: Schedule, block: SBlockRV) -> tuple[int, int]:
    """The tile that divides rows x channels results and takes the fewest packets for one."""
    own = [v for v in s.get(block).iter_vars if int(v.iter_type) == SPATIAL]
    rows, channels = [1, *(int(v.dom.extent) for v in own)][-2:]
    product = s.get(block).body.value.b
    depthwise = all(_reads(f, [own[-1].var]) for f in (product.a, product.b))
    most = MOST_SUMS_DEPTHWISE if depthwise else MOST_SUMS
    tiles = [
        (r, c)
        for r in range(1, most + 1)
        for c in range(1, most // r + 1)
        if rows % r == 0 and channels % c == 0
    ]

    def packets(tile: tuple[int, int]) -> float:
        r, c = tile
        return (max(r * c, r + c) / 2 + STEP_PACKETS) / (r * c)

    return min(tiles, key=lambda t: (packets(t), sum(t)))


def _divisor(rows: int) -> int:
    return max(d for d in range(1, STRIP + 1) if rows % d == 0)


def _pad(s: Schedule, pad: SBlockRV, outer: Sequence[LoopRV]) -> None:
    """Copy what a strip reads, two numbers a step: LLVM then copies eight bytes at a time."""
    if len(outer) > 2:
        s.compute_at(pad, outer[-3], preserve_unit_loops=True)
    last = s.get_loops(pad)[-1]
    if (extent(s, last) or 1) % 2 == 0:
        s.unroll(s.split(last, [None, 2])[1])


def _unroll(s: Schedule, block: SBlockRV, reduced: Sequence[LoopRV], inner: list[LoopRV]) -> None:
    """The tile as a whole, with it a small window; the sums begin in front of the reduction."""
    steps = 1
    for loop in reversed(reduced):
        steps *= extent(s, loop) or 1
        if steps > MOST_UNROLLED:
            break
        s.unroll(loop)
    for loop in inner:
        s.unroll(loop)
    init = s.decompose_reduction(block, reduced[0])
    for loop in s.get_loops(init)[-len(inner) :]:
        s.unroll(loop)
