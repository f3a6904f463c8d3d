"""RPC server of one device, for one session after another.

A file of its own that imports nothing of dlcc: the same text runs on this machine, on a phone's
Linux and inside the emulated device, where only Python (>= 3.10) and the packages apache-tvm and
apache-tvm-ffi are there. It speaks TVM's protocol, so that any TVM client can use it, but not
through TVM's own Python server: that one stops serving for ever after a session that crashed,
lets one silent client block all others, and takes four times as long to start under emulation.

RPC has no authentication: whoever reaches the port can run code. Bind it to loopback.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import importlib.util
import json
import logging
import mmap
import os
import platform
import random
import select
import shlex
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

RPC_MAGIC = 0xFF271
RPC_MISMATCH = RPC_MAGIC + 2
TRACKER_MAGIC = 0x2F271
TRACKER_SUCCESS, PUT, UPDATE_INFO, PENDING_KEYS = 0, 3, 5, 7
HANDSHAKE_LIMIT_S = 5.0
TRACKER_PERIOD_S = 2.0
UNUSED_KEY_LIMIT_S = 8.0
PR_SET_PDEATHSIG = 1
LIBRARIES = ("libtvm_runtime.so", "libtvm_runtime_extra.so")

log = logging.getLogger("dlcc")


def load_runtime() -> None:
    """Load TVM's runtime without its compiler: a device has no use for 250 MB of that."""
    import tvm_ffi  # noqa: F401  (its library must be there before TVM's)

    spec = importlib.util.find_spec("tvm")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("apache-tvm is not installed: pip install apache-tvm apache-tvm-ffi")
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    for name in LIBRARIES:
        ctypes.CDLL(str(folder / name), ctypes.RTLD_GLOBAL)


def load_beside(name: str) -> Any:
    """A module that lies beside this file, NAME.py; None where there is none."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"dlcc_{name}", path)
    if spec is None or spec.loader is None or not path.is_file():
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def open_dsp(command: str) -> Any:
    """The DSP's emulator; None, with a warning, where it does not run."""
    if (module := load_beside("dsp")) is None:
        raise SystemExit(f"no dsp.py beside {__file__}")
    try:
        return module.Emulator(shlex.split(command))
    except module.Ended as error:
        here = "`dlcc device serve --dsp auto` on the machine itself offers one"
        log.warning("no DSP is offered: %s; %s", error.detail, here)
        return None


def load_opencl(library: str) -> Callable[[], dict[str, str]]:
    """Give TVM its OpenCL runtime, which opens a driver at first use: in a session's process, as
    drivers do not survive a fork. Returns what describes its devices there."""
    try:
        ctypes.CDLL(library)
    except OSError as error:
        raise SystemExit(f"cannot load the OpenCL plug-in: {error}") from error
    return describe_opencl


def describe_opencl() -> dict[str, str]:
    """The first OpenCL device, or why there is none."""
    import tvm_ffi

    if why := tvm_ffi.get_global_func("dlcc.opencl.why_not")():
        return {"opencl": f"none: {why}"}
    first = json.loads(tvm_ffi.get_global_func("dlcc.opencl.devices")())[0]
    named = f"{first['name']}, {first['version']}, driver {first['driver']}"
    return {"opencl": named, "opencl_device": json.dumps(first)}


def register_functions(
    folder: str, counters: mmap.mmap | None, facts: Callable[[], Mapping[str, str]]
) -> None:
    """Remote functions of one session; folder: where its uploads go. facts: about the device."""
    import tvm_ffi

    def register(name: str, function: Callable[..., object]) -> None:
        tvm_ffi.register_global_func(name, function, override=True)

    def path_of(name: str) -> str:
        return os.path.join(folder, name)

    register("tvm.rpc.server.workpath", path_of)
    register("tvm.rpc.server.load_module", lambda name: tvm_ffi.load_module(path_of(name)))
    register("dlcc.describe", lambda: json.dumps(facts()))
    if counters is not None:
        register("dlcc.counters", lambda: f"instructions={struct.unpack_from('<Q', counters)[0]}")
    if instrument := load_beside("instrument"):
        register("dlcc.instrument", lambda vm: instrument.attach(vm, counters))


