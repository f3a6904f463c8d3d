"""The emulated Arm device for libraries of models: their own process under qemu."""

from __future__ import annotations

import platform
from functools import partial

from dlcc.targets.aot.device import LibraryDevice, no_libraries, start_child
from dlcc.targets.aot.device import open_device as open_here
from dlcc.targets.device import Device
from dlcc.targets.registry import DeviceOptions


def open_device(address: str, options: DeviceOptions) -> Device:
    """Open `emulator`, or `local` on an Arm machine; raises DeviceError, and ToolchainError when
    the emulator cannot be built."""
    if address == "local" and platform.machine() in ("aarch64", "arm64"):
        return open_here(address, options)
    if address != "emulator":
        raise no_libraries(address)
    from dlcc.targets.arm.emulator import CPU, python_command
    from dlcc.targets.arm.qemu import find_qemu

    qemu = find_qemu()
    facts = {"address": address, "emulator": f"qemu {qemu.version}", "cpu": CPU}
    start = partial(start_child, python_command(qemu), f"qemu-aarch64 {qemu.version}", options)
    return LibraryDevice(address, start, options, facts, timed=False)
