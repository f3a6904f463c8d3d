"""The emulator: qemu's user mode for arm64, and the plug-in that counts instructions in it."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from dlcc.targets.cache import build_once
from dlcc.targets.command import run_tool
from dlcc.targets.errors import ToolchainError
from dlcc.targets.qemu import unpacked, version_of
from dlcc.targets.unpack import Distribution, distribution, host_architecture

log = logging.getLogger("dlcc")

RECIPE = 1  # raise when what `targets/qemu.py` leaves there changes
COUNTERS_BYTES = 4096
# From Debian 13 on qemu-user is a static program, which cannot load plug-ins.
WITH_PLUGINS = {"debian": ("bookworm",), "ubuntu": ("noble", "jammy")}


@dataclass(frozen=True, slots=True)
class Qemu:
    """command: how to start it. version: "7.2.22". counter: the plug-in that counts, None where
    it is not to be had. why_not: the reason for that, one line."""

    command: Sequence[str]
    version: str
    counter: Path | None
    why_not: str = ""


def find_qemu() -> Qemu:
    """The emulator on PATH if it takes plug-ins, else the distribution's, unpacked on first use.

    A plug-in that cannot be built or loaded costs the counts, not the device.
    Raises ToolchainError when there is no emulator to be had.
    """
    command = _on_path() or _unpacked()
    version = version_of(command)
    try:
        counter = _counter(command, version)
    except ToolchainError as error:
        why_not = f"qemu {version} cannot count instructions: {error.what.splitlines()[-1]}"
        log.warning("%s", why_not)
        return Qemu(command, version, None, why_not)
    return Qemu(command, version, counter)


def _on_path() -> list[str] | None:
    found = shutil.which("qemu-aarch64")
    return [found] if found and _takes_plugins([found]) else None


def _takes_plugins(command: Sequence[str]) -> bool:
    return "-plugin" in run_tool([*command, "-help"])


def _unpacked() -> list[str]:
    """qemu out of the cache: this release's, or else one of another release that takes plug-ins.

    A package of another release runs as well as an own one, since it brings its libraries along."""
    system = distribution()
    own = _unpacked_of(system)
    if _takes_plugins(own):
        return own
    for codename in WITH_PLUGINS.get(system.name, ()):
        try:
            other = _unpacked_of(Distribution(system.name, codename))
            if _takes_plugins(other):
                return other
        except ToolchainError as error:
            log.warning("no qemu of %s: %s", codename, error)
    return own


def _unpacked_of(system: Distribution) -> list[str]:
    name = f"qemu-{system.codename}-{host_architecture()}-{RECIPE}"
    return unpacked(name, "qemu-user", "qemu-aarch64", system)


def _counter(command: Sequence[str], version: str) -> Path:
    """The counting plug-in for this qemu; raises ToolchainError when it cannot be had."""
    api = 1 if int(version.split(".")[0]) < 9 else 2
    source = resources.files("dlcc.targets.arm").joinpath("counter.c").read_bytes()
    mark = hashlib.sha256(source).hexdigest()[:12]

    def build(folder: Path) -> None:
        (folder / "counter.c").write_bytes(source)
        output = str(folder / "counter.so")
        flags = ["-O2", "-shared", "-fPIC", f"-DPLUGIN_API={api}", "-o", output]
        run_tool([*_compiler(), *flags, str(folder / "counter.c")])
        _try_counter(command, folder / "counter.so")

    return build_once(f"counter-qemu{version}-{mark}", build) / "counter.so"


def _compiler() -> list[str]:
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise ToolchainError("no C compiler found", hint="pip install ziglang")


def _try_counter(command: Sequence[str], plugin: Path) -> None:
    """Load the plug-in into qemu, with no program to run: qemu reads its plug-ins first."""
    counters = plugin.with_name("counters")
    counters.write_bytes(bytes(COUNTERS_BYTES))
    tried = subprocess.run(
        [*command, "-plugin", f"{plugin},out={counters}", "/nonexistent"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "plugin" in tried.stderr.lower():
        raise ToolchainError(tried.stderr.strip())
