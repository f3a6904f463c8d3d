"""Schedules for OpenCL: rules tried in order on every kernel; the first that applies wins."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.s_tir import Schedule

from dlcc.targets.cpu.schedule.rules import Verdict, schedule_kernel_by
from dlcc.targets.opencl.engine import Engine
from dlcc.targets.opencl.schedule.stages import stages
from dlcc.targets.opencl.schedule.tiles import conv2d, depthwise, matmul

RULES: tuple[Callable[[Schedule, Engine], None], ...] = (
    matmul,  # these three know their kernels by an annotation: no order among them
    conv2d,
    depthwise,
    stages,  # last: it takes any kernel of maps and reductions
)


def schedule_kernel(
    kernel: tirx.PrimFunc, name: str, engine: Engine
) -> tuple[tirx.PrimFunc, Verdict]:
    """One kernel by the first rule that applies, or as it is."""
    return schedule_kernel_by(RULES, kernel, name, engine)
