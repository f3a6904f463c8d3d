"""What `dlcc device serve`, `tracker`, `emulate` and `list` do."""

from __future__ import annotations

import ipaddress
import logging
import os
import shlex
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from dlcc.targets.errors import DeviceError, UsageError
from dlcc.targets.local import physical_cores
from dlcc.targets.rpc import server
from dlcc.targets.rpc import tracker as tracker_program
from dlcc.targets.rpc.address import parse_tracker
from dlcc.targets.rpc.process import ServerProcess, server_folder
from dlcc.targets.rpc.wire import TrackerClient

log = logging.getLogger("dlcc")

SERVER_PORT = 9090
TRACKER_PORT = 9190


@dataclass(frozen=True, slots=True)
class TrackedKey:
    """Devices that a tracker gives out under one key.

    devices: their addresses, as they entered them. free: how many are in no one's use.
    waiting: how many clients wait for one."""

    key: str
    devices: tuple[str, ...]
    free: int
    waiting: int


def serve(
    host: str = "127.0.0.1",
    port: int = SERVER_PORT,
    tracker: str | None = None,
    key: str = "",
    dsp: str = "",
    opencl: str = "",
) -> None:
    """Offer this machine's CPU until SIGINT or SIGTERM. port 0: any free one.

    tracker: HOST:PORT where it is entered under `key`. dsp: as of `dsp_arguments`. opencl: as of
    `opencl_arguments`. Raises UsageError, DeviceError, and ToolchainError for what cannot be had.
    """
    key = key or "host"
    more, env = opencl_arguments(opencl)
    arguments = [*_arguments(host, port, tracker, key), *dsp_arguments(dsp), *more]
    started = start_server(arguments, env=env, shown=True)
    started.wait_until_told(
        lambda: _announce("this machine", host, started.port, tracker, key),
    )


def emulate(
    kind: str,
    port: int = SERVER_PORT,
    tracker: str | None = None,
    key: str = "",
    own_tracker: int | None = None,
    dsp: str = "",
) -> None:
    """Offer an emulated device on loopback until SIGINT or SIGTERM; builds it on first use.

    kind: "arm"; "phone": the same with an OpenCL device; "opencl": PoCL on this machine's CPU.
    own_tracker: a loopback port to start a tracker on, at which the device is entered.
    Raises UsageError, DeviceError, and ToolchainError when it cannot be built."""
    start, what = EMULATED[kind]
    if tracker and own_tracker is not None:
        raise UsageError("a device is entered at one tracker, its own or another")
    key = key or kind
    with ExitStack() as stack:
        if own_tracker is not None:
            started_tracker = start_tracker_process("127.0.0.1", own_tracker, shown=True)
            stack.callback(started_tracker.stop)
            tracker = f"127.0.0.1:{started_tracker.port}"
        arguments = [*_arguments("127.0.0.1", port, tracker, key), *dsp_arguments(dsp)]
        started = start(arguments)
        started.wait_until_told(lambda: _announce(what, "127.0.0.1", started.port, tracker, key))


def _start_arm(arguments: Sequence[str]) -> ServerProcess:
    from dlcc.targets.arm.emulator import start_emulator

    return start_emulator(arguments, shown=True)


def _start_phone(arguments: Sequence[str]) -> ServerProcess:
    from dlcc.targets.arm.emulator import start_emulator

    return start_emulator(arguments, shown=True, opencl=True)


def _start_pocl(arguments: Sequence[str]) -> ServerProcess:
    more, env = opencl_arguments("emulator")
    return start_server([*arguments, *more], env=env, shown=True)


# kind -> what starts its emulated device, and what that is
EMULATED: dict[str, tuple[Callable[[Sequence[str]], ServerProcess], str]] = {
    "arm": (_start_arm, "an emulated Arm device"),
    "phone": (_start_phone, "an emulated Arm device with PoCL as its OpenCL device"),
    "opencl": (_start_pocl, "this machine with PoCL as its OpenCL device"),
}


def dsp_arguments(dsp: str) -> list[str]:
    """A server's arguments for offering an emulated DSP behind it.

    dsp: path of a qemu-hexagon; "auto": found, or unpacked on first use; "": found, if there is
    one; "none". Raises ToolchainError."""
    from dlcc.targets.hexagon.qemu import find_qemu, installed_qemu

    if dsp == "none":
        return []
    emulator = find_qemu() if dsp == "auto" else installed_qemu(dsp or None)
    if emulator is None:
        return []
    log.info("its DSP is %s", emulator.describe()["dsp"])
    return ["--dsp", shlex.join(emulator.command)]


