"""Relax operators -> calls of kernels: what multiplies 8-bit integers gets kernels for vrmpy."""

from __future__ import annotations

import logging
from collections.abc import Callable

import tvm
from tvm import relax
from tvm.ir import IRModule, Op
from tvm.relax.expr_functor import PyExprMutator, mutator

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.fold import fold_layouts
from dlcc.targets.cpu.layout import to_nhwc
from dlcc.targets.cpu.legalize import relu
from dlcc.targets.errors import DlccError
from dlcc.targets.hexagon.conv2d import conv2d
from dlcc.targets.hexagon.dense import dense
from dlcc.targets.hexagon.operands import Lookup
from dlcc.targets.rewriting import rewritten
from dlcc.targets.tuned import UNTUNED, Tuned

log = logging.getLogger("dlcc")

Legalizer = Callable[[relax.BlockBuilder, relax.Call, Lookup, Tuned], relax.Expr | str]

# One that declines says why, and leaves the call to TVM's own kernel.
OURS: dict[str, Legalizer] = {
    "relax.nn.conv2d": conv2d,
    "relax.matmul": dense,
}


def legalize(
    mod: IRModule, _chip: Chip, target: tvm.target.Target, tuned: Tuned = UNTUNED
) -> IRModule:
    """Replace every operator by a call of a kernel.

    Before:  y = nn.conv2d(astype(x, "int32"), const[1, 1, 64, 64])   x uint8, the constant int32
    After:   y = call_tir(conv2d8_1x1, x, const[2, 1, 1, 16, 32, 4])  the constant uint8
    """
    mod = fold_layouts(to_nhwc(mod))
    passes = [
        # before legalization, which has no kernels for scans, and none for sorting
        relax.backend.DispatchSampling(),
        relax.backend.DispatchSortScan(),
        relax.transform.DeadCodeElimination(["main"]),  # casts and constants left over
        relax.transform.LegalizeOps({"relax.nn.relu": relu}),  # TensorFlow's, which keeps NaN
    ]
    with target:
        return tvm.transform.Sequential(passes)(multiply_bytes(mod, tuned))


def multiply_bytes(mod: IRModule, tuned: Tuned = UNTUNED) -> IRModule:
    """Products of 8-bit integers with int32 sums -> calls of kernels made for them.

    Raises UsageError for a record with knobs that its kernel cannot have."""
    found = _Multiplier(mod, tuned)
    return rewritten(mod, found, found.refused)


@mutator
class _Multiplier(PyExprMutator):  # type: ignore[misc]
    def __init__(self, mod: IRModule, tuned: Tuned) -> None:
        super().__init__(mod)
        self._tuned = tuned
        self.refused: list[DlccError] = []  # TVM makes others of them on their way out

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        if not isinstance(call.op, Op) or call.op.name not in OURS:
            return call
        try:
            made = OURS[call.op.name](self.builder_, call, self.lookup_binding, self._tuned)
        except DlccError as error:
            self.refused.append(error)
            raise
        if isinstance(made, str):
            log.debug("%s stays the general kernel: %s", call.op.name, made)
            return call
        return made
