"""Time limits for a client that has none: a relay between TVM's RPC client and the device.

TVM's client waits in C++ for the next byte, for ever, and offers no way to limit or wake it. So it
is connected to a port of this machine, and `carry.py` carries the bytes between that port and the
device. It closes both sides when an answer is due and no byte moved for the time limit, or when
the device is lost; TVM then fails with a plain error, whatever it was waiting for.

The carrier is a process, not a thread: TVM frees remote objects when Python drops them, waits for
the device's answer meanwhile and holds Python's lock, so that no thread of this process would run.
It ends by itself when TVM's side closes, so also when this process is killed. A limit set on TVM's
own socket would need that socket's descriptor, which TVM hides, and could not cover connecting.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dlcc.targets.errors import DeviceError, DeviceTimeout
from dlcc.targets.rpc import carry
from dlcc.targets.said import said

log = logging.getLogger("dlcc")


class Relay:
    """One session. device: connected, its handshake done. name: what it called itself."""

    def __init__(self, device: socket.socket, name: bytes, address: str, limit_s: float) -> None:
        self.address = address
        self.limit_s = limit_s
        self._why = ""
        with device, socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
            self.port: int = listener.getsockname()[1]
            ends = (device.fileno(), listener.fileno())
            arguments = [*map(str, ends), str(limit_s), name.hex()]
            # Isolated and without site-packages: nothing of the user's, and up in 20 ms.
            self._carrier = subprocess.Popen(
                [sys.executable, "-I", "-S", carry.__file__, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=ends,
                start_new_session=True,  # Ctrl-C is for this process, which closes in order
            )
        # Also at exit, before TVM's objects are dropped: on a closed line they go without a word.
        self.close = weakref.finalize(self, _end, self._carrier)

    @contextmanager
    def allow(self, work_s: float) -> Iterator[None]:
        """Within it an answer may take as much longer."""
        self._tell(self.limit_s + work_s)
        try:
            yield
        finally:
            self._tell(self.limit_s)

    def _tell(self, limit_s: float) -> None:
        pipe = self._carrier.stdin
        if pipe is None or not self.close.alive:
            return  # what follows says that the session is over
        try:
            pipe.write(f"{limit_s}\n".encode())
        except BrokenPipeError:
            log.debug("the relay to %s has ended", self.address)

    @contextmanager
    def call(self, doing: str) -> Iterator[None]:
        """A remote call: whatever goes wrong in it becomes a DeviceError that says so.

        doing: for the message, "running the model". Raises DeviceTimeout when no byte came or went
        for the limit, DeviceError when the device was lost or reported an error.
        """
        try:
            yield
        except DeviceError:
            raise
        except Exception as error:
            raise self._explained(doing, error) from error
        except BaseException:
            # Interrupted in the middle of an answer: nothing can be said on this line any more.
            self.close()
            raise

    def _explained(self, doing: str, error: Exception) -> DeviceError:
        why = self._ended()
        if why == "late":
            return DeviceTimeout(
                f"{self.address} gave no answer in {self.limit_s:g} s while {doing}",
                hint="if the model is that slow there, raise the limit with --time-limit SECONDS",
            )
        if why:
            return DeviceError(
                f"{self.address} was lost while {doing}: {why.removeprefix('lost ')}",
                hint="look at the device's own messages; a crash of the model ends a session",
            )
        return DeviceError(f"{self.address} failed while {doing}: {said(error)}")

    def _ended(self) -> str:
        """Why the carrier ended; empty while it carries."""
        if not self.close.alive:
            return "the session is closed"
        pipe = self._carrier.stdout
        if not self._why and pipe is not None and select.select([pipe], [], [], 0)[0]:
            self._why = os.read(pipe.fileno(), 1024).decode().strip() or "lost the relay ended"
        return self._why


def _end(carrier: subprocess.Popen[bytes]) -> None:
    if carrier.poll() is None:
        carrier.send_signal(signal.SIGKILL)
    carrier.wait()
    if carrier.stdin is not None:
        with suppress(BrokenPipeError):
            carrier.stdin.close()
    if carrier.stdout is not None:
        carrier.stdout.close()
