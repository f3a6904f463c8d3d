"""PoCL's files: the distribution's packages, unpacked into the cache and trimmed.

PoCL is an OpenCL for processors. Its packages bring clang, headers and a linker too, so that the
same folder serves as a C++ compiler on a machine that has none.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dlcc.targets.cache import build_once, cache_folder
from dlcc.targets.errors import ToolchainError
from dlcc.targets.opencl.elf import load_order
from dlcc.targets.unpack import (
    ARCHITECTURES,
    Distribution,
    distribution,
    host_architecture,
    release,
    unpack,
)

log = logging.getLogger("dlcc")

RECIPE = 3  # raise when what `_build` leaves changes, so that every cache builds it anew
PACKAGES = ("pocl-opencl-icd", "ocl-icd-libopencl1")
# Every process that has loaded TVM has these, and there must not be two of them in one.
OF_THE_PROCESS = (
    *("ld-linux", "libc.so", "libm.so", "libmvec.so", "libdl.so", "libpthread.so", "librt.so"),
    *("libstdc++.so", "libgcc_s.so"),
)
LIBRARIES, PROGRAMS, ORDER = "run/lib", "run/bin", "run/preload"
COMPILER = "dlcc-c++"  # a name that no search on PATH takes for the machine's own
# What a C++ compiler needs of the folder with the machine's libraries, to link a library.
TO_LINK = (
    *("crti.o", "crtn.o", "Scrt1.o", "libc.so", "libc.so.6", "libc_nonshared.a", "libm.so"),
    *("libdl.a", "libdl.so", "libdl.so.2", "libm.so.6", "libmvec.so.1"),
    *("libstdc++.so.6", "libgcc_s.so.1", "ld-linux-*.so.*"),
)
WRAPPER = """\
#!/bin/sh
here=$(CDPATH= cd -- "${{0%/*}}" && pwd)
LD_LIBRARY_PATH="$here/../lib" exec "$here/../../{program}" {arguments} "$@"
"""


def pocl_folder(architecture: str = "") -> Path:
    """The folder with PoCL's files, made on first use (about 15 s, needs the network).

    architecture: by the distribution's name, "arm64" for instance; by default this machine's.
    Raises ToolchainError when the packages cannot be had."""
    if not architecture and (folder := unpacked_pocl()):
        return folder
    architecture = architecture or host_architecture()
    return build_once(_name(distribution(), architecture), partial(_build, architecture))


def unpacked_pocl() -> Path | None:
    """The same where it is there already."""
    system = release()
    if system is None or platform.machine() not in ARCHITECTURES:
        return None  # no packages for this machine, so none were unpacked
    folder = cache_folder() / _name(system, host_architecture())
    return folder if folder.is_dir() else None


def preloads(folder: Path) -> list[Path]:
    """The libraries that a process has to load, in this order, before it opens PoCL."""
    return [folder / line for line in (folder / ORDER).read_text().splitlines()]


def machine_libraries(folder: Path) -> Path:
    """Where the distribution keeps libraries of one machine: /usr/lib/x86_64-linux-gnu."""
    named = (folder / f"usr/lib/{machine}-linux-gnu" for machine in ARCHITECTURES)
    return _only((path for path in named if path.is_dir()), "libraries")


def _name(system: Distribution, architecture: str) -> str:
    return f"pocl-{system.codename}-{architecture}-{RECIPE}"


def _build(architecture: str, folder: Path) -> None:
    began_s = time.monotonic()
    log.info("unpacking PoCL, an OpenCL for processors, for %s (once)", architecture)
    unpack(PACKAGES, architecture, folder)
    _prepare(folder)
    _trim(folder)
    log.info("unpacked in %.1f s", time.monotonic() - began_s)


def _only(found: Iterator[Path], what: str) -> Path:
    paths = sorted(found)
    if not paths:
        raise ToolchainError(f"the distribution's {PACKAGES[0]} has no {what}")
    return paths[-1]


def _prepare(folder: Path) -> None:
    """Lay out what a process loads, and the programs that need libraries of this folder."""
    libraries = machine_libraries(folder)
    pocl = _only(libraries.glob("libpocl.so.?"), "libpocl.so")
    devices = [libraries / "pocl" / f"libpocl-devices-{n}.so" for n in ("basic", "pthread")]
    clang = _only(folder.glob("usr/lib/llvm-*/bin/clang"), "clang")
    linker = _only((folder / "usr/bin").glob("*-linux-gnu-ld.bfd"), "ld")
    (folder / LIBRARIES).mkdir(parents=True)
    (folder / PROGRAMS).mkdir()
    available = {
        path.name: path
        for place in (libraries, libraries / "pocl", clang.parents[1] / "lib")
        for path in place.glob("*.so*")
        if not path.name.startswith(OF_THE_PROCESS)
    }
    seeds = [pocl, *(path for path in devices if path.exists())]
    order = load_order(seeds, available)
    loader = libraries / "libOpenCL.so.1"
    for path in (*order, loader, *load_order([clang, linker], available)):
        if ".so" in path.name:
            link = folder / LIBRARIES / path.name
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(path.resolve(), link.parent))
    # by their real paths: PoCL finds its files from where it was loaded
    real = dict.fromkeys(path.resolve().relative_to(folder.resolve()) for path in order)
    (folder / ORDER).write_text("".join(f"{path}\n" for path in real))
    _wrap(folder, "ld", linker, "")
    # -B: where it finds the linker; the folder is its system, whatever else the machine has
    arguments = '--driver-mode=g++ --sysroot="$here/../.." -B"$here"'
    _wrap(folder, COMPILER, clang.resolve(), arguments)


def _wrap(folder: Path, name: str, program: Path, arguments: str) -> None:
    path = folder / PROGRAMS / name
    path.write_text(WRAPPER.format(program=program.relative_to(folder), arguments=arguments))
    path.chmod(0o755)


def _trim(folder: Path) -> None:
    """Remove what neither PoCL nor the compiler reads: more than half."""
    kept = {path.resolve() for path in (folder / LIBRARIES).iterdir()}
    libraries = machine_libraries(folder)
    kept |= {path.resolve() for name in TO_LINK for path in libraries.glob(name)}
    kept |= {path.absolute() for name in TO_LINK for path in libraries.glob(name)}
    kept |= set((libraries / "pocl").glob("*.so"))
    kept |= set(folder.glob("usr/lib*/ld-linux*.so.*"))  # the linker's script for libc names it
    whole = [folder / "run", folder / "usr/share/pocl", folder / "usr/include"]
    whole += folder.glob("usr/lib/llvm-*/lib/clang/*/include")
    for path in folder.glob("usr/lib/llvm-*/bin/clang"):
        kept |= {path, path.resolve()}
    kept |= {path.resolve() for path in folder.glob("usr/bin/*-linux-gnu-ld.bfd")}
    for name in ("crt*.o", "libgcc.a", "libgcc_s.so*", "libstdc++.so"):
        kept |= set(folder.glob(f"usr/lib/gcc/*-linux-gnu/*/{name}"))
    for at, folders, files in os.walk(folder):
        here = Path(at)
        folders[:] = [name for name in folders if here / name not in whole]
        for name in (*files, *(n for n in folders if (here / n).is_symlink())):
            if here / name not in kept and not _leads_to_folder(here / name):
                (here / name).unlink()
    _remove_empty(folder)


def _leads_to_folder(path: Path) -> bool:
    return path.is_symlink() and path.is_dir()


def _remove_empty(folder: Path) -> None:
    """Folders without files, and links that lead nowhere, which may be all that a folder has."""
    found = True
    while found:
        paths = list(folder.rglob("*"))
        dangling = [path for path in paths if path.is_symlink() and not path.exists()]
        plain = [path for path in paths if path.is_dir() and not path.is_symlink()]
        empty = [path for path in plain if not any(path.iterdir())]
        for path in dangling:
            path.unlink()
        for path in empty:
            path.rmdir()
        found = bool(dangling or empty)
