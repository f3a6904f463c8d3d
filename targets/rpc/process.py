"""A device server as a child process that does not outlive this one."""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dlcc.targets.errors import DeviceError, DeviceTimeout

log = logging.getLogger("dlcc")

START_LIMIT_S = 120.0
STOP_LIMIT_S = 3.0


class ServerProcess:
    """`server.py` or `tracker.py` of this folder; it listens when the constructor returns.

    It ends when this process ends, even by kill -9: its standard input is a pipe that only this
    process holds, and it stops when the pipe closes. The kernel's own signal at a parent's death
    is asked for as well, where it is right: it is sent at the death of the thread that started the
    child, so only the main thread may ask. `stop` (also run when the object is dropped and at
    exit) ends the whole process group.
    """

    def __init__(
        self,
        command: Sequence[str],
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        folder: Path,
        limit_s: float = START_LIMIT_S,
        shown: bool = False,
    ) -> None:
        """command: what starts the program. folder: its own, which it removes at its end.
        shown: whether its messages go to stderr, in place of a file in the folder.

        Raises DeviceError, with what the server said, when it does not come up."""
        ends = ["--end-with-stdin", "--folder", str(folder)]
        if threading.current_thread() is threading.main_thread():
            ends += ["--parent", str(os.getpid())]
        self._log = folder / "server.log"
        with self._log.open("wb") as log_file:
            self._child = subprocess.Popen(
                [*command, *arguments, *ends],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if shown else log_file,
                env=dict(env),
                cwd=folder,
                start_new_session=True,
            )
        self._end = weakref.finalize(self, _stop, self._child, folder)
        try:
            self.port = self._wait_until_ready(limit_s)
        except BaseException:
            self._end()
            raise

    @property
    def pid(self) -> int:
        return self._child.pid

    def stop(self) -> None:
        """End the server and all that it started; within a few seconds, more than once if liked."""
        self._end()

    def wait_until_told(self, announce: Callable[[], object]) -> None:
        """Serve until SIGINT or SIGTERM, then stop; raises DeviceError when it ends by itself.

        announce: called once those signals end it in order."""
        in_main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, signal.default_int_handler) if in_main else None
        try:
            announce()
            status = self._child.wait()
            raise DeviceError(f"the server ended with status {status}:\n{self.said()[-2000:]}")
        except KeyboardInterrupt:
            log.info("stopped")
        finally:
            self.stop()
            if before is not None:
                signal.signal(signal.SIGTERM, before)

    def said(self) -> str:
        """What the server wrote to its log so far."""
        return self._log.read_text("utf-8", "replace") if self._log.is_file() else ""

    def _wait_until_ready(self, limit_s: float) -> int:
        """The port from the line `READY port`."""
        pipe = self._child.stdout
        assert pipe is not None
        end_s = time.monotonic() + limit_s
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([pipe], [], [], max(end_s - time.monotonic(), 0))
            part = os.read(pipe.fileno(), 256) if ready else b""
            if not ready:
                raise DeviceTimeout(
                    f"the device did not start in {limit_s:g} s",
                    hint="is this machine busy? its log ends with: " + self.said()[-500:],
                )
            if not part:
                raise DeviceError("the device did not start:\n" + self.said()[-2000:].strip())
            text += part
        return int(text.split()[1])


def server_folder() -> Path:
    """A folder for one server: its log, its uploads, its counters. Sweeps the folders of those
    whose process was killed together with the one that started it."""
    for old in Path(tempfile.gettempdir()).glob("dlcc-device-*-*"):
        owner = old.name.split("-")[2]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"dlcc-device-{os.getpid()}-"))


def _stop(child: subprocess.Popen[bytes], folder: Path) -> None:
    """Ask the group to end, then make it; a stopped process takes no other signal than KILL."""
    for number, limit_s in ((signal.SIGTERM, STOP_LIMIT_S), (signal.SIGKILL, None)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            log.debug("device process %d has ended by itself", child.pid)
        try:
            child.wait(limit_s)
        except subprocess.TimeoutExpired:
            continue
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
