"""The emulator: qemu's user mode for arm64, and the plug-in that counts instructions in it."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

from dlcc.targets.cache import build_once
from dlcc.targets.command import run_tool
from dlcc.targets.errors import ToolchainError
from dlcc.targets.unpack import Distribution, distribution, host_architecture, unpack

log = logging.getLogger("dlcc")

RECIPE = 1  # raise when what `_unpack_qemu` does changes
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
    version = _version(command)
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
    """The command that starts a release's qemu. A dynamic program is started by its own loader with
    its own libraries, so that a machine that has none of them needs none."""
    name = f"qemu-{system.codename}-{host_architecture()}-{RECIPE}"
    root = build_once(name, partial(_unpack_qemu, system))
    program = root / "usr/bin/qemu-aarch64"
    with program.open("rb") as file:
        dynamic = b"/ld-linux" in file.read(4096)
    if not dynamic:
        return [str(program)]
    loaders = sorted((root / "usr/lib").glob("*-linux-gnu/ld-linux-*.so.*"))
    if not loaders:
        raise ToolchainError(f"no dynamic loader in {root}", hint="remove that folder, try again")
    libraries = ":".join(str(p) for p in (loaders[0].parent, root / "usr/lib"))
    return [str(loaders[0]), "--library-path", libraries, str(program)]


def _unpack_qemu(system: Distribution, root: Path) -> None:
    log.info("unpacking qemu-user of %s (once)", system.codename)
    unpack(["qemu-user"], host_architecture(), root, system)
    # One emulator of the thirty in the package: 10 MB in place of 150.
    for program in (root / "usr/bin").glob("qemu-*"):
        if program.name != "qemu-aarch64":
            program.unlink()
    if not (root / "usr/bin/qemu-aarch64").is_file():
        raise ToolchainError("the distribution's qemu-user has no qemu-aarch64")


def _version(command: Sequence[str]) -> str:
    text = run_tool([*command, "--version"])
    found = re.search(r"version (\d+(?:\.\d+)+)", text)
    if found is None:
        raise ToolchainError(f"qemu-aarch64 does not tell its version: {text[:80]!r}")
    return found[1]


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
