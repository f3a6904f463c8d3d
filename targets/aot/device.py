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
from dlcc.targets.device import Bench, Device
from dlcc.targets.errors import DeviceError, UsageError
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.dsp import Ended, Process

CHILD = Path(child.__file__)
WARM_UP_RUNS = 3
# Multiply-accumulates a second that a device does at least: an emulated one is that slow. The time
# limit is for a device that does not answer, not for one with much to do.
MACS_S = 1e7

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
    python: Sequence[str], place: str, options: DeviceOptions, library: bytes, threads: int
) -> Line:
    """Start `child.py` with a Python; raises DeviceError."""
    try:
        process = Process([*python, str(CHILD), str(threads)], library)
    except Ended as error:
        raise explained(error, place, "starting") from error
    return LocalLine(process, place, options.time_limit_s)


@dataclass(slots=True)
class LibraryDevice(Closing):
    """A machine whose libraries `start` loads. facts: what it says of itself.
    timed: whether time means something there."""

    address: str
    start: Start
    options: DeviceOptions
    facts: Mapping[str, str]
    timed: bool = True
    _programs: list[LibraryProgram] = field(default_factory=list)

    def load(self, artifact: Artifact) -> LibraryProgram:
        """Load the library; its process stays alive between runs. Raises DeviceError."""
        told, library = _read(artifact)
        line = self.start(library, self.options.threads or 0)
        program = LibraryProgram(told, line, self.timed)
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

    def __init__(self, told: Described, line: Line, timed: bool) -> None:
        """Hear its hello: the library's own tables must be those of model.json. Raises
        DeviceError."""
        self._told, self._line, self._timed = told, line, timed
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
        """Seconds of each of `repeat` inferences, after some that warm up.

        Raises UsageError where time means nothing."""
        if not self._timed:
            raise UsageError(
                "what a library of the runtime aot costs is not counted on emulated devices",
                hint="measure it on a real one, or compile without `--runtime aot`",
            )
        times = WARM_UP_RUNS + repeat
        spent_ns = struct.unpack_from(f"<{times}Q", self._asked(inputs, times))
        return Bench(times_s=[ns * 1e-9 for ns in spent_ns[WARM_UP_RUNS:]])

    def drop(self) -> None:
        """End it. More than once is fine."""
        self._line.close()

    def _asked(self, inputs: Sequence[np.ndarray], times: int) -> bytes:
        """The reply to one request, without its header."""
        doing = "running the model"
        parts = bytes_of_all(self._told.inputs, inputs)
        request = b"".join([child.COMMAND.pack(times), *parts])
        fine = child.WORDS.pack(0, self._output_bytes, times, 0)
        total = child.WORDS.size + 8 * times + self._output_bytes
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
