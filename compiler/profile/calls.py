"""A profile in one form, whatever its device: measured just now, or saved by `--json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlcc.compiler.errors import UsageError
from dlcc.compiler.profile.rows import Profile, TimeProfile

SECONDS = "seconds"
HINT = "`dlcc profile MODEL --json > FILE` writes one"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a kernel, or one copy.

    cost: in the unit of its profile.   bytes: copied, or of all operands; None where not known.
    """

    number: int
    kernel: str
    placement: str
    cost: float
    share: float
    nodes: tuple[str, ...]
    macs: int | None = None
    bytes: int | None = None
    of_peak: float | None = None


@dataclass(frozen=True, slots=True)
class Calls:
    """One inference. name: what to call it.   unit: "seconds", "instructions" or "packets".

    peak: what each call's `of_peak` is compared with, in words."""

    name: str
    target: str
    device: str
    unit: str
    calls: tuple[Call, ...]
    peak: str = ""

    @property
    def cost(self) -> float:
        return sum(call.cost for call in self.calls)


def calls_of(profile: Profile | TimeProfile, name: str) -> Calls:
    """The calls of a profile that was just measured."""
    return _calls(asdict(profile), name)


def read_saved(path: Path) -> Calls:
    """The calls of a profile that `--json` wrote.   Raises UsageError."""
    try:
        told = json.loads(path.read_text("utf-8"))
        return _calls(told, path.stem)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", hint=HINT) from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{path} is no saved profile: {what}", hint=HINT) from error


def _calls(told: Mapping[str, Any], name: str) -> Calls:
    """Raises KeyError, ValueError, TypeError or AttributeError for what is none."""
    rows = told["kernels"]
    unit = "packets" if "packets" in told else next(iter(told["counts"]), SECONDS)
    calls = tuple(_call(number, row, unit) for number, row in enumerate(rows, 1))
    target, device = str(told["target"]), str(told["device"])
    return Calls(name, target, device, unit, calls, str(told.get("peak") or ""))


def _call(number: int, row: Mapping[str, Any], unit: str) -> Call:
    if unit == "packets":
        cost = row["packets"]
    else:
        cost = row["time_s"] if unit == SECONDS else row["counts"][unit]
    copied = row.get("copied_bytes")
    return Call(
        number=number,
        kernel=str(row["kernel"]),
        placement=str(row.get("placement", "dsp")),
        cost=_number(cost),
        share=_number(row["share"]),
        nodes=tuple(map(str, row["nodes"])),
        macs=_optional(row.get("macs")),
        bytes=_optional(row.get("operand_bytes") if copied is None else copied),
        of_peak=None if row.get("of_peak") is None else _number(row["of_peak"]),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return value


def _optional(value: Any) -> int | None:
    return None if value is None else int(_number(value))


def amount(cost: float, unit: str) -> dict[str, Any]:
    """A cost as rows tell it: seconds, or how many of what was counted."""
    return (
        {"time_s": cost, "counts": {}}
        if unit == SECONDS
        else {"time_s": None, "counts": {unit: round(cost)}}
    )


def cost_text(cost: float | None, unit: str) -> str:
    """`0.181 ms`, or `12,345`; `-` where there is none."""
    if cost is None:
        return "-"
    return f"{cost * 1e3:.3f} ms" if unit == SECONDS else f"{round(cost):,}"