def opencl_arguments(opencl: str) -> tuple[list[str], dict[str, str]]:
    """A server's arguments, and its variables, for offering OpenCL devices.

    opencl: path of a plug-in; "auto": this machine's devices, the plug-in built on first use; "":
    the same if it is built already; "emulator": PoCL in their place; "none".
    Raises ToolchainError."""
    from dlcc.targets.opencl.plugin import built_library, default_program_cache, library

    if opencl == "none":
        return [], {}
    env = {"DLCC_OPENCL_CACHE": os.environ.get("DLCC_OPENCL_CACHE", default_program_cache())}
    if opencl == "emulator":
        from dlcc.targets.opencl.pocl import pocl_environment

        env = pocl_environment()
    if opencl in ("auto", "emulator"):
        return ["--opencl", str(library())], env
    found = Path(opencl).absolute() if opencl else built_library()
    return (["--opencl", str(found)], env) if found else ([], {})


def start_tracker(host: str = "127.0.0.1", port: int = TRACKER_PORT) -> None:
    """Give out devices until SIGINT or SIGTERM; raises DeviceError when the port is taken."""
    started = start_tracker_process(host, port, shown=True)
    _warn_if_open(host)
    started.wait_until_told(lambda: log.info("tracker at %s:%d", host, started.port))


def list_devices(tracker_address: str, limit_s: float = 15.0) -> list[TrackedKey]:
    """The devices of a tracker at HOST:PORT, by key; raises UsageError, DeviceError."""
    client = TrackerClient(parse_tracker(tracker_address), limit_s)
    try:
        summary = client.summary()
    finally:
        client.close()
    devices: dict[str, list[str]] = {}
    for row in summary["server_info"]:
        host, port = row["addr"]
        devices.setdefault(row["key"].removeprefix("server:"), []).append(f"{host}:{port}")
    queues = {key: summary["queue_info"].get(key, {}) for key in sorted(devices)}
    return [
        TrackedKey(key, tuple(sorted(devices[key])), row.get("free", 0), row.get("pending", 0))
        for key, row in queues.items()
    ]


def start_server(
    arguments: Sequence[str] = (), *, env: Mapping[str, str] | None = None, shown: bool = False
) -> ServerProcess:
    """Start `server.py` on this machine's CPU; raises DeviceError."""
    command = [sys.executable, server.__file__]
    # By itself TVM takes half of the cores, and binds its threads to them.
    threads = {"TVM_NUM_THREADS": str(physical_cores()), "TVM_BIND_THREADS": "0"}
    # The program's own folder is no place to import from: its files have common names.
    everything = {**threads, **os.environ, "PYTHONSAFEPATH": "1", **(env or {})}
    folder = server_folder()
    return ServerProcess(command, arguments, env=everything, folder=folder, shown=shown)


def start_tracker_process(host: str, port: int, *, shown: bool = False) -> ServerProcess:
    """Start `tracker.py`; raises DeviceError."""
    command = [sys.executable, tracker_program.__file__]
    arguments = ["--host", host, "--port", str(port)]
    folder = server_folder()
    env = {**os.environ, "PYTHONSAFEPATH": "1"}
    return ServerProcess(command, arguments, env=env, folder=folder, shown=shown)


def _arguments(host: str, port: int, tracker_address: str | None, key: str) -> list[str]:
    arguments = ["--host", host, "--port", str(port)]
    if tracker_address:
        # A key is for a tracker to find the device by; without one it would only lock clients out.
        where = parse_tracker(tracker_address)
        arguments += ["--tracker", f"{where.host}:{where.port}", "--key", key]
    return arguments


def _announce(what: str, host: str, port: int, tracker_address: str | None, key: str) -> None:
    _warn_if_open(host)
    if tracker_address:
        where = parse_tracker(tracker_address)
        log.info("%s is at rpc://%s:%d/%s", what, where.host, where.port, key)
    else:
        log.info("%s is at rpc://%s:%d", what, host, port)


def _warn_if_open(host: str) -> None:
    """RPC runs whatever a client sends, and asks nobody for a password."""
    try:
        address = ipaddress.ip_address(socket.gethostbyname(host))
    except (OSError, ValueError) as error:
        raise DeviceError(f"cannot listen at {host!r}: {error}") from error
    if not address.is_loopback:
        log.warning(
            "%s can be reached from other machines, and RPC has no authentication: whoever "
            "reaches it can run code here. Use a trusted network, or 127.0.0.1 and an SSH tunnel",
            host,
        )
