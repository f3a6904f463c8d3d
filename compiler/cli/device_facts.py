"""`dlcc device check`: what a device says of itself."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dlcc.targets.registry import DeviceOptions, kind


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a device's description."""

    fact: str
    value: str


def facts(address: str, time_limit_s: float) -> list[Fact]:
    """Open a device, ask it and close it. Raises UsageError, DeviceError, ToolchainError."""
    # Only the kind decides what `local` and `emulator` are; servers are the same for all kinds.
    owner = kind("arm" if address == "emulator" else "host")
    start_s = time.perf_counter()
    with owner.open_device(address, DeviceOptions(time_limit_s=time_limit_s)) as device:
        opened_s = time.perf_counter() - start_s
        said = device.describe()
        rows = [Fact("address", device.address), Fact("opened in", f"{opened_s:.2f} s")]
        return rows + [Fact(name, value) for name, value in said.items()]
