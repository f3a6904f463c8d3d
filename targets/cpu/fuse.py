"""Groups a legalized module's kernels: what can run in one loop nest becomes one kernel."""

from __future__ import annotations

import tvm
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.cpu.joins import chain_joins, split_joins
from dlcc.targets.cpu.row_blocks import pairs_fused
from dlcc.targets.cpu.sources import name_sources


def fuse(mod: IRModule, target: tvm.target.Target, joins: bool = False) -> IRModule:
    """Fuse calls of kernels. joins: let kernels write into one tensor, see `joins`.

    Before:  y = call_tir(conv2d, x, w); z = call_tir(add, y, b); o = call_tir(relu, z)
    After:   o = call_tir(fused_conv2d_add_relu, x, w, b)
    """
    with target:
        mod = pairs_fused(relax.transform.AnnotateTIROpPattern()(mod))
        mod = split_joins(mod) if joins else mod
        grouped = relax.transform.FuseOps()(mod)
        fused = name_sources(relax.transform.FuseTIR()(grouped), grouped, mod)
        fused = chain_joins(fused) if joins else fused
        # the kernels that fusion left over
        return relax.transform.DeadCodeElimination(["main"])(fused)
