"""A kind of target whose compiler knows one model, a + b and twice that: the code is `model.c`'s.

The device is the real one."""

from __future__ import annotations

from dataclasses import replace

from dlcc.targets import registry
from dlcc.targets.chips import Chip
from dlcc.targets.hexagon.device import open_device
from tests.hexagon.programs import artifact


def _chips() -> tuple[Chip, ...]:
    arm = registry.kind("arm").chips()[0]
    return (replace(arm, name="hexagon-v66", kind="hexagon", short_names=()),)


KIND = registry.Kind(
    name="hexagon",
    summary="programs of model.c",
    chips=_chips,
    default_device="emulator",
    static_shapes=True,
    build=lambda *_: artifact(),
    open_device=open_device,
    kernels=lambda module, chip: {},
    unscheduled=lambda module, chip, tuned: module,
)
