"""Hexagon, the DSP of a Snapdragon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcc.targets.aot.lacks import LACKS
from dlcc.targets.chips import Chip, chips
from dlcc.targets.registry import DeviceOptions, Kind

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.targets.artifact import Artifact
    from dlcc.targets.device import Device


def _chips() -> tuple[Chip, ...]:
    return tuple(chip for chip in chips().values() if chip.kind == "hexagon")


def _build(mod: IRModule, chip: Chip) -> Artifact:
    from dlcc.targets.hexagon.build import build

    return build(mod, chip)


def _kernels(mod: IRModule, chip: Chip) -> dict[str, list[str]]:
    from dlcc.targets.hexagon.build import kernels

    return kernels(mod, chip)


def _open_device(address: str, options: DeviceOptions) -> Device:
    from dlcc.targets.hexagon.device import open_device

    return open_device(address, options)


KIND = Kind(
    name="hexagon",
    summary="Hexagon DSPs of Snapdragon chips",
    chips=_chips,
    default_device="emulator",
    static_shapes=True,
    build=_build,
    open_device=_open_device,
    kernels=_kernels,
    lacks=LACKS,
    runtime="aot",
)
