"""Vectors of int32 that are clipped to bytes: instructions that saturate do both at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import ir, tirx
from tvm.ir import IRModule
from tvm.ir.expr import TensorLoad

from dlcc.targets.hexagon.intrin import LANES, TAPS, VECTOR

BOUNDS = {"uint8": (0, 255), "int8": (-128, 127)}
_TO_BYTES = {"uint8": "vpackhub.sat", "int8": "vpackhb.sat"}
MOST_SHIFT = 15  # the instruction takes four bits of it
_BINARY = (tirx.Add, tirx.Sub, tirx.Mul, tirx.Max, tirx.Min, tirx.RShift)
Quarters = list[ir.Expr]


def saturate(mod: IRModule) -> IRModule:
    """Clipped int32 -> bytes by narrowing instructions that saturate, 128 results at a time.

    LLVM 22 makes a minimum, a maximum and a truncation of each of the four vectors. For kernels
    behind VectorizeLoop. What lies within int16 is clipped to bytes as int32 is, so the first
    step may saturate, too, and shift on its way: bit for bit the same.

    Before:  cast("uint8x128", max(min(sums[0:128] >> 9, 255), 0))
    After:   deal(packhub_sat(asrwhsat(sums[96:128], sums[32:64], 9), asrwhsat(…, 9)))
    """
    return IRModule({v: f.with_body(_rewritten(f.body)) for v, f in mod.functions.items()})


def _rewritten(node: Any) -> Any:
    return tvm_ffi.structural_mutate(node, [((tirx.Cast,), _narrowed)])


def _narrowed(cast: Any, mutator: Any) -> ir.Expr:
    made = _bytes_of(cast)
    return mutator.default_mutate(cast) if made is None else made


def _bytes_of(cast: tirx.Cast) -> ir.Expr | None:
    """The same by instructions; None for what is not clipped so, or cannot be cut in four."""
    dtype = str(cast.ty.dtype).removesuffix(f"x{VECTOR}")
    if f"{dtype}x{VECTOR}" != str(cast.ty.dtype) or dtype not in BOUNDS:
        return None
    if str(cast.value.ty.dtype) != f"int32x{VECTOR}":
        return None
    clip = _clip(cast.value)
    least, most = BOUNDS[dtype]
    if clip is None or not least <= clip.low <= clip.high <= most:
        return None
    shift = _shift(clip.value)
    quarters = _quarters(clip.value if shift is None else clip.value.a)
    if quarters is None:
        return None
    narrow = tirx.reinterpret(str(cast.ty.dtype), _packed(quarters, shift, dtype))
    if clip.low > least:
        narrow = tirx.Max(narrow, tirx.Broadcast(tirx.const(clip.low, dtype), VECTOR))
    if clip.high < most:
        narrow = tirx.Min(narrow, tirx.Broadcast(tirx.const(clip.high, dtype), VECTOR))
    return narrow


@dataclass(frozen=True, slots=True)
class _Clip:
    value: Any
    low: int
    high: int


def _clip(value: Any) -> _Clip | None:
    """A maximum of a minimum with numbers, or the other way round."""
    low = high = None
    for _ in range(2):
        if not isinstance(value, tirx.Max | tirx.Min) or (bound := _number(value.b)) is None:
            return None
        if isinstance(value, tirx.Max):
            low = bound if low is None else low
        else:
            high = bound if high is None else high
        value = value.a
    return None if low is None or high is None else _Clip(value, low, high)


def _number(node: Any) -> int | None:
    """The number that all lanes are."""
    if isinstance(node, tirx.Broadcast) and isinstance(node.value, tirx.IntImm):
        return int(node.value.value)
    return None


def _shift(value: Any) -> int | None:
    """By how much `value` is shifted to the right, where the instruction can do that."""
    if not isinstance(value, tirx.RShift):
        return None
    by = _number(value.b)
    return by if by is not None and 0 <= by <= MOST_SHIFT else None


def _packed(quarters: Quarters, shift: int | None, dtype: str) -> ir.Expr:
    a, b, c, d = quarters
    if shift is None:
        halves = [_call("vpackwh.sat", high, low) for high, low in ((b, a), (d, c))]
        return _call(_TO_BYTES[dtype], halves[1], halves[0])
    # the shift leaves what it narrows side by side, lane by lane: a and c, b and d
    by = tirx.const(shift, "int32")
    pairs = [_call("vasrwhsat", high, low, by) for high, low in ((c, a), (d, b))]
    return _call("vdealb", _call(_TO_BYTES[dtype], pairs[1], pairs[0]))


def _quarters(value: Any) -> Quarters | None:
    """An expression of 128 lanes as four of 32; None for a node that is not known here."""
    if isinstance(value, tirx.Broadcast):
        return [tirx.Broadcast(value.value, LANES)] * TAPS
    if isinstance(value, TensorLoad):
        return _loads(value)
    if isinstance(value, _BINARY):
        parts = [_quarters(value.a), _quarters(value.b)]
        if parts[0] is None or parts[1] is None:
            return None
        return [type(value)(a, b) for a, b in zip(*parts, strict=True)]
    return None


def _loads(load: Any) -> Quarters | None:
    *outer, last = load.indices
    if not isinstance(last, tirx.Ramp) or str(load.ty.dtype) != f"int32x{VECTOR}":
        return None
    if int(last.stride) != 1:
        return None
    starts = [last.base + tirx.const(LANES * i, last.base.ty.dtype) for i in range(TAPS)]
    return [load.source[(*outer, tirx.Ramp(at, 1, LANES))] for at in starts]


def _call(name: str, *args: ir.Expr) -> ir.Expr:
    return tirx.call_llvm_pure_intrin("int32x32", f"llvm.hexagon.V6.{name}.128B", *args)
