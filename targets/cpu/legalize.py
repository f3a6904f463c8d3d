"""Relax operators -> calls of kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import tvm
from tvm import relax, te, tirx, topi
from tvm.ir import IRModule, Op

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.conv2d import conv2d
from dlcc.targets.cpu.fold import fold_layouts
from dlcc.targets.cpu.layout import to_nhwc
from dlcc.targets.cpu.matmul import matmul
from dlcc.targets.cpu.tiles import Cpu

Legalizer = Callable[[relax.BlockBuilder, relax.Call, Cpu], relax.Expr | None]


def relu(bb: relax.BlockBuilder, call: relax.Call, _cpu: Cpu | None = None) -> relax.Expr:
    """max(0, x): with the constant first a NaN stays, which TVM's max(x, 0) makes 0."""

    def compute(x: te.Tensor) -> te.Tensor:
        zero = tirx.const(0, x.dtype)
        return te.compute(x.shape, lambda *i: tirx.max(zero, x(*i)), "relu", topi.tag.ELEMWISE)

    return bb.call_te(compute, call.args[0], primfunc_name_hint="relu")


# Operators for which TVM's own kernel is slow, or not TensorFlow's; one that declines leaves the
# call to TVM's.
OURS: dict[str, Legalizer] = {
    "relax.nn.conv2d": conv2d,
    "relax.matmul": matmul,
    "relax.nn.relu": relu,
}


def legalize(mod: IRModule, chip: Chip, target: tvm.target.Target) -> IRModule:
    """Replace every operator by a call of a kernel.

    Before:  y = nn.conv2d(x, const[3, 3, 64, 64])
    After:   y = call_tir(conv2d, x, const[4, 3, 3, 64, 16])
    """
    cpu = Cpu.of(chip)
    table = {name: partial(_first, legalizer, cpu) for name, legalizer in OURS.items()}
    mod = fold_layouts(to_nhwc(mod))
    passes = [
        # before legalization: sort, top-k and scans go to the runtime's own library
        relax.backend.DispatchSampling(),
        relax.backend.DispatchSortScan(),
        relax.transform.DeadCodeElimination(["main"]),  # transpositions and constants left over
        relax.transform.LegalizeOps(table),
    ]
    with target:
        return tvm.transform.Sequential(passes)(mod)


def _first(legalizer: Legalizer, cpu: Cpu, bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    made = legalizer(bb, call, cpu)
    return made if made is not None else Op.get(call.op.name).get_attr("FLegalize")(bb, call)
