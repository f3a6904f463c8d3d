"""Schedules by rules, for every engine: tried in order, the first that applies wins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import tvm
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import ScheduleError

from dlcc.targets.cpu.schedule.loops import Declined

log = logging.getLogger("dlcc")

Machine = TypeVar("Machine")  # what rules ask of an engine


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a kernel was scheduled. rule: "" if no rule applied and it stays as it was.
    declined: rule -> why it did not apply."""

    kernel: str
    rule: str
    declined: dict[str, str]


def schedule_by(
    rules: Sequence[Callable[[Schedule, Machine], None]], mod: IRModule, machine: Machine
) -> tuple[IRModule, list[Verdict]]:
    """Every kernel of a module, and how each fared, in the order of their names."""
    out = mod.clone()
    verdicts: list[Verdict] = []
    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        if isinstance(mod[var], tirx.PrimFunc):
            out[var], verdict = schedule_kernel_by(rules, mod[var], str(var.name_hint), machine)
            verdicts.append(verdict)
            log.debug("kernel %s: %s", verdict.kernel, verdict.rule or verdict.declined)
    return out, verdicts


def schedule_kernel_by(
    rules: Sequence[Callable[[Schedule, Machine], None]],
    kernel: tirx.PrimFunc,
    name: str,
    machine: Machine,
) -> tuple[tirx.PrimFunc, Verdict]:
    """One kernel by the first rule that applies, or as it is."""
    declined: dict[str, str] = {}
    if kernel.attrs is not None and "tirx.is_scheduled" in kernel.attrs:
        return kernel, Verdict(name, "", {"all": "it came with a schedule"})
    mod = IRModule({"main": kernel.with_attr("global_symbol", "main")})
    for rule in rules:
        s = Schedule(mod)
        try:
            rule(s, machine)
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
