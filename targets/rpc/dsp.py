"""Programs for the Hexagon DSP under qemu, as processes that answer requests through pipes.

A file that imports nothing of dlcc, like `server.py`, which loads it from beside itself: a phone or
an emulated Arm device may run it to offer a DSP. What the bytes mean is the client's affair; here
they are moved, with a time limit, and it is found out how a program ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import select
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import IO

CHUNK_BYTES = 1 << 20
PROBE_LIMIT_S = 30.0
END_LIMIT_S = 2.0
LONGEST_S = 1e6  # poll takes no more
SAID_BYTES = 2000
PR_SET_PDEATHSIG = 1
COUNTS = "packets, instructions, hvx"
# qemu 7.2 lists no models and has this one, which decodes the integer code of all up to NEWEST.
ONLY_CPU = "v67"
NEWEST = 73  # seen to run with 7.2 and 10.0, which know no newer one
# What qemu says when it gives up itself: glib's assertions, and the loader's and decoder's words.
GAVE_UP = re.compile(r"ERROR:|[Aa]ssertion|not be reached|[Uu]nimplemented|^qemu[\w-]*: ", re.M)

_libc = ctypes.CDLL(None)


class Ended(Exception):
    """Why a program gives no answer.

    why: "late", "signal" (it crashed), "abort" (the emulator did), "left" (it ended by itself),
        "start" (the emulator did not start), "chip" (it runs no such code), "chatter" (it said
        more than it was asked) or "gone" (it had ended before).
    detail: a signal's name, a status, or what was said last, for people.
    """

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why} {detail}".strip())
        self.why = why
        self.detail = detail


class Emulator:
    """A qemu-hexagon. version: "7.2.22". cpus: the models that it has, the oldest first."""

    def __init__(self, command: Sequence[str]) -> None:
        """Raises Ended when it does not start here or is none."""
        self.command = list(command)
        found = re.search(r"version (\d+(?:\.\d+)+)", _told([*command, "--version"]))
        if found is None:
            raise Ended("start", f"{command[-1]} does not tell a version")
        self.version = found[1]
        models = re.findall(r"^\s*v(\d+)$", _told([*command, "-cpu", "help"]), re.M)
        self.cpus = [f"v{n}" for n in sorted(map(int, models))] or [ONLY_CPU]

    def cpu_for(self, architecture: int) -> str:
        """The model that runs code for an architecture, 66 for v66; raises Ended."""
        if f"v{architecture}" in self.cpus:
            return f"v{architecture}"
        if architecture > NEWEST:
            raise Ended("chip", f"qemu {self.version} runs code up to v{NEWEST}")
        # A model runs older code; a lone one does not check what newer code it decodes.
        newer = [cpu for cpu in self.cpus if int(cpu[1:]) > architecture]
        return newer[0] if newer else self.cpus[-1]

    def describe(self) -> dict[str, str]:
        return {"dsp": f"qemu {self.version} ({', '.join(self.cpus)})", "dsp counts": COUNTS}

    def start(self, program: bytes, architecture: int, client: int = -1) -> Process:
        """Start a program, an ELF file's bytes; client: as of Process. Raises Ended."""
        return Process([*self.command, "-cpu", self.cpu_for(architecture)], program, client)


