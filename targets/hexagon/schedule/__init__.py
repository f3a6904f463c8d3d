"""Schedules for the DSP."""

from __future__ import annotations

import logging

import tvm
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import ScheduleError

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.schedule.loops import Declined, blocks
from dlcc.targets.cpu.schedule.stages import axes, check_simple, inline_maps

log = logging.getLogger("dlcc")


def schedule(mod: IRModule, chip: Chip) -> IRModule:
    """Schedule every kernel of a module; one whose stages are not simple stays as it is."""
    out = mod.clone()
    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        if isinstance(mod[var], tirx.PrimFunc):
            out[var] = _scheduled(mod[var], str(var.name_hint), chip)
    return out


def _scheduled(kernel: tirx.PrimFunc, name: str, chip: Chip) -> tirx.PrimFunc:
    s = Schedule(IRModule({"main": kernel.with_attr("global_symbol", "main")}))
    try:
        scalar(s)
    except (Declined, ScheduleError, tvm.error.InternalError) as why:
        log.debug("kernel %s stays as it is on %s: %s", name, chip.name, why)
        return kernel
    return s.mod["main"].without_attr("global_symbol")


def scalar(s: Schedule) -> None:
    """Element after element: maps are inlined, sums begin outside of their loops, so that they
    stay in a register."""
    for block in blocks(s):
        check_simple(s, block)
    inline_maps(s)
    for block in blocks(s):
        if reduced := axes(s, block)[1]:
            s.decompose_reduction(block, reduced[0])
