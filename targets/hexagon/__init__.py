"""Hexagon, the DSP of a Snapdragon."""

from __future__ import annotations

from dlcc.targets.aot.lacks import LACKS
from dlcc.targets.chips import chips_of
from dlcc.targets.lazily import function_of
from dlcc.targets.registry import Kind

KIND = Kind(
    name="hexagon",
    summary="Hexagon DSPs of Snapdragon chips",
    chips=lambda: chips_of("hexagon"),
    default_device="emulator",
    static_shapes=True,
    build=function_of("dlcc.targets.hexagon.build", "build"),
    open_device=function_of("dlcc.targets.hexagon.device", "open_device"),
    kernels=function_of("dlcc.targets.hexagon.build", "kernels"),
    unscheduled=function_of("dlcc.targets.hexagon.build", "unscheduled"),
    schedules=3,
    space=function_of("dlcc.targets.hexagon.space", "space"),
    lacks=LACKS,
    runtime="aot",
)
