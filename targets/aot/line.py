"""The line to a running program: its pipes, and the errors where it gives no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dlcc.targets.errors import DeviceError, DeviceTimeout
from dlcc.targets.rpc.dsp import Ended, Process

Reasons = Mapping[str, tuple[str, str]]

# Why a program gives no answer (`Ended.why`) -> what happened, what to do.
REASONS: Reasons = {
    "signal": ("the model crashed there ({}) while {}", "compile it again; else report it"),
    "abort": ("the emulator gave up while {1}: {0}", "compile the model for an older chip"),
    "left": ("the model ended by itself ({}) while {}", "compile the model again"),
    "start": ("it does not start: {}", "`dlcc device check` tells what is missing"),
    "chatter": ("the model answers nonsense: more than it was asked", "compile it again"),
    "gone": ("the model has ended before", "open another session"),
}


class Line(Protocol):
    """`exchange` as of `targets/rpc/dsp.py`; raises DeviceError for every end of the program.

    place: where the program runs, for errors. work_s: what the answer may take beyond the limit."""

    place: str

    def exchange(
        self, request: bytes, expected: bytes, total: int, doing: str, work_s: float = 0.0
    ) -> bytes: ...

    def close(self) -> None: ...


class LocalLine:
    """A process of this machine. reasons: as of `explained`."""

    def __init__(
        self, process: Process, place: str, limit_s: float, reasons: Reasons = REASONS
    ) -> None:
        self._process = process
        self.place = place
        self._limit_s = limit_s
        self._reasons = reasons

    def exchange(
        self, request: bytes, expected: bytes, total: int, doing: str, work_s: float = 0.0
    ) -> bytes:
        try:
            return self._process.exchange(request, expected, total, self._limit_s + work_s)
        except Ended as error:
            raise explained(error, self.place, doing, self._reasons) from error

    def close(self) -> None:
        self._process.close()


def explained(ended: Ended, place: str, doing: str, reasons: Reasons = REASONS) -> DeviceError:
    """The error for a program that gives no answer. reasons: `Ended.why` -> what, hint."""
    detail = ended.detail
    if ended.why == "late":
        return DeviceTimeout(
            f"{place} gave no answer in {float(detail):g} s while {doing}",
            hint="if the model is that slow there, raise the limit with --time-limit SECONDS",
        )
    what, hint = reasons[ended.why]
    return DeviceError(f"{place}: {what.format(detail, doing)}", hint=hint)
