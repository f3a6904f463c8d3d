"""Maxima and minima of floats by one instruction, where a CPU has one that keeps a NaN."""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import ir, tirx

INTRINSICS = {tirx.Max: "llvm.maximum", tirx.Min: "llvm.minimum"}
EXTREMES = tuple(INTRINSICS)


def keep_nan(kernel: tirx.PrimFunc) -> tirx.PrimFunc:
    """Maxima and minima of floats -> LLVM's, which are NaN where an operand is.

    TVM's own become a comparison and a selection, which is two instructions and more of Arm's
    where FMAX and FMIN are one. For scheduled kernels: schedules know reductions by their form.

    Before:  min(max(0, x), 6)
    After:   llvm.minimum(llvm.maximum(0, x), 6)
    """
    return kernel.with_body(tvm_ffi.structural_mutate(kernel.body, [(EXTREMES, _kept)]))


def _kept(extreme: Any, mutator: Any) -> ir.Expr:
    plain = mutator.default_mutate(extreme)
    dtype = str(plain.ty.dtype)
    if dtype not in ("float32", "float64"):
        return plain
    return tirx.call_llvm_pure_intrin(dtype, INTRINSICS[type(extreme)], plain.a, plain.b)
