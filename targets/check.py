"""What `dlcc device check` finds out about a device."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass

from dlcc.targets.device import Device
from dlcc.targets.registry import DeviceOptions, kind

MUST_AGREE = ("apache-tvm", "apache-tvm-ffi")
NOT_SHOWN = (*MUST_AGREE, "opencl_device")  # the last is for programs


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One fact. good: false where something is missing; hint: what to do then."""

    name: str
    value: str
    good: bool = True
    hint: str = ""


def check(
    address: str, options: DeviceOptions | None = None, meant: str | None = None
) -> list[CheckRow]:
    """Open a device and tell what it is, what it can run, and what it lacks.

    meant: the kind that `local` (by default host) and `emulator` (arm) are of.
    Raises UsageError, DeviceError, ToolchainError.
    """
    start_s = time.perf_counter()
    meant = meant or {"emulator": "arm"}.get(address, "host")
    with _opened(address, options or DeviceOptions(), meant) as device:
        opened_s = time.perf_counter() - start_s
        facts = dict(device.describe())
    rows = [_runs_row(facts)]
    rows += [CheckRow(name, value) for name, value in facts.items() if name not in NOT_SHOWN]
    rows.append(CheckRow("opened in", f"{opened_s:.2f} s"))
    if "architecture" in facts or "dsp" not in facts:  # a lone DSP runs no TVM
        rows += [_version_row(name, facts.get(name, "")) for name in MUST_AGREE]
    if address == "emulator" and meant == "arm" and not facts.get("counts"):
        rows.append(CheckRow("counts", "none", good=False, hint=_why_no_counts()))
    return rows


def _opened(address: str, options: DeviceOptions, meant: str) -> Device:
    """Only the kind decides what `local` and `emulator` are; servers are the same for all kinds."""
    return kind(meant if address in ("emulator", "local") else "host").open_device(address, options)


def _runs_row(facts: Mapping[str, str]) -> CheckRow:
    """The kinds of targets whose code the device takes."""
    architecture = facts.get("architecture", "")
    runs = ["arm"] if architecture in ("aarch64", "arm64") else []
    runs += ["host"] if architecture == platform.machine() else []
    has_opencl = not facts.get("opencl", "none").startswith("none")  # or why there is none
    runs += ["opencl"] if has_opencl else []
    runs += ["hexagon"] if "dsp" in facts else []
    hint = "" if runs else "no target of dlcc makes code for this processor"
    return CheckRow("can run", ", ".join(runs) or "nothing", good=bool(runs), hint=hint)


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
