"""64-bit Arm CPUs: the cores of a Snapdragon, single-board computers, servers."""

from __future__ import annotations

from dlcc.targets.chips import chips_of
from dlcc.targets.lazily import function_of
from dlcc.targets.registry import Kind, Runtime

KIND = Kind(
    name="arm",
    summary="64-bit Arm CPUs, among them the cores of a Snapdragon",
    chips=lambda: chips_of("arm"),
    default_device="emulator",
    static_shapes=False,
    build=function_of("dlcc.targets.cpu.build", "build"),
    open_device=function_of("dlcc.targets.arm.device", "open_device"),
    kernels=function_of("dlcc.targets.cpu.build", "kernels"),
    unscheduled=function_of("dlcc.targets.cpu.build", "unscheduled"),
    schedules=3,
    space=function_of("dlcc.targets.cpu.space", "space"),
    others={
        "aot": Runtime(
            static_shapes=True,
            build=function_of("dlcc.targets.cpu.ahead", "build"),
            open_device=function_of("dlcc.targets.arm.ahead", "open_device"),
        )
    },
)
