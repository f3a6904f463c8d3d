"""What `dlcc device check` finds out about a device, or about every engine of this machine."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dlcc.targets.device import Device
from dlcc.targets.errors import DeviceError, DlccError, ToolchainError
from dlcc.targets.probe import Probed, chip_for, probe
from dlcc.targets.registry import KINDS, DeviceOptions, Runtime, kind

MUST_AGREE = ("apache-tvm", "apache-tvm-ffi")
NOT_SHOWN = (*MUST_AGREE, "opencl_device")  # the last is for programs
HERE = ("emulator", "local")
CPUS = ("arm", "host")  # kinds whose code a server runs itself
LACKS, TOOLS = 1, 4  # exit codes


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One fact. good: false where something is missing; hint: what to do then.

    engine: which kind of target it is about, "tools" for what builds code, "" for the device as a
    whole.   exit_code: what a row that is not good ends `dlcc device check` with, None: it does
    not."""

    engine: str = field(default="", kw_only=True)
    name: str
    value: str
    good: bool = True
    hint: str = ""
    exit_code: int | None = None


def check(
    address: str,
    options: DeviceOptions | None = None,
    meant: str | None = None,
    tests: bool = True,
) -> list[CheckRow]:
    """Open a device and tell what it is, what it can run, and what it lacks.

    meant: the kind that `local` (by default host) and `emulator` (arm) are of.
    tests: whether a small model is built and run for each engine that it has.
    Raises UsageError, DeviceError, ToolchainError.
    """
    options = options or DeviceOptions()
    start_s = time.perf_counter()
    meant = meant or {"emulator": "arm"}.get(address, "host")
    opened_as = meant if address in HERE else "host"  # servers are the same for all kinds
    with kind(opened_as).open_device(address, options) as device:
        opened_s = time.perf_counter() - start_s
        facts = dict(device.describe())
        engines = [meant] if address in HERE else _runs(facts)
        rows = list(_facts_rows(facts, address, meant))
        rows.append(CheckRow("opened in", f"{opened_s:.2f} s"))
        own = [name for name in engines if address in HERE or name in CPUS][:1]
        rows += _own_tests(device, own, facts, options) if tests else []
    if tests:  # the device has one session at a time
        others = (name for name in engines if name not in own)
        rows += [_other_test(name, address, facts, options) for name in others]
    return rows


def check_all(options: DeviceOptions | None = None, tests: bool = True) -> list[CheckRow]:
    """The engines of this machine, each at the first of its own addresses that opens, and the tools
    that make code for them. What cannot be opened is a row that is not good."""
    rows = [row for name in KINDS for row in _engine(name, options or DeviceOptions(), tests)]
    return [*rows, *_tools()]


def _engine(name: str, options: DeviceOptions, tests: bool) -> Iterator[CheckRow]:
    failures: dict[str, DlccError] = {}
    for address in (kind(name).default_device, *kind(name).further_devices):
        try:
            rows = check(address, options, name, tests)
        except (DeviceError, ToolchainError) as error:
            failures[address] = error
            continue
        yield from (
            CheckRow(f"not {passed}", error.what, hint=error.hint, engine=name)
            for passed, error in failures.items()
        )
        yield from (replace(row, engine=name) for row in rows)
        return
    said = "; ".join(error.what for error in failures.values())
    hint, code = next((error.hint, error.exit_code) for error in failures.values())
    yield CheckRow("can run", f"nothing: {said}", False, hint, code, engine=name)


def _facts_rows(facts: Mapping[str, str], address: str, meant: str) -> Iterator[CheckRow]:
    yield _runs_row(facts)
    shown = {name: value for name, value in facts.items() if name not in NOT_SHOWN and value}
    if "opencl_device" in facts:  # a server tells more of it than it shows
        from dlcc.targets.opencl.found import Found

        shown = Found(0, json.loads(facts["opencl_device"])).describe() | shown
    yield from (CheckRow(name, value) for name, value in shown.items())
    if "architecture" in facts or "dsp" not in facts:  # a lone DSP runs no TVM
        yield from (_version_row(name, facts.get(name, "")) for name in MUST_AGREE)
    if address == "emulator" and meant == "arm" and not facts.get("counts"):
        yield CheckRow("counts", "none", False, _why_no_counts(), exit_code=LACKS)


