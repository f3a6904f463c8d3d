"""Maxima and minima of floats as the CPU computes them."""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import ir, s_tir, tirx
from tvm.ir import IRModule

COMPARISONS = {tirx.Max: tirx.GT, tirx.Min: tirx.LT}
EXTREMES = tuple(COMPARISONS)


def compare_extremes(kernel: tirx.PrimFunc) -> tirx.PrimFunc:
    """Maxima and minima of floats -> comparisons, which say what becomes of a NaN.

    OpenCL leaves open what `max` gives for a NaN (OpenCL C 1.2, 6.12.4). LLVM's code for CPUs gives
    the second operand, and operators are written so that it is the one to keep.

    Before:  max(0, x)
    After:   select(0 > x, 0, x)
    """
    # first what work-items reduce together: TVM knows its combiners by their form
    shared = s_tir.transform.LowerCrossThreadReduction()(IRModule({"main": kernel}))["main"]
    body = tvm_ffi.structural_mutate(shared.body, [(EXTREMES, _compared)])
    return shared.with_body(body)


def _compared(extreme: Any, mutator: Any) -> ir.Expr:
    plain = mutator.default_mutate(extreme)
    if not str(plain.ty.dtype).startswith("float"):
        return plain
    a, b = plain.a, plain.b
    return tirx.Select(COMPARISONS[type(extreme)](a, b), a, b)
