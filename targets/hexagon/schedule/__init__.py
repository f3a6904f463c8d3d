"""Schedules for Hexagon: rules tried in order on every kernel; the first that applies wins."""

from __future__ import annotations

from tvm.ir import IRModule

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.schedule.rules import Verdict, schedule_by
from dlcc.targets.hexagon import intrin
from dlcc.targets.hexagon.schedule.depthwise import depthwise
from dlcc.targets.hexagon.schedule.loops import Hvx, Rule
from dlcc.targets.hexagon.schedule.product import product
from dlcc.targets.hexagon.schedule.stages import stages
from dlcc.targets.hexagon.schedule.sums import sums
from dlcc.targets.hexagon.schedule.windows import windows
from dlcc.targets.tuned import UNTUNED, Tuned

RULES: tuple[Rule, ...] = (
    product,  # these three know their kernels by an annotation: no order between them
    depthwise,
    windows,
    sums,
    stages,  # last: it takes any kernel of maps and reductions
)


def schedule(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> IRModule:
    """Schedule every kernel of a module for HVX.

    Before:  for n, y, x, f, ry, rx, k: conv[n, y, x, f] += …; for …: requantise
    After:   for n, y, tiles: for …: 4 x 128 sums in registers; their requantisation
    """
    return schedule_with_reasons(mod, chip, tuned)[0]


def schedule_with_reasons(
    mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED
) -> tuple[IRModule, list[Verdict]]:
    """`schedule`, and how every kernel fared, in the order of their names."""
    intrin.register()
    return schedule_by(RULES, mod, Hvx.of(chip), tuned)