def describe(emulator: str, counts: bool) -> dict[str, str]:
    """Facts about this device. emulator: what emulates it. counts: whether it counts."""
    import tvm_ffi

    scalable, known = load_beside("vectors"), load_beside("processor")
    return {
        "architecture": platform.machine(),
        "sve_bits": str(scalable.sve_bits()) if scalable else "",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "apache-tvm": importlib.metadata.version("apache-tvm"),
        "apache-tvm-ffi": importlib.metadata.version("apache-tvm-ffi"),
        "cores": str(len(os.sched_getaffinity(0))),
        "threads": str(tvm_ffi.get_global_func("runtime.NumThreads")()),
        "emulator": emulator,
        "counts": "instructions" if counts else "",
        **(known.facts() if known else {}),
    }


def open_counters(path: str) -> mmap.mmap:
    """The counters that the emulator's plug-in writes, as memory shared with it."""
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ)


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when process `parent` ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def receive(peer: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes; raises OSError when the peer closes or lets its time limit pass."""
    data = b""
    while len(data) < size:
        part = peer.recv(size - len(data))
        if not part:
            raise OSError("connection closed")
        data += part
    return data


def receive_word(peer: socket.socket) -> int:
    return int.from_bytes(receive(peer, 4), "little", signed=True)


class Tracker:
    """This device's entry at a tracker: says that it is free, and by which key it is got."""

    def __init__(self, address: tuple[str, int], key: str, port: int) -> None:
        self.address, self.key, self.port = address, key, port
        self.peer: socket.socket | None = None
        self.match = key
        self.unused_since_s: float | None = None

    def ask(self, message: list[object]) -> Any:
        if self.peer is None:
            raise OSError("not connected")
        data = json.dumps(message).encode()
        self.peer.sendall(struct.pack("<i", len(data)) + data)
        return json.loads(receive(self.peer, receive_word(self.peer)))

    def enter(self) -> None:
        """(Re-)enter the device as free, under a new key. A tracker that is away is asked again
        at the next tick."""
        try:
            if self.peer is None:
                self.connect()
            self.match = f"{self.key}:{random.random()}"
            self.unused_since_s = None
            self.ask([PUT, self.key, [self.port, self.match], None])
        except (OSError, ValueError) as error:
            self.leave(error)

    def connect(self) -> None:
        self.peer = socket.create_connection(self.address, HANDSHAKE_LIMIT_S)
        self.peer.sendall(struct.pack("<i", TRACKER_MAGIC))
        if receive_word(self.peer) != TRACKER_MAGIC:
            raise ValueError("no tracker answers there")
        self.ask([UPDATE_INFO, {"key": f"server:{self.key}", "addr": [None, self.port]}])
        log.info("entered at tracker %s:%d as %r", *self.address, self.key)

    def leave(self, error: Exception) -> None:
        log.warning("tracker %s:%d: %s; trying again", *self.address, error)
        if self.peer is not None:
            self.peer.close()
            self.peer = None

    def tick(self) -> None:
        """Enter again when the tracker was lost, or gave the key to a client that never came."""
        if self.peer is None:
            self.enter()
            return
        try:
            pending = self.ask([PENDING_KEYS])
        except (OSError, ValueError) as error:
            self.leave(error)
            return
        now = time.monotonic()
        if self.match in pending:
            self.unused_since_s = None
        elif self.unused_since_s is None:
            self.unused_since_s = now
        elif now - self.unused_since_s > UNUSED_KEY_LIMIT_S:
            self.enter()


class Server:
    """The listening port; `serve` never returns while its parent lives."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.counters = open_counters(args.counters) if args.counters else None
        try:
            self.listener = socket.create_server((args.host, args.port), backlog=16)
        except OSError as error:
            raise SystemExit(f"cannot listen at {args.host}:{args.port}: {error}") from error
        self.emulator: str = args.emulator
        self.dsp = open_dsp(args.dsp) if args.dsp else None
        self.opencl = load_opencl(args.opencl) if args.opencl else dict
        self.key: str = args.key
        self.folder: str | None = args.folder or None
        self.pid = os.getpid()
        self.limit_s: float | None = None
        self.port = self.listener.getsockname()[1]
        self.watched: list[int] = [0] if args.end_with_stdin else []
        self.tracker: Tracker | None = None
        if args.tracker:
            host, port = args.tracker.rsplit(":", 1)
            self.tracker = Tracker((host, int(port)), args.key, self.port)
            self.tracker.enter()

    def serve(self) -> None:
        period = TRACKER_PERIOD_S if self.tracker else None
        while True:
            sources: list[Any] = [self.listener, *self.watched]
            ready, _, _ = select.select(sources, [], [], period)
            if 0 in ready:
                return
            if self.listener in ready:
                peer, address = self.listener.accept()
                with peer:
                    if not self.greet(peer, address):
                        continue
                    if not self.session(peer):
                        return
                if self.tracker:
                    self.tracker.enter()
            elif self.tracker:
                self.tracker.tick()

    def greet(self, peer: socket.socket, address: tuple[Any, ...]) -> bool:
        """TVM's handshake; false for a client that does not speak it or asks for another key."""
        expected = "client:" + (self.tracker.match if self.tracker else self.key)
        try:
            peer.settimeout(HANDSHAKE_LIMIT_S)
            if receive_word(peer) != RPC_MAGIC:
                raise OSError("not a TVM RPC client")
            name, *options = receive(peer, min(receive_word(peer), 4096)).decode().split()
            if name != expected:
                peer.sendall(struct.pack("<i", RPC_MISMATCH))
                raise OSError(f"asked for another key than {self.key!r}")
            answer = f"server:{self.key}".encode()
            peer.sendall(struct.pack("<ii", RPC_MAGIC, len(answer)) + answer)
        except (OSError, ValueError) as error:
            log.warning("client %s:%d refused: %s", *address[:2], error)
            return False
        limits = [float(o[9:]) for o in options if o.startswith("-timeout=")]
        self.limit_s = limits[0] if limits else None
        peer.settimeout(None)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A client whose machine vanished sends no farewell; without this its session would stay.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return True

    def session(self, peer: socket.socket) -> bool:
        """Serve one client in a process of its own; false when this server must end."""
        folder = tempfile.mkdtemp(prefix="dlcc-session-", dir=self.folder)
        ended, child_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ended)
            self.run_session(peer, folder)
        os.close(child_end)
        ready: list[int] = []
        try:
            ready, _, _ = select.select([ended, *self.watched], [], [], self.limit_s)
            if not ready:
                expire(peer, self.limit_s)
            return 0 not in ready
        finally:
            if ended not in ready:
                os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if ended in ready and status:
                log.warning("a session ended with status %d", os.waitstatus_to_exitcode(status))
            os.close(ended)
            shutil.rmtree(folder, ignore_errors=True)

    def run_session(self, peer: socket.socket, folder: str) -> NoReturn:
        """The child's life; it never returns into the server's loop."""
        import tvm_ffi

        status, programs = 1, None
        try:
            die_with(self.pid)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.listener.close()
            os.chdir(folder)
            known = describe(self.emulator, self.counters is not None)
            known |= self.dsp.describe() if self.dsp else {}
            register_functions(folder, self.counters, lambda: {**known, **self.opencl()})
            if self.dsp:
                programs = sys.modules["dlcc_dsp"].offer(self.dsp, peer.fileno())
            tvm_ffi.get_global_func("rpc.ServerLoop")(peer.fileno())
            if programs is not None:
                programs.close()
            status = 0
        except BaseException:
            log.exception("a session failed")
            raise
        finally:
            sys.stderr.flush()
            os._exit(status)


