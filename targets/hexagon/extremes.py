"""Maxima and minima of floats that keep a NaN, as TensorFlow does."""

from __future__ import annotations

import math
from typing import Any

import tvm_ffi
from tvm import ir, tirx
from tvm.ir import IRModule

# LLVM (22) makes sfmax of every comparison that selects one of its operands, and sfmax gives the
# other operand where one is a NaN. As an intrinsic LLVM takes it as it is.
INTRINSICS = {tirx.Max: "llvm.hexagon.F2.sfmax", tirx.Min: "llvm.hexagon.F2.sfmin"}
EXTREMES = tuple(INTRINSICS)
SIGN, INFINITY = 0x8000_0000, 0x7F80_0000  # bits of float32


def keep_nan(mod: IRModule) -> IRModule:
    """Scalar float32 maxima and minima -> the same, NaN where an operand is.

    For kernels behind every simplification, which would take x == x for true. An operand is
    written several times: LLVM computes it once. (TVM cannot bind variables within the values
    of others.)

    Before:  min(6, max(-1, x))
    After:   select(x == x, sfmin(6, sfmax(-1, x)), x)
    """
    return IRModule({v: f.with_body(_rewritten(f.body)) for v, f in mod.functions.items()})


def _rewritten(node: Any) -> Any:
    return tvm_ffi.structural_mutate(node, [(EXTREMES, _kept)])


def _kept(extreme: Any, mutator: Any) -> ir.Expr:
    if str(extreme.ty.dtype) != "float32":  # vectors: what HVX makes of a NaN, no emulator shows
        return mutator.default_mutate(extreme)
    bounds: list[tuple[type, ir.Expr]] = []
    inner = extreme
    while (found := _bound(inner)) is not None:
        bounds.append((type(inner), found[0]))
        inner = found[1]
    if not bounds:
        return _larger(type(extreme), mutator.mutate(extreme.a), mutator.mutate(extreme.b))
    x = mutator.mutate(inner)
    if len(bounds) == 1 and bounds[0][0] is tirx.Max and bounds[0][1].value == 0:
        return _positive(x)
    value = x
    for kind, constant in reversed(bounds):
        value = _call(kind, constant, value)
    return tirx.Select(tirx.EQ(x, x), value, x)  # TVM's != is false for a NaN


def _bound(node: Any) -> tuple[Any, Any] | None:
    """(constant, other operand) of an extreme of which one is a number."""
    if isinstance(node, EXTREMES):
        for constant, other in ((node.a, node.b), (node.b, node.a)):
            if isinstance(constant, tirx.FloatImm) and not math.isnan(constant.value):
                return constant, other
    return None


def _larger(kind: type, a: ir.Expr, b: ir.Expr) -> ir.Expr:
    both = tirx.And(tirx.EQ(a, a), tirx.EQ(b, b))  # one instruction, sfcmp.uo
    return tirx.Select(both, _call(kind, a, b), a + b)


def _call(kind: type, a: ir.Expr, b: ir.Expr) -> ir.Expr:
    return tirx.call_llvm_pure_intrin("float32", INTRINSICS[kind], a, b)


def _positive(x: ir.Expr) -> ir.Expr:
    """max(0, x): 0 for the bits from those of -0 to those of -infinity; a NaN's are above."""
    above = tirx.reinterpret("uint32", x) - tirx.const(SIGN, "uint32")
    return tirx.Select(above <= tirx.const(INFINITY, "uint32"), tirx.const(0, "float32"), x)
