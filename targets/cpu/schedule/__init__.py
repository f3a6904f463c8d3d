"""Schedules for CPUs: rules tried in order on every kernel; the first that applies wins."""

from __future__ import annotations

from tvm import tirx
from tvm.ir import IRModule

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.extremes import keep_nan
from dlcc.targets.cpu.prefetch import prefetch_panels
from dlcc.targets.cpu.schedule.batch_matmul import batch_matmul
from dlcc.targets.cpu.schedule.conv2d import conv2d
from dlcc.targets.cpu.schedule.depthwise import depthwise
from dlcc.targets.cpu.schedule.loops import Rule
from dlcc.targets.cpu.schedule.matmul import matmul
from dlcc.targets.cpu.schedule.pool import pool
from dlcc.targets.cpu.schedule.row_blocks import row_blocks
from dlcc.targets.cpu.schedule.rules import Verdict, schedule_by, schedule_kernel_by
from dlcc.targets.cpu.schedule.stages import stages
from dlcc.targets.cpu.schedule.winograd import winograd
from dlcc.targets.cpu.tiles import Cpu
from dlcc.targets.tuned import UNTUNED, Tuned

RULES: tuple[Rule, ...] = (
    matmul,  # these seven know their kernels by an annotation: no order among them
    batch_matmul,
    conv2d,
    depthwise,
    row_blocks,
    winograd,
    pool,
    stages,  # last: it takes any kernel of maps and reductions
)


def schedule(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> IRModule:
    """Schedule every kernel of a module.

    Before:  for n, y, x, f, ry, rx, k: conv[n, y, x, f] += …; for …: relu
    After:   for y in parallel: for … : 14 x 32 sums in registers; their relu
    """
    return schedule_with_reasons(mod, chip, tuned)[0]


def schedule_with_reasons(
    mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED
) -> tuple[IRModule, list[Verdict]]:
    """`schedule`, and how every kernel fared, in the order of their names."""
    cpu = Cpu.of(chip)
    made, verdicts = schedule_by(RULES, mod, cpu, tuned)
    for var, func in made.functions.items():
        if isinstance(func, tirx.PrimFunc):
            made[var] = _finished(func, cpu)
    return made, verdicts


def schedule_kernel(kernel: tirx.PrimFunc, name: str, cpu: Cpu) -> tuple[tirx.PrimFunc, Verdict]:
    """One kernel by the first rule that applies, or as it is."""
    made, verdict = schedule_kernel_by(RULES, kernel, name, cpu)
    return _finished(made, cpu), verdict


def _finished(kernel: tirx.PrimFunc, cpu: Cpu) -> tirx.PrimFunc:
    """What no schedule can say."""
    if cpu.prefetches:
        kernel = prefetch_panels(kernel)
    return keep_nan(kernel) if cpu.nan_extremes else kernel
