"""The emulated Arm device for libraries of models: their own process under qemu."""

from __future__ import annotations

import platform
import tempfile
from functools import partial
from pathlib import Path

from dlcc.targets.aot.device import EVENTS, LibraryDevice, no_libraries, start_child
from dlcc.targets.aot.device import open_device as open_here
from dlcc.targets.aot.line import Line
from dlcc.targets.arm.qemu import COUNTERS_BYTES, Qemu
from dlcc.targets.device import Device
from dlcc.targets.registry import DeviceOptions


def open_device(address: str, options: DeviceOptions) -> Device:
    """Open `emulator`, or `local` on an Arm machine; raises DeviceError, and ToolchainError when
    the emulator cannot be built."""
    if address == "local" and platform.machine() in ("aarch64", "arm64"):
        return open_here(address, options)
    if address != "emulator":
        raise no_libraries(address)
    from dlcc.targets.arm.emulator import CPU
    from dlcc.targets.arm.qemu import find_qemu

    qemu = find_qemu()
    counted = "instructions" if qemu.counter is not None else ""
    facts = {"address": address, "emulator": f"qemu {qemu.version}", "cpu": CPU, "counts": counted}
    start = partial(_start, qemu, options)
    return LibraryDevice(address, start, options, facts, timed=False, counted=counted)


def _start(qemu: Qemu, options: DeviceOptions, library: bytes, threads: int) -> Line:
    """A library's process; instructions are counted where there is one thread."""
    from dlcc.targets.arm.emulator import python_command

    place = f"qemu-aarch64 {qemu.version}"
    if qemu.counter is None or threads != 1 or EVENTS not in library:
        return start_child(python_command(qemu), place, options, library, threads)
    folder = tempfile.TemporaryDirectory(prefix="dlcc-count-")
    counters = Path(folder.name) / "counters"
    counters.write_bytes(bytes(COUNTERS_BYTES))
    python = python_command(qemu, counters=counters)
    try:
        line = start_child(python, place, options, library, threads, str(counters))
    except BaseException:
        folder.cleanup()
        raise
    return _CountedLine(line, folder)


class _CountedLine:
    """The line to a process whose instructions are counted into a file, which goes with it."""

    def __init__(self, line: Line, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._line, self._folder = line, folder
        self.place = line.place

    def exchange(
        self, request: bytes, expected: bytes, total: int, doing: str, work_s: float = 0.0
    ) -> bytes:
        return self._line.exchange(request, expected, total, doing, work_s)

    def close(self) -> None:
        self._line.close()
        self._folder.cleanup()
