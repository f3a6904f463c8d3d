"""Relax operators -> calls of kernels."""

from __future__ import annotations

import tvm
from dlcc.targets.chips import Chip
from tvm import relax
from tvm.ir import IRModule


def legalize(mod: IRModule, chip: Chip, target: tvm.target.Target) -> IRModule:
    """Replace every operator by a call of a kernel."""
    passes = [
        # before legalization: sort, top-k and scans go to the runtime's own library
        relax.backend.DispatchSampling(),
        relax.backend.DispatchSortScan(),
        relax.transform.LegalizeOps(),
    ]
    with target:
        return tvm.transform.Sequential(passes)(mod)
