"""Devices that run a model's shared library, in a process of its own."""

from __future__ import annotations

import hashlib
import json
import platform
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from dlcc.targets.aot import child
from dlcc.targets.aot.described import (
    Described,
    Tensor,
    arrays_of,
    bytes_of_all,
    damaged,
    described,
)
from dlcc.targets.aot.dtypes import CODES
from dlcc.targets.aot.line import Line, LocalLine, explained
from dlcc.targets.aot.status import STATUS
from dlcc.targets.artifact import Artifact
from dlcc.targets.closing import Closing
from dlcc.targets.device import Bench, CallTime, Device
from dlcc.targets.errors import DeviceError, UsageError
from dlcc.targets.kernels import PROFILED_RUNS, Kernel, call_times, kernels_in, typical
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.dsp import Ended, Process

CHILD = Path(child.__file__)
WARM_UP_RUNS = 3
# Multiply-accumulates a second that a device does at least: an emulated one is that slow. The time
# limit is for a device that does not answer, not for one with much to do.
MACS_S = 1e7
EVENTS = b"dlcc_events"  # what a library reads in place of a clock; older ones have none

Start = Callable[[bytes, int], Line]  # a library's bytes, threads (0: all)


def open_device(address: str, options: DeviceOptions) -> Device:
    """Open `local`; raises DeviceError for every other address."""
    if address != "local":
        raise no_libraries(address)
    facts = {"address": "local", "architecture": platform.machine()}
    start = partial(start_child, [sys.executable, "-I"], f"{platform.machine()} here", options)
    return LibraryDevice(address, start, options, facts)


def no_libraries(address: str) -> DeviceError:
    """For an address at which nothing runs them."""
    return DeviceError(
        f"libraries of the runtime aot cannot be run at {address}",
        hint="compile without `--runtime aot`, or link libmodel.so into a program there: "
        "dlcc_aot.h tells how",
    )


def start_child(
    python: Sequence[str],
    place: str,
    options: DeviceOptions,
    library: bytes,
    threads: int,
    counters: str = "",
) -> Line:
    """Start `child.py` with a Python; raises DeviceError."""
    try:
        process = Process([*python, str(CHILD), str(threads), counters], library)
    except Ended as error:
        raise explained(error, place, "starting") from error
    return LocalLine(process, place, options.time_limit_s)


@dataclass(slots=True)
class LibraryDevice(Closing):
    """A machine whose libraries `start` loads. facts: what it says of itself.
    timed: whether time means something there.   counted: what is counted in its place, for
    libraries that can read it, by runs on one thread; "" for nothing."""

    address: str
    start: Start
    options: DeviceOptions
    facts: Mapping[str, str]
    timed: bool = True
    counted: str = ""
    _programs: list[LibraryProgram] = field(default_factory=list)

    def load(self, artifact: Artifact) -> LibraryProgram:
        """Load the library; its process stays alive between runs. Raises DeviceError."""
        told, library = _read(artifact)
        threads = self.options.threads or int(bool(self.counted))
        line = self.start(library, threads)
        counts = self.counted if threads == 1 and EVENTS in library else ""
        program = LibraryProgram(told, line, self.timed, counts, kernels_in(artifact))
        self._programs.append(program)
        return program

    def describe(self) -> Mapping[str, str]:
        return self.facts

    def close(self) -> None:
        """End every process. Closing twice is fine."""
        for program in self._programs:
            program.drop()
        self._programs.clear()


