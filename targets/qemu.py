"""qemu's user-mode emulators: one program out of the distribution's packages, without root."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dlcc.targets.cache import build_once
from dlcc.targets.command import run_tool
from dlcc.targets.errors import ToolchainError
from dlcc.targets.unpack import Distribution, host_architecture, unpack

log = logging.getLogger("dlcc")


def unpacked(name: str, package: str, program: str, system: Distribution) -> list[str]:
    """The command that starts a program of a release's package, unpacked on first use.

    name: of the folder in the cache. package, program: "qemu-user", "qemu-aarch64".
    A dynamic program is started by its own loader with its own libraries, so that a machine that
    has none of them needs none. Raises ToolchainError when it cannot be had.
    """
    root = build_once(name, partial(_unpack, package, program, system))
    path = root / "usr/bin" / program
    if not _is_dynamic(path):
        return [str(path)]
    loaders = sorted((root / "usr/lib").glob("*-linux-gnu/ld-linux-*.so.*"))
    if not loaders:
        raise ToolchainError(f"no dynamic loader in {root}", hint="remove that folder, try again")
    libraries = ":".join(str(p) for p in (loaders[0].parent, root / "usr/lib"))
    return [str(loaders[0]), "--library-path", libraries, str(path)]


def version_of(command: Sequence[str]) -> str:
    """ "7.2.22", as the emulator tells it; raises ToolchainError."""
    text = run_tool([*command, "--version"])
    found = re.search(r"version (\d+(?:\.\d+)+)", text)
    if found is None:
        raise ToolchainError(f"{Path(command[-1]).name} does not tell its version: {text[:80]!r}")
    return found[1]


def version_key(version: str) -> tuple[int, ...]:
    """For sorting: "10.0.2" is newer than "7.2.22"."""
    return tuple(map(int, version.split(".")))


def _unpack(package: str, program: str, system: Distribution, root: Path) -> None:
    log.info("unpacking %s of %s (once)", package, system.codename)
    unpack([package], host_architecture(), root, system)
    path = root / "usr/bin" / program
    if not path.is_file():
        raise ToolchainError(f"the distribution's {package} has no {program}")
    if path.is_symlink():  # newer releases have one name for both packages
        path.resolve().replace(path)
    # One emulator of the thirty in the package: 10 MB in place of 150.
    for other in (root / "usr/bin").glob("qemu-*"):
        if other.name != program:
            other.unlink()
    if not _is_dynamic(path):
        _keep_only(path, root)


def _is_dynamic(program: Path) -> bool:
    with program.open("rb") as file:
        return b"/ld-linux" in file.read(4096)


def _keep_only(path: Path, root: Path) -> None:
    """A static program needs nothing of what came with it."""
    kept = path.replace(root / path.name)
    for other in root.iterdir():
        if other.is_symlink() or other.is_file():
            if other != kept:
                other.unlink()
        else:
            shutil.rmtree(other)
    path.parent.mkdir(parents=True)
    kept.replace(path)
