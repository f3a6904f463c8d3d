"""An OpenCL device on any machine: PoCL, which runs kernels on the processor."""

from __future__ import annotations

import logging
import os
import shutil
import time
from functools import cache
from pathlib import Path

from dlcc.targets.cache import cache_folder
from dlcc.targets.errors import DeviceError
from dlcc.targets.opencl.plugin import default_program_cache
from dlcc.targets.opencl.pocl_files import LIBRARIES, PROGRAMS, pocl_folder, preloads

log = logging.getLogger("dlcc")

PLATFORM = "Portable Computing Language"
KERNELS_BYTES = 512 << 20  # what PoCL's compiled kernels may take in the cache
IN_USE_S = 3600.0  # a kernel used this recently may be in use by another process


def use_pocl() -> None:
    """Make this process, and those that it starts, run OpenCL on PoCL; unpacked on first use.

    To be called before OpenCL is used. Raises ToolchainError when PoCL cannot be had, and
    DeviceError where this process runs on another OpenCL device already."""
    os.environ.update(pocl_environment())
    if other := _other_device():
        raise DeviceError(
            f"this process runs OpenCL on {other} already, so it cannot have the emulated device",
            hint="use one OpenCL device in a process: run the other model in a process of its own",
        )


def pocl_environment() -> dict[str, str]:
    """The variables by which a process finds PoCL; unpacked on first use.

    Nothing is added to LD_LIBRARY_PATH, which would change what other libraries the process loads:
    the plug-in loads those of PoCL itself, by their paths. Raises ToolchainError."""
    folder = pocl_folder()
    # PoCL links kernels with the `ld` on PATH. Last, so that a machine's own one is used.
    path = _with_last(os.environ.get("PATH", ""), str(folder / PROGRAMS))
    return {**pocl_variables(folder), "PATH": path}


def pocl_variables(folder: Path) -> dict[str, str]:
    """The same of a folder with PoCL's files, for this machine or another, without PATH."""
    kernels = Path(os.environ.get("POCL_CACHE_DIR") or cache_folder() / "pocl-kernels")
    _trim_once(kernels)
    order = preloads(folder)
    pocl = next(path for path in order if path.name.startswith("libpocl.so"))
    our_cache = os.environ.get("DLCC_OPENCL_CACHE")
    return {
        "DLCC_OPENCL_LIBRARY": str(folder / LIBRARIES / "libOpenCL.so.1"),
        "DLCC_OPENCL_PLATFORM": "",
        "DLCC_OPENCL_PRELOAD": ":".join(map(str, order)),
        "OCL_ICD_VENDORS": str(pocl),
        # PoCL keeps compiled kernels itself. A second copy in our own cache would nearly double the
        # time of a first run: PoCL compiles a kernel once more when it is asked for its binary.
        "POCL_CACHE_DIR": str(kernels),
        "DLCC_OPENCL_CACHE": "" if our_cache in (None, default_program_cache()) else our_cache,
    }


def _with_last(path: str, folder: str) -> str:
    folders = [part for part in path.split(os.pathsep) if part and part != folder]
    return os.pathsep.join([*folders, folder])


def _trim(folder: Path) -> None:
    """Bound PoCL's compiled kernels, which it never removes: those used longest ago go first.

    It keeps a folder for each program, in which a file tells by its time when it was used."""
    programs = []
    for used in folder.glob("??/*/last_accessed"):
        try:
            files = [path.stat() for path in used.parent.rglob("*")]
            programs.append((used.stat().st_mtime, sum(f.st_size for f in files), used.parent))
        except OSError:
            continue  # another process removed it just now
    total = sum(size for _, size, _ in programs)
    for used_s, size, path in sorted(programs):
        if total <= KERNELS_BYTES or used_s > time.time() - IN_USE_S:
            return
        shutil.rmtree(path, ignore_errors=True)
        total -= size


@cache
def _trim_once(folder: Path) -> None:
    """`_trim`, once a process: it looks at thousands of files, and sessions ask for PoCL often."""
    _trim(folder)


def _other_device() -> str:
    """The first device of the plug-in, where it is loaded and not on PoCL."""
    import json

    import tvm_ffi

    devices = tvm_ffi.get_global_func("dlcc.opencl.devices", allow_missing=True)
    found = json.loads(devices()) if devices is not None else []
    return next((str(row["name"]) for row in found if PLATFORM not in row["platform"]), "")
