"""Links object files with nothing but a linker: no compiler, no C library.

A shared library names no other library (no DT_NEEDED): its few undefined symbols, mathematics and
the runtime's entry points, are those of the process that loads it.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlcc.targets.errors import ToolchainError

log = logging.getLogger("dlcc")

# 16 KiB pages: what Android 15 asks of shared libraries; harmless where pages are smaller.
# --build-id=none: some linkers add one by default, which would depend on the linker's version.
FLAGS = (
    "-shared",
    "-s",
    "-z",
    "max-page-size=16384",
    "--hash-style=both",
    "--build-id=none",
)
EMULATIONS = {"x86_64": "elf_x86_64", "aarch64": "aarch64linux"}
TIME_LIMIT_S = 120


def find_linker(machine: str) -> list[str]:
    """The command of a linker for ELF files of `machine` ("x86_64" or "aarch64").

    In order: DLCC_LINKER, ld.lld on PATH, binutils' cross linker, this machine's own ld,
    the lld inside the ziglang package. Raises ToolchainError if there is none.
    """
    if given := os.environ.get("DLCC_LINKER"):
        return shlex.split(given)
    names = ["ld.lld", f"{machine}-linux-gnu-ld"]
    if platform.machine() == machine and platform.system() == "Linux":
        names.append("ld")
    for name in names:
        if path := shutil.which(name):
            return [path]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "ld.lld"]
    raise ToolchainError(
        f"no linker for {machine} found (looked for {', '.join(names)} on PATH and for ziglang)",
        hint="pip install 'dlcc[cross]', or name one in DLCC_LINKER",
    )


def link(objects: Sequence[Path], machine: str) -> bytes:
    """Shared library made of the object files, as bytes.

    Raises ToolchainError if there is no linker, or with the linker's own words if it fails.
    """
    with tempfile.TemporaryDirectory(prefix="dlcc-link-") as folder:
        output = Path(folder) / "module.so"
        command = [*find_linker(machine), "-m", EMULATIONS[machine], *FLAGS]
        command += ["-o", str(output), *map(str, objects)]
        _run(command)
        return output.read_bytes()


def link_program(objects: Sequence[Path], machine: str, keep: Sequence[str] = ()) -> bytes:
    """Static program made of the object files, as bytes; unused functions are left out.

    keep: symbols that stay although nothing in the program reads them.
    Raises ToolchainError if there is no linker, or with the linker's own words if it fails,
    for instance because a function is missing.
    """
    with tempfile.TemporaryDirectory(prefix="dlcc-link-") as folder:
        output = Path(folder) / "model.elf"
        command = [*find_linker(machine), "-static", "--gc-sections", "--build-id=none"]
        command.append("--strip-debug")  # TVM describes every line
        command += [f"--undefined={symbol}" for symbol in keep]
        _run([*command, "-o", str(output), *map(str, objects)])
        return output.read_bytes()


def without_debug(code: bytes, machine: str) -> bytes:
    """An object file without what TVM says of every line, which is not the same in every run.

    Raises ToolchainError if there is no linker, or with the linker's own words if it fails."""
    with tempfile.TemporaryDirectory(prefix="dlcc-link-") as folder:
        given, output = Path(folder) / "given.o", Path(folder) / "plain.o"
        given.write_bytes(code)
        command = [*find_linker(machine), "-m", EMULATIONS[machine], "-r", "--strip-debug"]
        _run([*command, "-o", str(output), str(given)])
        return output.read_bytes()


def _run(command: Sequence[str]) -> None:
    log.debug("link: %s", shlex.join(command))
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(
            f"the linker did not run: {shlex.join(command)}: {error}",
            hint="unset DLCC_LINKER, or pip install 'dlcc[cross]' for a linker that works",
        ) from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise ToolchainError(
            f"the linker failed (exit code {done.returncode}): {shlex.join(command)}\n{tail}",
            hint="name another linker in DLCC_LINKER, or pip install 'dlcc[cross]' and "
            "`DLCC_LINKER='python -m ziglang ld.lld'`",
        )