def _own_tests(
    device: Device, engines: Sequence[str], facts: Mapping[str, str], options: DeviceOptions
) -> Iterator[CheckRow]:
    """The unit test on a device that is open, and for libraries beside it."""
    for name in engines:
        chip = chip_for(name, facts)
        yield _test_row(name, kind(name).runtime, probe(device, chip))
        for runtime, way in kind(name).others.items():
            if device.address in HERE:
                yield _opened_test(name, runtime, way, device.address, chip, options)
            else:
                yield CheckRow(f"runtime {runtime}", "not over RPC", engine=name)


def _other_test(
    name: str, address: str, facts: Mapping[str, str], options: DeviceOptions
) -> CheckRow:
    """The unit test of a further engine of a device."""
    own = kind(name)
    chip = chip_for(name, facts)
    return _opened_test(name, own.runtime, own.run_by(None), address, chip, options)


def _opened_test(
    name: str, runtime: str, way: Runtime, address: str, chip: str, options: DeviceOptions
) -> CheckRow:
    try:
        with way.open_device(address, options) as device:
            return _test_row(name, runtime, probe(device, chip, runtime))
    except DlccError as error:
        return _test_row(name, runtime, Probed(False, error.what, error.hint))


def _test_row(name: str, runtime: str, probed: Probed) -> CheckRow:
    code = None if probed.good else LACKS
    row = f"runtime {runtime}"
    return CheckRow(row, probed.said, probed.good, probed.hint, code, engine=name)


def _runs(facts: Mapping[str, str]) -> list[str]:
    """The kinds of targets whose code the device takes."""
    architecture = facts.get("architecture", "")
    runs = ["arm"] if architecture in ("aarch64", "arm64") else []
    runs += ["host"] if architecture == platform.machine() else []
    has_opencl = not facts.get("opencl", "none").startswith("none")  # or why there is none
    runs += ["opencl"] if has_opencl else []
    return runs + (["hexagon"] if "dsp" in facts else [])


def _runs_row(facts: Mapping[str, str]) -> CheckRow:
    if runs := _runs(facts):
        return CheckRow("can run", ", ".join(runs))
    hint = "no target of dlcc makes code for this processor"
    return CheckRow("can run", "nothing", False, hint, exit_code=LACKS)


def _version_row(name: str, there: str) -> CheckRow:
    here = importlib.metadata.version(name)
    if not there:
        return CheckRow(name, "not told", hint=f"this machine has {here}")
    if there == here:
        return CheckRow(name, there)
    hint = f"this machine has {here}; run there: pip install {name}=={here}"
    return CheckRow(name, there, False, hint, exit_code=LACKS)


def _tools() -> Iterator[CheckRow]:
    """What makes code, and what is there to read models with."""
    from dlcc.targets.aot.clang import find_clang
    from dlcc.targets.link import find_linker

    here = platform.machine()
    finds: list[tuple[str, Callable[[str], list[str]], str]] = [
        *((f"linker for {name}", find_linker, name) for name in dict.fromkeys((here, "aarch64"))),
        ("C compiler", find_clang, f"{here}-linux-gnu"),
    ]
    for name, find, what in finds:
        try:
            yield CheckRow(name, " ".join(find(what)), engine="tools")
        except ToolchainError as error:
            yield CheckRow(name, error.what, False, error.hint, TOOLS, engine="tools")
    for package, use in (("tensorflow", "some forms of models"), ("xgboost-cpu", "tuning")):
        try:
            yield CheckRow(package, importlib.metadata.version(package), engine="tools")
        except importlib.metadata.PackageNotFoundError:
            yield CheckRow(package, f"not installed; {use} need it", engine="tools")


def _why_no_counts() -> str:
    from dlcc.targets.arm.qemu import find_qemu

    return find_qemu().why_not or "counts are exact for one thread: --threads 1"
