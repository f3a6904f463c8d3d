"""Everything else: every stage of a kernel by itself, in parallel over its outer loops and
vectorised over the innermost dimension of its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tvm import tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.matmul import static
from dlcc.targets.cpu.schedule.inline import inline, nodes
from dlcc.targets.cpu.schedule.loops import (
    PARALLEL_ELEMENTS,
    REDUCTION,
    SPATIAL,
    Declined,
    blocks,
    extent,
    extents,
    vectorize_last,
)
from dlcc.targets.cpu.tiles import Cpu, largest_vector

Machine = TypeVar("Machine")

SQUARE = 16  # elements along a side of what is transposed at once: a cache line of float32
VECTORS = 4  # unrolled, so that a reduction has independent sums


def stages(s: Schedule, cpu: Cpu) -> None:
    """Schedule a kernel of simple stages.

    Raises Declined for kernels with other control flow, which are left as they are."""
    each_stage(s, cpu, _injective, _reduction)


def each_stage(
    s: Schedule,
    machine: Machine,
    of_map: Callable[[Schedule, SBlockRV, Machine], None],
    of_reduction: Callable[[Schedule, SBlockRV, Machine], None],
) -> None:
    """Inline what can be, and schedule each stage that is left by what it is; raises Declined."""
    for block in blocks(s):
        check_simple(s, block)
    inline_maps(s)
    for block in blocks(s):
        (of_reduction if axes(s, block)[1] else of_map)(s, block, machine)


def check_simple(s: Schedule, block: SBlockRV) -> None:
    stmt = s.get(block)
    name = stmt.name_hint
    if not isinstance(stmt.body, tirx.BufferStore):
        raise Declined(f"stage {name} is more than one store")
    kinds = [int(v.iter_type) for v in stmt.iter_vars]
    if not kinds or set(kinds) - {SPATIAL, REDUCTION}:
        raise Declined(f"stage {name} is neither a map nor a reduction")
    if len(s.get_loops(block)) != len(kinds):
        raise Declined(f"stage {name} has loops that are not its axes")


def inline_maps(s: Schedule) -> None:
    """Inline maps into what reads them; one that a reduction and another stage read stays."""
    for block in blocks(s)[:-1]:
        if axes(s, block)[1]:
            continue
        readers = s.get_consumers(block)
        if len(readers) > 1 and any(axes(s, r)[1] for r in readers):
            continue
        if readers:
            inline(s, block)


def axes(s: Schedule, block: SBlockRV) -> tuple[list[LoopRV], list[LoopRV]]:
    """Loops of a block over its result, and loops of its reduction."""
    pairs = list(zip(s.get_loops(block), s.get(block).iter_vars, strict=True))
    spatial = [loop for loop, v in pairs if int(v.iter_type) == SPATIAL]
    return spatial, [loop for loop, v in pairs if int(v.iter_type) != SPATIAL]


def _injective(s: Schedule, block: SBlockRV, cpu: Cpu) -> None:
    loops = s.get_loops(block)
    worth = _worth(s, loops)
    if (row := _transposed(s, block)) is not None:
        _by_squares(s, block, row, cpu, worth)
        return
    *outer, last = loops
    width = largest_vector(extent(s, last) or 1, cpu.lanes)
    if width >= min(4, cpu.lanes) and not _stores_bfloat16(s, block):
        outer_last, lane = s.split(last, [None, width])
        outer.append(outer_last)
        s.vectorize(lane)
    # else LLVM makes vectors of the plain loop, with a remainder, better than predicates do
    if outer and worth:
        s.parallel(s.fuse(*outer) if len(outer) > 1 else outer[0])


def _transposed(s: Schedule, block: SBlockRV) -> int | None:
    """Axis of the result that is the last of an operand, where that is not the last of both.

    None where no operand is read so, and where either axis is shorter than a cache line."""
    stmt = s.get(block)
    *rows, last = stmt.iter_vars
    reads = [
        n.indices[-1] for n in nodes(stmt.body.value) if isinstance(n, TensorLoad) and n.indices
    ]
    for axis, row in enumerate(rows):
        large = all((static(v.dom.extent) or 0) >= SQUARE for v in (row, last))
        if large and any(index.same_as(row.var) for index in reads):
            return axis
    return None


def _by_squares(s: Schedule, block: SBlockRV, row: int, cpu: Cpu, worth: bool) -> None:
    """Loops over squares of the result, so that the lines that are read are used whole."""
    *outer, last = s.get_loops(block)
    outer[row], row_inner = s.split(outer[row], [None, _side(extent(s, outer[row]) or 1)])
    last_outer, last_inner = s.split(last, [None, _side(extent(s, last) or 1)])
    s.reorder(*outer, last_outer, row_inner, last_inner)
    if not _stores_bfloat16(s, block):
        vectorize_last(s, block, cpu.lanes)
    if worth:
        s.parallel(s.fuse(*outer, last_outer))


def _side(size: int) -> int:
    """Of a square: near a cache line, and without a remainder where that can be."""
    return max((d for d in range(SQUARE // 2, SQUARE + 1) if size % d == 0), default=SQUARE)


def _stores_bfloat16(s: Schedule, block: SBlockRV) -> bool:
    """TVM makes a vector of one bfloat16 value, and cannot store it among the 16 bits it keeps."""
    return any(str(w.source.dtype) == "bfloat16" for w in s.get(block).writes)


def _reduction(s: Schedule, block: SBlockRV, cpu: Cpu) -> None:
    spatial, reduced = axes(s, block)
    worth = _worth(s, [*spatial, *reduced])
    if _along_rows(s, block) and _by_partial_sums(s, block, cpu, worth):
        return
    if not spatial:
        return
    *outer, last = spatial
    size = extent(s, last) or 1
    width = largest_vector(size, cpu.lanes)
    inner: list[LoopRV] = []
    if width >= min(4, cpu.lanes):
        vectors = max(v for v in range(1, VECTORS + 1) if size % (v * width) == 0)
        last, *inner = s.split(last, [None, vectors, width])
    s.reorder(*outer, last, *reduced, *inner)
    outer.append(last)
    if inner:
        s.unroll(inner[0])
        s.vectorize(inner[1])
    if worth:
        s.parallel(s.fuse(*outer) if len(outer) > 1 else outer[0])
    init = s.decompose_reduction(block, reduced[0])
    if inner:
        *_, init_vectors, init_lane = s.get_loops(init)
        s.unroll(init_vectors)
        s.vectorize(init_lane)


def _along_rows(s: Schedule, block: SBlockRV) -> bool:
    """Whether a block sums, or compares, the float32 numbers along the last axis of what it reads,
    for each of several results."""
    stmt = s.get(block)
    value, last = stmt.body.value, stmt.iter_vars[-1]
    if int(last.iter_type) != REDUCTION or str(stmt.body.buffer.dtype) != "float32":
        return False
    loads = [n for n in nodes(value) if isinstance(n, TensorLoad) and n.indices]
    read = [n for n in loads if not n.source.same_as(stmt.body.buffer)]
    spatial = any(int(v.iter_type) == SPATIAL for v in stmt.iter_vars)
    along = bool(read) and all(n.indices[-1].same_as(last.var) for n in read)
    return spatial and along and isinstance(value, tirx.Add | tirx.Max | tirx.Min)


def _by_partial_sums(s: Schedule, block: SBlockRV, cpu: Cpu, worth: bool) -> bool:
    """Reduce a row by vectors, each lane by itself, and the lanes at last.

    Before:  for rows: for k: sum += x[k]
    After:   for rows: for k / 32: for 4 x 8 lanes: partial[lane] += x[k]; for lanes: sum += partial

    False where the last axis is no whole number of vectors."""
    spatial, reduced = axes(s, block)
    size = extent(s, reduced[-1]) or 1
    if size % cpu.lanes:
        return False
    vectors = max(v for v in range(1, VECTORS + 1) if size % (v * cpu.lanes) == 0)
    _, lanes = s.split(reduced[-1], [None, vectors * cpu.lanes])
    partial = s.rfactor(lanes, len(spatial))
    rows = s.fuse(*s.get_loops(block)[: len(spatial)])
    s.compute_at(partial, rows, preserve_unit_loops=True)
    if worth:
        s.parallel(rows)
    kinds = [int(v.iter_type) for v in s.get(partial).iter_vars]
    inner = s.get_loops(partial)[-len(kinds) :]  # the lanes first
    terms = [loop for loop, kind in zip(inner, kinds, strict=True) if kind == REDUCTION]
    s.reorder(*terms, inner[0])
    unrolled, lane = s.split(inner[0], [None, cpu.lanes])
    s.unroll(unrolled)
    s.vectorize(lane)
    init = s.decompose_reduction(partial, terms[0])
    *_, init_vectors, init_lane = s.get_loops(init)
    s.unroll(init_vectors)
    s.vectorize(init_lane)
    return True


def _worth(s: Schedule, loops: list[LoopRV]) -> bool:
    """Whether a parallel region pays; unknown extents are taken to be large."""
    unknown = any(extent(s, loop) is None for loop in loops)
    return unknown or extents(s, loops) >= PARALLEL_ELEMENTS
