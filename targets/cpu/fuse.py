"""Groups a legalized module's kernels: what can run in one loop nest becomes one kernel."""

from __future__ import annotations

import tvm
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.cpu.sources import name_sources


def fuse(mod: IRModule, target: tvm.target.Target) -> IRModule:
    """Fuse calls of kernels.

    Before:  y = call_tir(conv2d, x, w); z = call_tir(add, y, b); o = call_tir(relu, z)
    After:   o = call_tir(fused_conv2d_add_relu, x, w, b)
    """
    group = [relax.transform.AnnotateTIROpPattern(), relax.transform.FuseOps()]
    with target:
        grouped = tvm.transform.Sequential(group)(mod)
        fused = name_sources(relax.transform.FuseTIR()(grouped), grouped, mod)
        # the kernels that fusion left over
        return relax.transform.DeadCodeElimination(["main"])(fused)
