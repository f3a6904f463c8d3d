"""Groups a legalized module's kernels: what can run in one loop nest becomes one kernel."""

from __future__ import annotations

import tvm
from tvm import relax
from tvm.ir import IRModule


def fuse(mod: IRModule, target: tvm.target.Target) -> IRModule:
    """Fuse calls of kernels.

    Before:  y = call_tir(conv2d, x, w); z = call_tir(add, y, b); o = call_tir(relu, z)
    After:   o = call_tir(fused_conv2d_add_relu, x, w, b)
    """
    passes = [
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        relax.transform.DeadCodeElimination(["main"]),  # the kernels that fusion left over
    ]
    with target:
        return tvm.transform.Sequential(passes)(mod)
