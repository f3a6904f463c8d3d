"""The line to a running program: an emulator's pipes, here or behind a device server."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from typing import Any

from dlcc.targets.aot.line import REASONS, Line, LocalLine, explained
from dlcc.targets.errors import DeviceError
from dlcc.targets.rpc.client import RemoteDevice
from dlcc.targets.rpc.dsp import Emulator, Ended

log = logging.getLogger("dlcc")

# Of the time limit of a remote call, so that the server's answer comes before it ends.
REMOTE_SHARE = 0.9
QFLOAT_HINT = (
    "no qemu decodes floating-point vector code (v68 and later): compile for the emulator with "
    "`--target hexagon`, or run it on a real DSP"
)
# Why a program gives no answer -> what happened, what to do.
ENDS = {
    **REASONS,
    "abort": ("the emulator gave up while {1}: {0}", QFLOAT_HINT),
    "start": ("the emulator does not start: {}", "`dlcc device check emulator -t hexagon`"),
    "chip": ("the code is for another chip: {}", "compile it with `--target hexagon`"),
}

Start = Callable[[bytes, int], Line]  # program, architecture


def start_here(emulator: Emulator, limit_s: float, program: bytes, architecture: int) -> Line:
    """Start a program; raises DeviceError."""
    place = f"qemu-hexagon {emulator.version}"
    try:
        return LocalLine(emulator.start(program, architecture), place, limit_s, ENDS)
    except Ended as error:
        raise explained(error, place, "starting", ENDS) from error


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
        raise explained(Ended(told["why"], told["detail"]), self.place, doing, ENDS)


def no_dsp(address: str) -> DeviceError:
    """For a server that offers none."""
    return DeviceError(
        f"the server at {address} offers no Hexagon DSP",
        hint="start it with `dlcc device serve --dsp auto`, or with the path of a qemu-hexagon",
    )
