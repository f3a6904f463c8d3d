"""Sums in registers that begin with their first product, not with a zero."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import tvm_ffi
from tvm import tirx
from tvm.ir import Call, IRModule
from tvm.ir.expr import TensorLoad

from dlcc.targets.cpu.schedule.inline import nodes
from dlcc.targets.hexagon.intrin import ACCUMULATING, LANES

Place = tuple[tirx.Var, int]  # a buffer, first element


def start_with_products(mod: IRModule) -> IRModule:
    """Leave out the zero that a sum starts with where its first product follows.

    A zero takes a copy of a register, which LLVM makes early, and so a register for long. For
    kernels behind UnrollLoop; sums that go on in a loop keep their zero.

    Before:  c[0:32] = 0; …; c[0:32] = vrmpybusv.acc(c[0:32], x, w)
    After:   …; c[0:32] = vrmpybusv(x, w)
    """
    return IRModule({v: f.with_body(_rewritten(f.body)) for v, f in mod.functions.items()})


def _rewritten(node: Any) -> Any:
    return tvm_ffi.structural_mutate(node, [((tirx.SeqStmt,), _started)])


def _started(sequence: Any, mutator: Any) -> tirx.Stmt:
    made = mutator.default_mutate(sequence)
    stmts: list[Any] = list(made.seq) if isinstance(made, tirx.SeqStmt) else [made]
    zeros: dict[Place, int] = {}  # that nothing has read yet -> number of its statement
    gone: set[int] = set()
    for i, stmt in enumerate(stmts):
        if not isinstance(stmt, tirx.BufferStore | tirx.Bind):
            zeros.clear()
            continue
        place = _place(stmt.buffer, stmt.indices) if isinstance(stmt, tirx.BufferStore) else None
        if place in zeros and (first := _first_product(stmt, place)) is not None:
            gone.add(zeros.pop(place))
            stmts[i] = first
            continue
        _forget(zeros, stmt)
        if place is not None and _is_zero(stmt.value):
            zeros[place] = i
    if not gone:
        return made
    return tirx.SeqStmt([s for i, s in enumerate(stmts) if i not in gone])


def _place(buffer: Any, indices: Any) -> Place | None:
    """Where 32 neighbours of a buffer in registers begin."""
    if str(buffer.scope()) != "local" or len(indices) != 1:
        return None
    (at,) = indices
    if not isinstance(at, tirx.Ramp) or int(at.lanes) != LANES:
        return None
    if not isinstance(at.base, tirx.IntImm) or int(at.base) % LANES or int(at.stride) != 1:
        return None
    return buffer, int(at.base)


def _is_zero(value: Any) -> bool:
    splat = isinstance(value, tirx.Broadcast) and isinstance(value.value, tirx.IntImm)
    return splat and int(value.value) == 0


def _first_product(store: Any, place: Place) -> tirx.Stmt | None:
    """The store of a product alone for one that adds it to what is there."""
    call = store.value
    if not isinstance(call, Call) or not call.args:
        return None
    number, *args = call.args
    alone = _alone().get(int(number)) if isinstance(number, tirx.IntImm) else None
    if alone is None or not isinstance(args[0], TensorLoad):
        return None
    if _place(args[0].source, args[0].indices) != place or _reads(args[1:], place[0]):
        return None
    value = tirx.call_llvm_pure_intrin(str(call.ty.dtype), alone, *args[1:])
    return tirx.BufferStore(store.buffer, value, store.indices)


@cache
def _alone() -> dict[int, str]:
    """LLVM's number of an instruction that accumulates -> the name of that which does not."""
    return {
        int(tirx.call_llvm_pure_intrin("int32x32", name).args[0]): name.replace(".acc.", ".")
        for name in ACCUMULATING
    }


def _reads(values: Sequence[Any], buffer: tirx.Var) -> bool:
    return any(source.same_as(buffer) for v in values for source in _sources(v))


def _sources(value: Any) -> list[Any]:
    return [n.source for n in nodes(value) if isinstance(n, TensorLoad)]


def _forget(zeros: dict[Place, int], stmt: Any) -> None:
    """Drop what the statement reads, or writes over."""
    read = _sources(stmt.value)
    written = None
    if isinstance(stmt, tirx.BufferStore):
        written = _place(stmt.buffer, stmt.indices)
        read += [stmt.buffer] if written is None else []
    for place in list(zeros):
        if place == written or any(place[0].same_as(source) for source in read):
            del zeros[place]
