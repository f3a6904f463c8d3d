"""Measures every call of a kernel that TVM's virtual machine makes, in the process that runs it.

A file of its own that imports nothing of dlcc: `server.py` loads it from beside itself, so that
devices which are no more than a server measure too.
"""

from __future__ import annotations

import json
import mmap
import struct
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import tvm_ffi

COPIES = "dlcc.opencl.to_"
GO_ON, SKIP = 0, 1  # what the machine does next (VMInstrumentReturnKind)


@dataclass(frozen=True, slots=True)
class Call:
    """One call. spent: nanoseconds, or events where a counter was read.

    placement: "cpu", "gpu", or "copy" between their memories.   bytes: of a copy."""

    name: str
    spent: int
    placement: str = "cpu"
    bytes: int | None = None


class Instrument:
    """A function for `VirtualMachine.set_instrument`, which collects `calls`.

    What an OpenCL device does is measured by the device: the call only asks for it. Where events
    are counted it is the emulator that counts them, until the device is done.

    It calls kernels itself and has the machine skip them: so what is measured begins and ends next
    to the kernel, and not with what the machine does to call the instrument.
    """

    def __init__(self, counter: Callable[[], int] | None = None) -> None:
        """counter: events so far, on a device that counts; None: time is measured."""
        self.calls: list[Call] = []
        self._read = counter or time.perf_counter_ns
        # Stands for what a call costs besides the kernel: it takes any arguments, and only holds
        # them. Time is not that exact.
        self._empty = tvm_ffi.get_global_func("ffi.Array") if counter else None

    def __call__(
        self, function: Any, name: str, before: bool, _result: object, *arguments: Any
    ) -> int:
        """Called before and after each call of the machine."""
        builtin = name.startswith("vm.")
        if not before or builtin or not isinstance(function, tvm_ffi.Function):
            return GO_ON  # allocations, shapes; functions of the module, seen call by call
        device = _opencl_device(arguments)
        if device is not None:
            read = self._read if self._empty is not None else None
            result, call = _measured_there(function, name, arguments, device, read)
        else:
            result, spent = self._spent(function, arguments)
            if self._empty is not None:
                spent = max(0, spent - self._spent(self._empty, arguments)[1])
            call = Call(name, spent)
        self.calls.append(call)
        # A kernel writes into arguments; what returns a result runs again, for the machine to get
        # it: there is no way to hand it over.
        return SKIP if result is None else GO_ON

    def take(self) -> list[Call]:
        """The calls since the last time."""
        taken, self.calls = self.calls, []
        return taken

    def take_json(self) -> str:
        """The same as JSON, for a remote caller."""
        return json.dumps([asdict(call) for call in self.take()])

    def _spent(self, function: Any, arguments: tuple[Any, ...]) -> tuple[Any, int]:
        began = self._read()
        result = function(*arguments)
        return result, self._read() - began


def attach(machine: tvm_ffi.Module, counters: mmap.mmap | None) -> None:
    """Measure what a virtual machine calls from now on, until its instrument is set to None.

    counters: what an emulator counts into. `dlcc.instrumented`, a remote function, gives the calls
    since the last time."""
    read = None if counters is None else (lambda: int(struct.unpack_from("<Q", counters)[0]))
    instrument = Instrument(read)
    tvm_ffi.register_global_func("dlcc.instrumented", instrument.take_json, override=True)
    machine["set_instrument"](instrument)


def _opencl_device(arguments: tuple[Any, ...]) -> int | None:
    """The number of the OpenCL device that an argument lies on; None where none does."""
    devices = [str(a.device) for a in arguments if isinstance(a, tvm_ffi.Tensor)]
    found = [device for device in devices if device.startswith("opencl")]
    return int(found[0].partition(":")[2] or 0) if found else None


def _measured_there(
    function: Any,
    name: str,
    arguments: tuple[Any, ...],
    device: int,
    read: Callable[[], int] | None,
) -> tuple[Any, Call]:
    """What a call returned, and what the device's own clock, or the counter, says of it."""
    tvm_ffi.get_global_func("dlcc.opencl.profile_start")(device)
    try:
        began = read() if read else 0
        result = function(*arguments)
        if read:
            wait = tvm_ffi.get_global_func("runtime.Device_StreamSync")
            wait(tvm_ffi.device("opencl", device), 0)
        counted = read() - began if read else 0
    finally:
        rows = json.loads(tvm_ffi.get_global_func("dlcc.opencl.profile_stop")(device))
    spent = counted if read else sum(int(row["end_ns"]) - int(row["start_ns"]) for row in rows)
    if not name.startswith(COPIES):
        return result, Call(name, spent, "gpu")
    return result, Call(name, spent, "copy", sum(int(row["bytes"]) for row in rows))
