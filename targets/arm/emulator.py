"""The emulated Arm device: TVM's arm64 runtime under qemu, one process, one thread, counted."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from dlcc.targets.arm.opencl import offer_opencl
from dlcc.targets.arm.qemu import COUNTERS_BYTES, Qemu, find_qemu
from dlcc.targets.arm.userland import packages_of, python_of, userland
from dlcc.targets.rpc import server
from dlcc.targets.rpc.process import ServerProcess, server_folder

log = logging.getLogger("dlcc")

# A core of the phones that the table of chips names, without what came after it: code that would
# not run on them must not run here, and libraries must choose the kernels that they choose there.
CPU = "cortex-a76"


def start_emulator(
    arguments: Sequence[str] = (),
    threads: int = 1,
    shown: bool = False,
    opencl: bool = False,
    cpu: str = CPU,
) -> ServerProcess:
    """Start the emulated device on loopback; builds its files first where the cache has none.

    arguments: further ones of `targets/rpc/server.py`, for instance --port.
    threads: of a run; counts are exact for one thread, so more mean no counts.
    shown: whether the device's messages go to stderr.
    opencl: whether it has an OpenCL device too.
    cpu: its core in qemu's words, `qemu-aarch64 -cpu help`.
    Raises ToolchainError when it cannot be built and DeviceError when it does not start.
    """
    qemu = find_qemu()
    root = userland(qemu)
    folder = server_folder()
    command = [*qemu.command]
    options = [*arguments, "--emulator", f"qemu {qemu.version}"]
    if qemu.counter is not None and threads == 1:
        counters = folder / "counters"
        counters.write_bytes(bytes(COUNTERS_BYTES))
        command += _counting(qemu, counters)
        options += ["--counters", str(counters)]
    elif qemu.counter is not None:
        log.warning("no instruction counts: they are exact for one thread only, not %d", threads)
    command += ["-cpu", cpu, "-L", str(root), str(python_of(root)), server.__file__]
    env = _guest_env(root, folder, threads)
    if opencl:
        more, variables = offer_opencl(packages_of(root), folder)
        options, env = [*options, *more], env | variables
    return ServerProcess(command, options, env=env, folder=folder, shown=shown)


def python_command(
    qemu: Qemu, packages: Sequence[Path] = (), counters: Path | None = None
) -> list[str]:
    """The device's Python, to be started by itself and without this process's environment.

    packages: further folders of packages for it. counters: file to count instructions into, of
    COUNTERS_BYTES; only for a qemu that counts."""
    root = userland(qemu)
    variables = _guest_env(root, Path("/tmp"), 1)
    variables["PYTHONPATH"] = os.pathsep.join([variables["PYTHONPATH"], *map(str, packages)])
    named = [f"{name}={value}" for name, value in variables.items() if name != "TVM_NUM_THREADS"]
    command = ["/usr/bin/env", "-i", *named, *qemu.command]
    if counters is not None:
        command += _counting(qemu, counters)
    return [*command, "-cpu", CPU, "-L", str(root), str(python_of(root))]


def _counting(qemu: Qemu, counters: Path) -> list[str]:
    """Options of qemu that have it count into a file."""
    assert qemu.counter is not None
    return ["-plugin", f"{_escaped(qemu.counter)},out={_escaped(counters)}"]


def _guest_env(root: Path, folder: Path, threads: int) -> dict[str, str]:
    """Nothing of this process's environment: its library paths would name the wrong libraries."""
    return {
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "PYTHONHASHSEED": "0",
        "PYTHONHOME": str(root / "usr"),
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": str(packages_of(root)),
        "PYTHONSAFEPATH": "1",
        "TMPDIR": str(folder),
        "TVM_NUM_THREADS": str(threads),
    }


def _escaped(path: Path) -> str:
    """A path within a list that qemu splits at commas."""
    return str(path).replace(",", ",,")
