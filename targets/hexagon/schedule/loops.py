"""What schedules for HVX share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tvm import ir, tirx
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.schedule.inline import children, inline
from dlcc.targets.cpu.schedule.loops import Declined, blocks, extent
from dlcc.targets.cpu.tiles import largest_vector
from dlcc.targets.hexagon.tiles import RULE

__all__ = ["Declined", "blocks", "extent"]  # of the CPUs' schedules, and as good here

VECTOR_BYTES = 128
LEAST_LANES = 8  # a quarter of a register of int32: still cheaper than eight single results
FLOAT_FROM = 68  # HVX computes float32 from this version on


@dataclass(frozen=True, slots=True)
class Hvx:
    """What schedules know of a DSP. floats: whether it has vectors of float32."""

    floats: bool

    @staticmethod
    def of(chip: Chip) -> Hvx:
        return Hvx(int(str(chip.tvm["mcpu"]).removeprefix("hexagonv")) >= FLOAT_FROM)


Rule = Callable[[Schedule, Hvx], None]


def marked(s: Schedule, rule: str) -> SBlockRV | None:
    """The block that was made with this mark; None if there is none."""
    found = [b for b in blocks(s) if str(s.get(b).annotations.get(RULE, "")) == rule]
    return found[0] if found else None


def epilogue_after(s: Schedule, block: SBlockRV) -> SBlockRV:
    """What is done with the results of `block`, inlined into one block: the last."""
    names = [s.get(b).name_hint for b in blocks(s)]
    at = names.index(s.get(block).name_hint)
    found = blocks(s)
    for between in found[at + 1 : -1]:
        if not inline(s, between):
            raise Declined("what follows the sums is too large for one expression")
    return found[-1]


def lanes_of(s: Schedule, block: SBlockRV, hvx: Hvx) -> int:
    """Lanes that suit a map: those of its narrowest dtype; 1 where HVX cannot compute it."""
    value = s.get(block).body.value
    names = {str(w.source.dtype) for w in s.get(block).writes} | dtypes(value)
    if any("64" in n for n in names):
        return 1
    if any(n.startswith(("float", "bfloat")) for n in names) and not hvx.floats:
        return 1
    lanes = VECTOR_BYTES // min((_bytes(n) for n in names if n != "bool"), default=4)
    # LLVM 22 makes single elements of a load that is only widened, and of a store that is only
    # narrowed, where the other side takes four registers (128 x int32)
    converted = isinstance(value, tirx.Cast) and isinstance(value.value, TensorLoad)
    return min(lanes, 64) if converted else lanes


def dtypes(value: ir.Expr) -> set[str]:
    """dtypes of what an expression computes from the elements of tensors; those of its indices,
    and of conditions on them, are none of them."""
    if isinstance(value, TensorLoad):
        return {str(value.ty.dtype)}
    found = set().union(*(dtypes(c) for c in children(value)))
    return found | {str(value.ty.dtype)} if found else set()


def _bytes(dtype: str) -> int:
    return int("".join(c for c in dtype if c.isdigit()) or 8) // 8


def vectorize_last(s: Schedule, block: SBlockRV, hvx: Hvx, most_unrolled: int = 8) -> None:
    """Vectorise the last loop of a block as far as its extent is a multiple of a power of two."""
    loop = s.get_loops(block)[-1]
    last = s.get(block).iter_vars[-1].dom.extent
    size = extent(s, loop) or 1
    width = largest_vector(math.gcd(size, int(last)), lanes_of(s, block, hvx))
    if width < LEAST_LANES:
        return
    outer, inner = s.split(loop, [None, width])
    s.vectorize(inner)
    if (extent(s, outer) or most_unrolled + 1) <= most_unrolled:
        s.unroll(outer)


def pad_bytes(s: Schedule, pad: SBlockRV) -> None:
    """A copy byte by byte: its last loop unrolled where it is short."""
    *_, last = s.get_loops(pad)
    if (extent(s, last) or 9) <= 8:
        s.unroll(last)


def fused(s: Schedule, loops: list[LoopRV]) -> LoopRV:
    """Loops as one."""
    return s.fuse(*loops) if len(loops) > 1 else loops[0]
