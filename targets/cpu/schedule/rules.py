"""Schedules by rules, for every engine: tried in order, the first that applies wins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import tvm
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import ScheduleError

from dlcc.targets.cpu.schedule.loops import Declined
from dlcc.targets.traces import apply_trace, kernel_key
from dlcc.targets.tuned import UNTUNED, Tuned

log = logging.getLogger("dlcc")

Machine = TypeVar("Machine")  # what rules ask of an engine

TRACE = "trace"  # in place of a rule's name: the schedule is one that tuning found


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a kernel was scheduled. rule: "" if no rule applied and it stays as it was; TRACE for a
    schedule of a tuning record.   declined: rule -> why it did not apply."""

    kernel: str
    rule: str
    declined: dict[str, str]


# of the innermost `watched`: which kernels to leave as they are, and a list for what became of all
_WATCH: ContextVar[tuple[Callable[[str], bool], list[Verdict]] | None] = ContextVar(
    "dlcc_watched_schedules", default=None
)


@contextmanager
def watched(plain: Callable[[str], bool] = lambda _: False) -> Iterator[list[Verdict]]:
    """While this is open, verdicts are kept, in order, for `dlcc verify --bisect`.

    plain: kernels, by name, that no rule and no trace may touch."""
    verdicts: list[Verdict] = []
    token = _WATCH.set((plain, verdicts))
    try:
        yield verdicts
    finally:
        _WATCH.reset(token)


def schedule_by(
    rules: Sequence[Callable[[Schedule, Machine], None]],
    mod: IRModule,
    machine: Machine,
    tuned: Tuned = UNTUNED,
) -> tuple[IRModule, list[Verdict]]:
    """Every kernel of a module, and how each fared, in the order of their names."""
    out = mod.clone()
    verdicts: list[Verdict] = []
    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        if isinstance(mod[var], tirx.PrimFunc):
            name = str(var.name_hint)
            out[var], verdict = schedule_kernel_by(rules, mod[var], name, machine, tuned)
            verdicts.append(verdict)
            log.debug("kernel %s: %s", verdict.kernel, verdict.rule or verdict.declined)
    return out, verdicts


def schedule_kernel_by(
    rules: Sequence[Callable[[Schedule, Machine], None]],
    kernel: tirx.PrimFunc,
    name: str,
    machine: Machine,
    tuned: Tuned = UNTUNED,
) -> tuple[tirx.PrimFunc, Verdict]:
    """One kernel by the trace that tuning found, else by the first rule that applies, or as it is.

    Raises UsageError for a trace that is not for the kernel which it was found by."""
    watch = _WATCH.get()
    if watch is None:
        return _scheduled(rules, kernel, name, machine, tuned)
    plain, verdicts = watch
    if plain(name):
        made, verdict = kernel, Verdict(name, "", {"all": "it was asked to stay as it is"})
    else:
        made, verdict = _scheduled(rules, kernel, name, machine, tuned)
    verdicts.append(verdict)
    return made, verdict


def _scheduled(
    rules: Sequence[Callable[[Schedule, Machine], None]],
    kernel: tirx.PrimFunc,
    name: str,
    machine: Machine,
    tuned: Tuned,
) -> tuple[tirx.PrimFunc, Verdict]:
    declined: dict[str, str] = {}
    if kernel.attrs is not None and "tirx.is_scheduled" in kernel.attrs:
        return kernel, Verdict(name, "", {"all": "it came with a schedule"})
    if tuned.by_kernel and (trace := tuned.trace(kernel_key(kernel))) is not None:
        return apply_trace(kernel, trace), Verdict(name, TRACE, {})
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
