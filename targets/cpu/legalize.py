"""Relax operators -> calls of kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import tvm
from tvm import relax, te, tirx, topi
from tvm.ir import IRModule, Op

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.batch_matmul import batch_matmul
from dlcc.targets.cpu.conv2d import conv2d
from dlcc.targets.cpu.fold import fold_layouts
from dlcc.targets.cpu.gates import apply_gates
from dlcc.targets.cpu.joins import AXIS
from dlcc.targets.cpu.layout import to_nhwc
from dlcc.targets.cpu.matmul import dims, matmul, static
from dlcc.targets.cpu.pool import avg_pool, max_pool
from dlcc.targets.cpu.row_blocks import block_rows_of_pairs
from dlcc.targets.cpu.tiles import Cpu
from dlcc.targets.errors import DlccError
from dlcc.targets.tuned import UNTUNED, Tuned

Legalizer = Callable[[relax.BlockBuilder, relax.Call, Cpu, Tuned], relax.Expr | None]


def relu(bb: relax.BlockBuilder, call: relax.Call, *_: object) -> relax.Expr:
    """max(0, x): with the constant first a NaN stays, which TVM's max(x, 0) makes 0."""

    def compute(x: te.Tensor) -> te.Tensor:
        zero = tirx.const(0, x.dtype)
        return te.compute(x.shape, lambda *i: tirx.max(zero, x(*i)), "relu", topi.tag.ELEMWISE)

    return bb.call_te(compute, call.args[0], primfunc_name_hint="relu")


def concat(bb: relax.BlockBuilder, call: relax.Call, *_: object) -> relax.Expr | None:
    """A concatenation that tells its axis; None where a shape is not known."""
    parts = list(call.args[0].fields) if isinstance(call.args[0], relax.Tuple) else []
    if len(parts) < 2 or any(p.ty.shape is None for p in parts):
        return None
    if any(static(d) in (None, 0) for p in parts for d in dims(p)):
        return None
    axis = 0 if call.attrs.axis is None else int(call.attrs.axis) % len(dims(call))

    def compute(*parts: te.Tensor) -> te.Tensor:
        return topi.concatenate(parts, axis)

    attrs = {AXIS: axis}
    return bb.call_te(compute, *parts, primfunc_name_hint="concatenate", primfunc_attrs=attrs)


def product(bb: relax.BlockBuilder, call: relax.Call, cpu: Cpu, tuned: Tuned) -> relax.Expr | None:
    """A product of matrices, of float32; None where the general kernel has to do."""
    wanted = {str(a.ty.dtype) for a in call.args} | {str(call.attrs.out_dtype or "float32")}
    if wanted != {"float32"} or any(a.ty.shape is None for a in call.args):
        return None
    made = matmul(bb, call, cpu, tuned)
    return made if made is not None else batch_matmul(bb, call, cpu)


# Operators for which TVM's own kernel is slow, or not TensorFlow's; one that declines leaves the
# call to TVM's.
OURS: dict[str, Legalizer] = {
    "relax.nn.conv2d": conv2d,
    "relax.matmul": product,
    "relax.nn.relu": relu,
    "relax.concat": concat,
    "relax.nn.max_pool2d": max_pool,
    "relax.nn.avg_pool2d": avg_pool,
}


def legalize(
    mod: IRModule, chip: Chip, target: tvm.target.Target, tuned: Tuned = UNTUNED
) -> IRModule:
    """Replace every operator by a call of a kernel.

    Before:  y = nn.conv2d(x, const[3, 3, 64, 64])
    After:   y = call_tir(conv2d, x, const[4, 3, 3, 64, 16])
    """
    cpu = Cpu.of(chip)
    refused: list[DlccError] = []
    table = {
        name: partial(_first, legalizer, cpu, tuned, refused) for name, legalizer in OURS.items()
    }
    mod = apply_gates(fold_layouts(to_nhwc(mod)), cpu, tuned)
    mod = block_rows_of_pairs(mod, cpu, tuned)
    passes = [
        # before legalization: sort, top-k and scans go to the runtime's own library
        relax.backend.DispatchSampling(),
        relax.backend.DispatchSortScan(),
        relax.transform.DeadCodeElimination(["main"]),  # transpositions and constants left over
        relax.transform.LegalizeOps(table),
    ]
    try:
        with target:
            return tvm.transform.Sequential(passes)(mod)
    except RuntimeError as error:
        if refused:
            raise refused[0] from error
        raise


def _first(
    legalizer: Legalizer,
    cpu: Cpu,
    tuned: Tuned,
    refused: list[DlccError],
    bb: relax.BlockBuilder,
    call: relax.Call,
) -> relax.Expr:
    """The call's kernel. refused: where errors go, which TVM makes others of on their way out."""
    try:
        made = legalizer(bb, call, cpu, tuned)
    except DlccError as error:
        refused.append(error)
        raise
    return made if made is not None else Op.get(call.op.name).get_attr("FLegalize")(bb, call)
