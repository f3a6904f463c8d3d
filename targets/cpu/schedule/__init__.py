"""Schedules for CPUs: rules tried in order on every kernel; the first that applies wins."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import tvm
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import ScheduleError

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.schedule.conv2d import conv2d
from dlcc.targets.cpu.schedule.depthwise import depthwise
from dlcc.targets.cpu.schedule.loops import Declined, Rule
from dlcc.targets.cpu.schedule.matmul import matmul
from dlcc.targets.cpu.schedule.stages import stages
from dlcc.targets.cpu.tiles import Cpu

log = logging.getLogger("dlcc")

RULES: tuple[Rule, ...] = (
    matmul,  # these three know their kernels by an annotation: no order among them
    conv2d,
    depthwise,
    stages,  # last: it takes any kernel of maps and reductions
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a kernel was scheduled. rule: "" if no rule applied and it stays as it was.
    declined: rule -> why it did not apply."""

    kernel: str
    rule: str
    declined: dict[str, str]


def schedule(mod: IRModule, chip: Chip) -> IRModule:
    """Schedule every kernel of a module.

    Before:  for n, y, x, f, ry, rx, k: conv[n, y, x, f] += …; for …: relu
    After:   for y in parallel: for … : 14 x 32 sums in registers; their relu
    """
    return schedule_with_reasons(mod, chip)[0]


def schedule_with_reasons(mod: IRModule, chip: Chip) -> tuple[IRModule, list[Verdict]]:
    """`schedule`, and how every kernel fared, in the order of their names."""
    cpu = Cpu.of(chip)
    out = mod.clone()
    verdicts: list[Verdict] = []
    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        if isinstance(mod[var], tirx.PrimFunc):
            out[var], verdict = schedule_kernel(mod[var], str(var.name_hint), cpu)
            verdicts.append(verdict)
            log.debug("kernel %s: %s", verdict.kernel, verdict.rule or verdict.declined)
    return out, verdicts


def schedule_kernel(kernel: tirx.PrimFunc, name: str, cpu: Cpu) -> tuple[tirx.PrimFunc, Verdict]:
    """One kernel by the first rule that applies, or as it is."""
    declined: dict[str, str] = {}
    if kernel.attrs is not None and "tirx.is_scheduled" in kernel.attrs:
        return kernel, Verdict(name, "", {"all": "it came with a schedule"})
    mod = IRModule({"main": kernel.with_attr("global_symbol", "main")})
    for rule in RULES:
        s = Schedule(mod)
        try:
            rule(s, cpu)
        except Declined as why:
            declined[rule.__name__] = str(why)
        except (ScheduleError, tvm.error.InternalError) as error:
            declined[rule.__name__] = _last_line(error)
        else:
            done = s.mod["main"].without_attr("global_symbol")
            if kernel.attrs is not None and "global_symbol" in kernel.attrs:
                done = done.with_attr("global_symbol", kernel.attrs["global_symbol"])
            return done, Verdict(name, rule.__name__, declined)
    return kernel, Verdict(name, "", declined)


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
