"""The developer's own machine."""

from __future__ import annotations

from dlcc.targets.chips import Chip
from dlcc.targets.lazily import function_of
from dlcc.targets.registry import Kind, Runtime


def _chips() -> tuple[Chip, ...]:
    from dlcc.targets.host.detect import host_chip

    return (host_chip(),)


KIND = Kind(
    name="host",
    summary="this machine's CPU",
    chips=_chips,
    default_device="local",
    static_shapes=False,
    build=function_of("dlcc.targets.cpu.build", "build"),
    open_device=function_of("dlcc.targets.local", "open_device"),
    kernels=function_of("dlcc.targets.cpu.build", "kernels"),
    unscheduled=function_of("dlcc.targets.cpu.build", "unscheduled"),
    schedules=4,
    space=function_of("dlcc.targets.cpu.space", "space"),
    others={
        "aot": Runtime(
            static_shapes=True,
            build=function_of("dlcc.targets.cpu.ahead", "build"),
            open_device=function_of("dlcc.targets.aot.device", "open_device"),
        )
    },
)
