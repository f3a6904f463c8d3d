"""OpenCL within the emulated Arm device: PoCL for arm64, and the plug-in built for it here.

PoCL compiles kernels in the device, under emulation. What links them is this machine's linker: a
program that the device starts is started by the kernel below, and so may be of either machine.
"""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path

from dlcc.targets.cache import build_once
from dlcc.targets.link import find_linker
from dlcc.targets.opencl.plugin import NAME, OPTIMISED, Compiler, build, key
from dlcc.targets.opencl.pocl import pocl_variables
from dlcc.targets.opencl.pocl_files import (
    COMPILER,
    PROGRAMS,
    machine_libraries,
    pocl_folder,
)

MACHINE, ARCHITECTURE = "aarch64", "arm64"
# env -i: the variables of the device are not for a Python of this machine.
LINKER = """\
#!/bin/sh
exec env -i PATH={path} {linker} --sysroot={root} {folders} "$@"
"""


def offer_opencl(packages: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Further arguments of the device's server and its variables; all is built on first use.

    packages: the device's Python packages. folder: the server's own.
    Raises ToolchainError when something cannot be had or built.
    """
    pocl = pocl_folder(ARCHITECTURE)
    plugin = build_once(f"{pocl.name}-plugin-{key(MACHINE)}", partial(_build, pocl, packages))
    programs = folder / "bin"
    programs.mkdir()
    _write_linker(programs / "ld", pocl)
    variables = {
        **pocl_variables(pocl),
        "PATH": f"{programs}:/usr/bin:/bin",
        "POCL_DEVICES": "basic",  # one thread, so that counts stay exact
    }
    return ["--opencl", str(plugin / NAME)], variables


def _build(pocl: Path, packages: Path, folder: Path) -> None:
    """With the clang of PoCL's packages for this machine, which has the back ends of all."""
    linker = folder / "ld"
    _write_linker(linker, pocl)
    clang = str(pocl_folder() / PROGRAMS / COMPILER)
    flags = (f"--target={MACHINE}-linux-gnu", f"--sysroot={pocl}", f"--ld-path={linker}")
    build(folder, Compiler((clang, *flags)), OPTIMISED, packages)
    linker.unlink()


def _write_linker(path: Path, pocl: Path) -> None:
    """A linker for the device that finds the device's libraries wherever it is started."""
    folders = [machine_libraries(pocl), *(pocl / "usr/lib/gcc").glob("*/*")]
    path.write_text(
        LINKER.format(
            path=shlex.quote(os.environ.get("PATH", os.defpath)),
            linker=shlex.join(find_linker(MACHINE)),
            root=shlex.quote(str(pocl)),
            folders=shlex.join(f"-L{each}" for each in folders),
        )
    )
    path.chmod(0o755)
