"""Schedules for OpenCL: rules tried in order on every kernel; the first that applies wins."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.s_tir import Schedule

from dlcc.targets.cpu.schedule.rules import Verdict, schedule_kernel_by
from dlcc.targets.opencl.engine import Engine
from dlcc.targets.opencl.schedule.stages import stages
from dlcc.targets.opencl.schedule.tiles import conv2d, depthwise, matmul
from dlcc.targets.opencl.schedule.winograd import winograd
from dlcc.targets.tuned import UNTUNED, Tuned

RULES: tuple[Callable[[Schedule, Engine], None], ...] = (
    matmul,  # these four know their kernels by an annotation: no order among them
    conv2d,
    depthwise,
    winograd,
    stages,  # last: it takes any kernel of maps and reductions
)


def schedule_kernel(
    kernel: tirx.PrimFunc, name: str, engine: Engine, tuned: Tuned = UNTUNED
) -> tuple[tirx.PrimFunc, Verdict]:
    """One kernel by the trace that tuning found, else by the first rule that applies."""
    return schedule_kernel_by(RULES, kernel, name, engine, tuned)
