"""Devices that run code for 64-bit Arm."""

from __future__ import annotations

import platform

from dlcc.targets.device import Device
from dlcc.targets.errors import DeviceError
from dlcc.targets.registry import DeviceOptions


def open_device(address: str, options: DeviceOptions) -> Device:
    """Open `emulator`, `rpc://HOST:PORT`, `rpc://TRACKER:PORT/KEY`, or `local` on an Arm machine.

    Raises UsageError, DeviceError, and ToolchainError when the emulator cannot be built.
    """
    from dlcc.targets.rpc.client import connect, connect_started

    if address == "emulator":
        from dlcc.targets.arm.emulator import start_emulator

        started = start_emulator(threads=options.threads or 1)
        return connect_started(started, "emulator", options)
    if address == "local":
        if platform.machine() not in ("aarch64", "arm64"):
            raise DeviceError(
                f"this machine is {platform.machine()} and cannot run code for 64-bit Arm",
                hint="use --device emulator, or a real device: --device rpc://HOST:PORT",
            )
        from dlcc.targets.local import open_device as open_local

        return open_local(address, options)
    return connect(address, options)
