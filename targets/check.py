"""What `dlcc device check` finds out about a device."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from dlcc.targets.errors import DlccError
from dlcc.targets.registry import DeviceOptions, kind

MUST_AGREE = ("apache-tvm", "apache-tvm-ffi")


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One fact. good: false where something is missing; hint: what to do then."""

    name: str
    value: str
    good: bool = True
    hint: str = ""


def check(
    address: str, target: str = "host", options: DeviceOptions | None = None
) -> list[CheckRow]:
    """Open a device for targets of a kind and tell what it is and what it lacks.

    A device that is not there is a row too; raises UnknownTarget and UsageError only.
    """
    opened_as = kind(target)
    try:
        with opened_as.open_device(address, options or DeviceOptions()) as device:
            facts = dict(device.describe())
    except DlccError as error:
        if error.exit_code == 2:
            raise
        return [CheckRow("device", error.what, good=False, hint=error.hint)]
    rows = [CheckRow(name, value) for name, value in facts.items() if name not in MUST_AGREE]
    rows += [_version_row(name, facts.get(name, "")) for name in MUST_AGREE]
    if address == "emulator" and not facts.get("counts"):
        rows.append(CheckRow("counts", "none", good=False, hint=_why_no_counts()))
    return rows


def _version_row(name: str, there: str) -> CheckRow:
    here = importlib.metadata.version(name)
    if not there:
        return CheckRow(name, "not told", hint=f"this machine has {here}")
    hint = (
        "" if there == here else f"this machine has {here}; run there: pip install {name}=={here}"
    )
    return CheckRow(name, there, good=there == here, hint=hint)


def _why_no_counts() -> str:
    from dlcc.targets.arm.qemu import find_qemu

    return find_qemu().why_not or "counts are exact for one thread: --threads 1"
