"""Relax operators -> calls of kernels, for the DSP."""

from __future__ import annotations

import tvm
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.fold import fold_layouts
from dlcc.targets.cpu.layout import to_nhwc
from dlcc.targets.cpu.legalize import relu
from dlcc.targets.cpu.tiles import Cpu


def legalize(mod: IRModule, chip: Chip, target: tvm.target.Target) -> IRModule:
    """Replace every operator by a call of a kernel.

    Before:  y = nn.relu(x)
    After:   y = call_tir(relu, x)
    """
    cpu = Cpu.of(chip)
    passes = [
        # before legalization, which has no kernels for scans, and none for sorting
        relax.backend.DispatchSampling(),
        relax.backend.DispatchSortScan(),
        relax.transform.DeadCodeElimination(["main"]),  # transpositions and constants left over
        relax.transform.LegalizeOps({"relax.nn.relu": lambda bb, call: relu(bb, call, cpu)}),
    ]
    with target:
        return tvm.transform.Sequential(passes)(fold_layouts(to_nhwc(mod)))
