"""Schedules for Hexagon: rules tried in order on every kernel; the first that applies wins."""

from __future__ import annotations

import logging

import tvm
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import ScheduleError

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.schedule import Verdict
from dlcc.targets.hexagon import intrin
from dlcc.targets.hexagon.schedule.depthwise import depthwise
from dlcc.targets.hexagon.schedule.loops import Declined, Hvx, Rule
from dlcc.targets.hexagon.schedule.product import product
from dlcc.targets.hexagon.schedule.stages import stages
from dlcc.targets.hexagon.schedule.sums import sums

log = logging.getLogger("dlcc")

RULES: tuple[Rule, ...] = (
    product,  # these two know their kernels by an annotation: no order between them
    depthwise,
    sums,
    stages,  # last: it takes any kernel of maps and reductions
)


def schedule(mod: IRModule, chip: Chip) -> IRModule:
    """Schedule every kernel of a module for HVX.

    Before:  for n, y, x, f, ry, rx, k: conv[n, y, x, f] += …; for …: requantise
    After:   for n, y, tiles: for …: 4 x 128 sums in registers; their requantisation
    """
    return schedule_with_reasons(mod, chip)[0]


def schedule_with_reasons(mod: IRModule, chip: Chip) -> tuple[IRModule, list[Verdict]]:
    """`schedule`, and how every kernel fared, in the order of their names."""
    intrin.register()
    hvx = Hvx.of(chip)
    out = mod.clone()
    verdicts: list[Verdict] = []
    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        if isinstance(mod[var], tirx.PrimFunc):
            out[var], verdict = schedule_kernel(mod[var], str(var.name_hint), hvx)
            verdicts.append(verdict)
            log.debug("kernel %s: %s", verdict.kernel, verdict.rule or verdict.declined)
    return out, verdicts


def schedule_kernel(kernel: tirx.PrimFunc, name: str, hvx: Hvx) -> tuple[tirx.PrimFunc, Verdict]:
    """One kernel by the first rule that applies, or as it is."""
    declined: dict[str, str] = {}
    mod = IRModule({"main": kernel.with_attr("global_symbol", "main")})
    for rule in RULES:
        s = Schedule(mod)
        try:
            rule(s, hvx)
        except Declined as why:
            declined[rule.__name__] = str(why)
        except (ScheduleError, tvm.error.InternalError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            declined[rule.__name__] = lines[-1]
        else:
            done = s.mod["main"].without_attr("global_symbol")
            if kernel.attrs is not None and "global_symbol" in kernel.attrs:
                done = done.with_attr("global_symbol", kernel.attrs["global_symbol"])
            return done, Verdict(name, rule.__name__, declined)
    return kernel, Verdict(name, "", declined)