def expire(peer: socket.socket, limit_s: float | None) -> None:
    """Tell a client that its session's time is over, in TVM's own words."""
    import tvm_ffi

    text = f"RPCSessionTimeoutError: Your {limit_s}s session has expired"
    tvm_ffi.get_global_func("rpc.ReturnException")(peer.fileno(), text)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="serve this device to TVM's RPC clients")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--tracker", default="", help="HOST:PORT")
    parser.add_argument("--key", default="")
    parser.add_argument("--counters", default="", help="file that the emulator counts into")
    parser.add_argument("--emulator", default="", help="what emulates this device")
    parser.add_argument("--dsp", default="", help="command of a qemu-hexagon, offered as a DSP")
    parser.add_argument("--opencl", default="", help="plug-in that is TVM's OpenCL runtime")
    parser.add_argument("--folder", default="", help="removed at the end")
    parser.add_argument("--parent", type=int, default=0, help="end with this process")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when stdin closes")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if args.parent:
        die_with(args.parent)
    load_runtime()
    server = Server(args)
    sys.stdout.write(f"READY {server.port}\n")
    sys.stdout.flush()
    try:
        server.serve()
    finally:
        # Not when the start fails: the starter reads the reason out of that folder.
        if args.folder:
            shutil.rmtree(args.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
