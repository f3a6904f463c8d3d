"""The line to a running program: an emulator's pipes, here or behind a device server."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from dlcc.targets.errors import DeviceError, DeviceTimeout
from dlcc.targets.rpc.client import RemoteDevice
from dlcc.targets.rpc.dsp import Emulator, Ended, Process

log = logging.getLogger("dlcc")

# Of the time limit of a remote call, so that the server's answer comes before it ends.
REMOTE_SHARE = 0.9
QFLOAT_HINT = (
    "no qemu decodes floating-point vector code (v68 and later): compile for the emulator with "
    "`--target hexagon`, or run it on a real DSP"
)


class Line(Protocol):
    """`exchange` as of `targets/rpc/dsp.py`; raises DeviceError for every end of the program.

    place: where the program runs, for errors. work_s: what the answer may take beyond the limit."""

    place: str

    def exchange(
        self, request: bytes, expected: bytes, total: int, doing: str, work_s: float = 0.0
    ) -> bytes: ...

    def close(self) -> None: ...


Start = Callable[[bytes, int], Line]  # program, architecture


class LocalLine:
    """A process of this machine."""

    def __init__(self, process: Process, place: str, limit_s: float) -> None:
        self._process = process
        self.place = place
        self._limit_s = limit_s

    def exchange(
        self, request: bytes, expected: bytes, total: int, doing: str, work_s: float = 0.0
    ) -> bytes:
        try:
            return self._process.exchange(request, expected, total, self._limit_s + work_s)
        except Ended as error:
            raise explained(error, self.place, doing) from error

    def close(self) -> None:
        self._process.close()


def start_here(emulator: Emulator, limit_s: float, program: bytes, architecture: int) -> Line:
    """Start a program; raises DeviceError."""
    place = f"qemu-hexagon {emulator.version}"
    try:
        return LocalLine(emulator.start(program, architecture), place, limit_s)
    except Ended as error:
        raise explained(error, place, "starting") from error


class RemoteLine:
    """A process of a device server, which ends with the session at the latest.

    The line to the server itself is cut a little later than an answer is due."""

    def __init__(self, device: RemoteDevice, program: bytes, architecture: int) -> None:
        self.place = device.address
        self._device = device
        self._name = uuid.uuid4().hex
        self._limit_s = device.relay.limit_s * REMOTE_SHARE
        self._functions: dict[str, Callable[..., Any]] = {}
        self._call("dlcc.dsp.start", "starting", self._name, program, architecture)

    def exchange(
        self, request: bytes, expected: bytes, total: int, doing: str, work_s: float = 0.0
    ) -> bytes:
        question = (self._name, request, expected, total, self._limit_s + work_s)
        with self._device.relay.allow(work_s):
            return self._call("dlcc.dsp.exchange", doing, *question)

    def close(self) -> None:
        """End the program there; where the session is over, it has ended with that."""
        if not self._device.relay.close.alive:
            return
        try:
            self._call("dlcc.dsp.stop", "ending the model", self._name)
        except DeviceError as error:
            log.debug("the model is not ended in order: %s", error)

    def _call(self, name: str, doing: str, *arguments: object) -> bytes:
        """The answer; its first byte tells whether the rest is one, or the reason why not."""
        with self._device.relay.call(doing):
            if name not in self._functions:
                if (function := self._device.function(name)) is None:
                    raise no_dsp(self.place)
                self._functions[name] = function
            answer = bytes(self._functions[name](*arguments))
        if answer[:1] == b"+":
            return answer[1:]
        told = json.loads(answer[1:])
        raise explained(Ended(told["why"], told["detail"]), self.place, doing)


def no_dsp(address: str) -> DeviceError:
    """For a server that offers none."""
    return DeviceError(
        f"the server at {address} offers no Hexagon DSP",
        hint="start it with `dlcc device serve --dsp auto`, or with the path of a qemu-hexagon",
    )


def explained(ended: Ended, place: str, doing: str) -> DeviceError:
    """The error for a program that gives no answer."""
    detail = ended.detail
    if ended.why == "late":
        return DeviceTimeout(
            f"{place} gave no answer in {float(detail):g} s while {doing}",
            hint="if the model is that slow there, raise the limit with --time-limit SECONDS",
        )
    what, hint = {
        "signal": ("the model crashed there ({}) while {}", "compile it again; else report it"),
        "abort": ("the emulator gave up while {1}: {0}", QFLOAT_HINT),
        "left": ("the model ended by itself ({}) while {}", "compile the model again"),
        "start": ("the emulator does not start: {}", "`dlcc device check emulator -t hexagon`"),
        "chip": ("the code is for another chip: {}", "compile it with `--target hexagon`"),
        "chatter": ("the model answers nonsense: more than it was asked", "compile it again"),
        "gone": ("the model has ended before", "open another session"),
    }[ended.why]
    return DeviceError(f"{place}: {what.format(detail, doing)}", hint=hint)
