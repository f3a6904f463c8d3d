"""GPUs through OpenCL: the Adreno of a Snapdragon, a Mali, a workstation's, or PoCL on a CPU."""

from __future__ import annotations

from dlcc.targets.chips import Chip, chips_of
from dlcc.targets.lazily import function_of
from dlcc.targets.registry import Kind


def _chips() -> tuple[Chip, ...]:
    from dlcc.targets.opencl.detect import opencl_chip

    return (opencl_chip(), *chips_of("opencl"))


KIND = Kind(
    name="opencl",
    summary="GPUs through OpenCL, among them the Adreno of a Snapdragon",
    chips=_chips,
    default_device="local",
    further_devices=("emulator",),
    static_shapes=False,
    build=function_of("dlcc.targets.opencl.build", "build"),
    open_device=function_of("dlcc.targets.opencl.device", "open_device"),
    kernels=function_of("dlcc.targets.opencl.build", "kernels"),
    unscheduled=function_of("dlcc.targets.opencl.build", "unscheduled"),
    schedules=4,
    space=function_of("dlcc.targets.opencl.space", "space"),
)
