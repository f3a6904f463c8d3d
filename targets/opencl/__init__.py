"""GPUs through OpenCL: the Adreno of a Snapdragon, a Mali, a workstation's, or PoCL on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcc.targets.chips import Chip, chips
from dlcc.targets.registry import DeviceOptions, Kind

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.targets.artifact import Artifact
    from dlcc.targets.device import Device


def _chips() -> tuple[Chip, ...]:
    from dlcc.targets.opencl.detect import opencl_chip

    return (opencl_chip(), *(chip for chip in chips().values() if chip.kind == "opencl"))


def _build(mod: IRModule, chip: Chip) -> Artifact:
    from dlcc.targets.opencl.build import build

    return build(mod, chip)


def _kernels(mod: IRModule, chip: Chip) -> dict[str, list[str]]:
    from dlcc.targets.opencl.build import kernels

    return kernels(mod, chip)


def _open_device(address: str, options: DeviceOptions) -> Device:
    from dlcc.targets.opencl.device import open_device

    return open_device(address, options)


KIND = Kind(
    name="opencl",
    summary="GPUs through OpenCL, among them the Adreno of a Snapdragon",
    chips=_chips,
    default_device="local",
    further_devices=("emulator",),
    static_shapes=False,
    build=_build,
    open_device=_open_device,
    kernels=_kernels,
)