class LibraryProgram:
    """A model that runs."""

    def __init__(
        self,
        told: Described,
        line: Line,
        timed: bool,
        counted: str = "",
        kernels: Mapping[str, Kernel] | None = None,
    ) -> None:
        """Hear its hello: the library's own tables must be those of model.json. Raises
        DeviceError."""
        self._told, self._line, self._timed, self._counted = told, line, timed, counted
        self._kernels = kernels or {}
        self._output_bytes = sum(t.size_bytes for t in told.outputs)
        self._work_s = sum(k.macs or 0 for k in told.kernels) / MACS_S
        words = child.WORDS.pack(child.MAGIC, child.FORMAT, len(told.kernels), told.arena_bytes)
        hello = words + _digest(told)
        try:
            if line.exchange(b"", hello, len(hello), "loading the model") != hello:
                raise damaged("the library has other inputs, outputs or calls than model.json")
        except BaseException:
            line.close()
            raise

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; raises BadFeed, DeviceError."""
        return arrays_of(self._told.outputs, self._asked(inputs, 1)[8:])

    def bench(self, inputs: Sequence[np.ndarray], repeat: int) -> Bench:
        """Seconds of each of `repeat` inferences, after some that warm up; what one inference's
        calls count where events are counted.   Raises UsageError where neither can be had."""
        if self._counted:
            calls = self._readings(inputs, 1)[-1]
            return Bench(counts={self._counted: calls[-1] - calls[0]})
        self._require_clock()
        times = WARM_UP_RUNS + repeat
        spent_ns = struct.unpack_from(f"<{times}Q", self._asked(inputs, times))
        return Bench(times_s=[ns * 1e-9 for ns in spent_ns[WARM_UP_RUNS:]])

    def profile(self, inputs: Sequence[np.ndarray]) -> list[CallTime]:
        """Cost of each call of a kernel after a run that warms up: events where they are counted,
        else seconds, the median of some runs.   Raises UsageError where neither can be had."""
        from dlcc.targets.rpc.instrument import Call

        if not self._counted:
            self._require_clock()
        runs = [
            [
                Call(kernel.name, after - before)
                for kernel, before, after in zip(self._told.kernels, row, row[1:], strict=False)
            ]
            for row in self._readings(inputs, 1 if self._counted else PROFILED_RUNS)
        ]
        kernels = {
            k.name: self._kernels.get(k.name, Kernel(k.sources, k.macs)) for k in self._told.kernels
        }
        return call_times(typical(runs), kernels, self._counted)

    def drop(self) -> None:
        """End it. More than once is fine."""
        self._line.close()

    def _require_clock(self) -> None:
        if not self._timed:
            raise UsageError(
                "what this library of the runtime aot costs is not counted on the emulated device",
                hint="counts are of one thread (--threads 1), and of libraries that this dlcc "
                "compiled; `dlcc device check emulator` tells whether it counts",
            )

    def _readings(self, inputs: Sequence[np.ndarray], repeat: int) -> list[tuple[int, ...]]:
        """For each of some runs, after one that warms up, what was read around its calls."""
        times, count = 1 + repeat, len(self._told.kernels) + 1
        reply = self._asked(inputs, times, readings=count * times)
        rows = struct.iter_unpack(f"<{count}Q", reply[8 * times :][: 8 * count * times])
        return list(rows)[1:]

    def _asked(self, inputs: Sequence[np.ndarray], times: int, readings: int = 0) -> bytes:
        """The reply to one request, without its header. readings: how many to ask for."""
        doing = "running the model"
        parts = bytes_of_all(self._told.inputs, inputs)
        request = b"".join([child.COMMAND.pack(times, int(readings > 0)), *parts])
        fine = child.WORDS.pack(0, self._output_bytes, times, 0)
        total = child.WORDS.size + 8 * (times + readings) + self._output_bytes
        reply = self._line.exchange(request, fine, total, doing, self._work_s * times)
        if not reply.startswith(fine):
            self._line.close()
            status = child.WORDS.unpack(reply)[0]
            what, hint = STATUS.get(status, ("it failed", "compile the model with this dlcc"))
            raise DeviceError(
                f"{self._line.place}: {what} (status {status}) while {doing}", hint=hint
            )
        return reply[child.WORDS.size :]


def _read(artifact: Artifact) -> tuple[Described, bytes]:
    """Raises DeviceError for code of another runtime, and for what is damaged."""
    if artifact.runtime != "aot":
        raise DeviceError(
            f"the code for {artifact.chip} is for TVM's runtime", hint="compile with --runtime aot"
        )
    try:
        told = described(json.loads(artifact.files["model.json"]))
        return told, artifact.files["libmodel.so"]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise damaged(f"{type(error).__name__}: {error}") from error


def _digest(told: Described) -> bytes:
    """What `child.py` makes of the library's tables."""
    rows = [*map(_row, told.inputs), "", *map(_row, told.outputs)]
    return hashlib.sha256("\n".join(rows).encode()).digest()


def _row(tensor: Tensor) -> str:
    dims = " ".join(map(str, tensor.shape))
    return f"{tensor.name} {CODES[str(tensor.dtype)]} {tensor.size_bytes} {dims}"
