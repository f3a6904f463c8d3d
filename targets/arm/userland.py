"""The emulated device's files: the distribution's Python for arm64 and TVM's arm64 runtime."""

from __future__ import annotations

import importlib.metadata
import logging
import re
import time
from functools import partial
from pathlib import Path

from dlcc.targets.arm.qemu import Qemu
from dlcc.targets.cache import build_once
from dlcc.targets.command import run_tool
from dlcc.targets.errors import ToolchainError
from dlcc.targets.unpack import distribution, unpack
from dlcc.targets.wheels import unpack_wheels

log = logging.getLogger("dlcc")

RECIPE = 1  # raise when what `_build` does changes, so that every cache builds it anew

DISTRIBUTION_PACKAGES = ("python3", "libstdc++6")
# The server needs no numpy; without it the device starts a third faster and is 60 MB smaller.
WHEELS = ("apache-tvm", "apache-tvm-ffi", "typing-extensions")
# Of TVM only the runtime goes there, 5 MB in place of 270.
UNUSED = ("libtvm_compiler.so", "libtvm_runtime_cuda.so")
UNUSED_FOLDERS = ("/include/", "/3rdparty/")

TRIAL = "import tvm_ffi, argparse, json, logging, mmap, select, shutil, socket, tempfile"

# What an Arm kernel writes in /proc/cpuinfo: the host's, of another architecture, makes libraries
# that read it fail. Implementer and part are those of a Cortex-A76.
CPUINFO = """\
processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc \
dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""


def userland(qemu: Qemu) -> Path:
    """The folder with the device's files, built on first use (about 10 s, needs the network).

    Raises ToolchainError when its packages cannot be had, or do not run under `qemu`.
    """
    tvm, ffi = (importlib.metadata.version(name) for name in ("apache-tvm", "apache-tvm-ffi"))
    return build_once(
        f"arm64-{distribution().codename}-tvm{tvm}-ffi{ffi}-{RECIPE}", partial(_build, qemu)
    )


def python_of(root: Path) -> Path:
    """The Python of a user land, by its name with the version; raises ToolchainError."""
    found = [p for p in (root / "usr/bin").glob("python3.*") if re.fullmatch(r"3\.\d+", p.name[6:])]
    if len(found) != 1:
        raise ToolchainError(f"{root} has {len(found)} Pythons, expected one")
    return found[0]


def packages_of(root: Path) -> Path:
    """Where a user land's Python packages are."""
    return root / "usr/lib/python3/dist-packages"


def _build(qemu: Qemu, root: Path) -> None:
    began_s = time.monotonic()
    log.info("building the emulated Arm device's files (once)")
    unpack(DISTRIBUTION_PACKAGES, "arm64", root)
    log.info("fetching TVM's runtime for it")
    unpack_wheels(
        [_pinned(name) for name in WHEELS],
        machine="aarch64",
        python=python_of(root).name.removeprefix("python"),
        folder=packages_of(root),
        keep=_kept,
    )
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(CPUINFO)
    # Proves that it runs, and leaves Python's compiled files there, which every start then reads.
    run_tool(
        [*qemu.command, "-cpu", "max", "-L", str(root), str(python_of(root)), "-c", TRIAL],
        env={"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(packages_of(root))},
        hint="remove the cache folder and try again",
    )
    log.info("built in %.1f s", time.monotonic() - began_s)


def _pinned(name: str) -> str:
    """TVM as it is installed here, since host and device must speak the same protocol; the rest
    in any version that the device's Python takes."""
    pinned = name.startswith("apache-tvm")
    return f"{name}=={importlib.metadata.version(name)}" if pinned else name


def _kept(path: str) -> bool:
    return not path.endswith(UNUSED) and not any(folder in path for folder in UNUSED_FOLDERS)