class Process:
    """A running program.

    client: socket of the one for whom it runs, which ends it by closing; -1 for this process.
    Nothing of it outlives this process: the file that it is started from has no name any more, the
    kernel kills it when the thread that started it dies (asked for in the main thread only, as
    others may die early), and else it finds its standard input closed.
    """

    def __init__(self, command: Sequence[str], program: bytes, client: int = -1) -> None:
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        with tempfile.TemporaryFile() as file:
            file.write(program)
            file.flush()
            os.fchmod(file.fileno(), 0o700)  # qemu asks for the mode that exec would need
            try:
                self._child = subprocess.Popen(
                    [*command, f"/proc/self/fd/{file.fileno()}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._said,
                    bufsize=0,
                    pass_fds=(file.fileno(),),
                    start_new_session=True,  # Ctrl-C is for this process, which ends it in order
                    preexec_fn=lambda: _prepare(parent),
                )
            except OSError as error:
                self._said.close()
                raise Ended("start", f"{command[0]}: {error.strerror}") from error
        self.close = weakref.finalize(self, _end, self._child, self._said)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._into, self._from = self._child.stdin.fileno(), self._child.stdout.fileno()
        os.set_blocking(self._into, False)
        self._client = client

    def exchange(self, request: bytes, expected: bytes, total: int, limit_s: float) -> bytes:
        """Send a request and take the answer to it.

        The answer is `total` bytes if it begins with `expected`, else only as many as that. It may
        begin before the request was taken. limit_s: how long nothing may move. Raises Ended, after
        which, as after any other exception, the program is gone.
        """
        if not self.close.alive:
            raise Ended("gone")
        try:
            return self._exchange(memoryview(request), expected, total, limit_s)
        except BrokenPipeError:
            ended = self._ended()
            self.close()
            raise ended from None
        except BaseException:
            self.close()
            raise

    def _exchange(self, waiting: memoryview, expected: bytes, total: int, limit_s: float) -> bytes:
        if waiting and self._ready(False, True, 0):
            raise Ended("chatter") if os.read(self._from, 1) else self._ended()
        answer, due = bytearray(), len(expected)
        while waiting or len(answer) < due:
            ready = self._ready(bool(waiting), len(answer) < due, limit_s)
            if not ready:
                raise Ended("late", f"{limit_s:g}")
            if self._into in ready:
                waiting = waiting[os.write(self._into, waiting[:CHUNK_BYTES]) :]
            if self._from in ready:
                part = os.read(self._from, min(due - len(answer), CHUNK_BYTES))
                if not part:
                    raise self._ended()
                answer += part
                if len(answer) == len(expected) and answer == expected:
                    due = total
        if answer[: len(expected)] != expected:
            self._check_alive()
        return bytes(answer)

    def _ready(self, writes: bool, reads: bool, limit_s: float) -> set[int]:
        poll = select.poll()
        if writes:
            poll.register(self._into, select.POLLOUT)
        if reads:
            poll.register(self._from, select.POLLIN)
        if self._client >= 0:
            poll.register(self._client, select.POLLRDHUP)
        ready = {number for number, _ in poll.poll(min(limit_s, LONGEST_S) * 1000)}
        if self._client in ready:
            raise Ended("gone", "its client has closed the connection")
        return ready

    def _check_alive(self) -> None:
        """Raises Ended if the emulator gives up: some of its last words go where answers go."""
        end_s = time.monotonic() + END_LIMIT_S
        while time.monotonic() < end_s and GAVE_UP.search(self._says()):
            if self._child.poll() is not None:
                raise self._ended()
            time.sleep(0.01)

    def _says(self) -> str:
        text = os.pread(self._said.fileno(), 1 << 16, 0).decode("utf-8", "replace")
        return text.strip()[-SAID_BYTES:]

    def _ended(self) -> Ended:
        """How a program ended that closed its side."""
        try:
            status = self._child.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            return Ended("left", "its output is closed")
        said = self._says()
        if GAVE_UP.search(said):
            return Ended("abort", said.splitlines()[-1])
        tail = f": {said.splitlines()[-1]}" if said else ""
        if status < 0:
            known = -status in set(signal.Signals)
            name = signal.Signals(-status).name if known else f"signal {-status}"
            return Ended("signal", name + tail)
        return Ended("left", f"status {status}{tail}")


class Sessions:
    """The programs of one session of a device server, by names that its client gives.

    client: the session's socket. An answer is "+" and bytes, or "-" and the reason why there is
    none, as JSON."""

    def __init__(self, emulator: Emulator, client: int) -> None:
        self._emulator = emulator
        self._client = client
        self._running: dict[str, Process] = {}

    def start(self, name: str, program: bytes, architecture: int) -> bytes:
        def start() -> bytes:
            self._running[name] = self._emulator.start(bytes(program), architecture, self._client)
            return b""

        return _answered(start)

    def exchange(
        self, name: str, request: bytes, expected: bytes, total: int, limit_s: float
    ) -> bytes:
        """As `Process.exchange`."""

        def exchange() -> bytes:
            if name not in self._running:
                raise Ended("gone")
            return self._running[name].exchange(bytes(request), bytes(expected), total, limit_s)

        return _answered(exchange)

    def stop(self, name: str) -> bytes:
        """End a program, if it has not ended."""
        if running := self._running.pop(name, None):
            running.close()
        return b"+"

    def close(self) -> None:
        for name in list(self._running):
            self.stop(name)


def _answered(work: Callable[[], bytes]) -> bytes:
    try:
        return b"+" + work()
    except Ended as error:
        return b"-" + json.dumps({"why": error.why, "detail": error.detail}).encode()


def _prepare(parent: int) -> None:
    """Between fork and exec: die with the parent, and leave no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if parent:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _end(child: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout, said):
        if pipe is not None:
            pipe.close()


def _told(command: Sequence[str]) -> str:
    """What a command says; raises Ended when it cannot be started."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROBE_LIMIT_S,
            check=False,
        )
    except OSError as error:
        raise Ended("start", f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Ended("start", f"{command[0]} did not answer in {PROBE_LIMIT_S:g} s") from error
    return done.stdout.decode("utf-8", "replace")


def offer(emulator: Emulator, client: int) -> Sessions:
    """Remote functions that run programs on the DSP; returns what ends them all by `close`."""
    import tvm_ffi

    sessions = Sessions(emulator, client)
    for name in ("start", "exchange", "stop"):
        function = getattr(sessions, name)
        tvm_ffi.register_global_func(f"dlcc.dsp.{name}", function, override=True)
    return sessions
