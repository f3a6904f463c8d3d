"""64-bit Arm CPUs: the cores of a Snapdragon, single-board computers, servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcc.targets.chips import Chip, chips
from dlcc.targets.registry import DeviceOptions, Kind, Runtime

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.targets.artifact import Artifact
    from dlcc.targets.device import Device


def _chips() -> tuple[Chip, ...]:
    return tuple(chip for chip in chips().values() if chip.kind == "arm")


def _build(mod: IRModule, chip: Chip) -> Artifact:
    from dlcc.targets.cpu.build import build

    return build(mod, chip)


def _build_ahead(mod: IRModule, chip: Chip) -> Artifact:
    from dlcc.targets.cpu.ahead import build

    return build(mod, chip)


def _kernels(mod: IRModule, chip: Chip) -> dict[str, list[str]]:
    from dlcc.targets.cpu.build import kernels

    return kernels(mod, chip)


def _open_device(address: str, options: DeviceOptions) -> Device:
    from dlcc.targets.arm.device import open_device

    return open_device(address, options)


def _open_ahead(address: str, options: DeviceOptions) -> Device:
    from dlcc.targets.arm.ahead import open_device

    return open_device(address, options)


KIND = Kind(
    name="arm",
    summary="64-bit Arm CPUs, among them the cores of a Snapdragon",
    chips=_chips,
    default_device="emulator",
    static_shapes=False,
    build=_build,
    open_device=_open_device,
    kernels=_kernels,
    others={"aot": Runtime(True, _build_ahead, _open_ahead)},
)
