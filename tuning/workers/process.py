"""One worker process, which takes one job at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from typing import IO

import dlcc.tuning.workers.child as child
from dlcc.tuning.workers.wire import Broken, Message, Reader, packed

CHUNK_BYTES = 1 << 20


class Worker:
    """A process that starts at once and is ready when it says so.

    It has a session, and so a process group, of its own: what a job starts ends with it."""

    def __init__(self, jobs: str, said: IO[bytes], env: Mapping[str, str]) -> None:
        """jobs: the module whose JOBS it does. said: where it writes what it prints. env: variables
        on top of this process's."""
        requests, self._into = os.pipe()
        self.answers, answers = os.pipe()
        in_main = threading.current_thread() is threading.main_thread()
        # the kernel ends it at the death of the thread that started it: others may die early
        parent = str(os.getpid() if in_main else 0)
        self._process = subprocess.Popen(
            [sys.executable, "-m", child.__name__, parent, str(requests), str(answers), jobs],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=(requests, answers),
            env={**os.environ, **env},
            start_new_session=True,
        )
        os.close(requests)
        os.close(answers)
        os.set_blocking(self._into, False)
        self.end = weakref.finalize(self, _end, self._process, self._into, self.answers)
        self._reader = Reader()
        self._unsent = memoryview(b"")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def requests(self) -> int | None:
        """Where a request is still to be written to; None when all of it was."""
        return self._into if self._unsent else None

    def give(self, message: Message) -> None:
        """Begin to send a job; `write` goes on."""
        self._unsent = memoryview(packed(message))

    def write(self) -> None:
        """Send as much as fits; raises Broken when the worker is gone."""
        try:
            self._unsent = self._unsent[os.write(self._into, self._unsent[:CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except OSError as error:
            raise Broken(self.how_it_ended()) from error

    def read(self) -> Message | None:
        """Take what has come; an answer when it is whole. Raises Broken when it is gone."""
        data = os.read(self.answers, CHUNK_BYTES)
        if not data:
            raise Broken(self.how_it_ended())
        return self._reader.feed(data)

    def how_it_ended(self) -> str:
        """Of a worker that closed its side: by which signal or status."""
        try:
            status = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            return "it closed its pipes"
        if status < 0:
            known = -status in set(signal.Signals)
            return f"it crashed: {signal.Signals(-status).name if known else f'signal {-status}'}"
        return f"it ended with status {status}"


def _end(process: subprocess.Popen[bytes], *pipes: int) -> None:
    """Kill a worker and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass_on = process.poll()  # it has ended, and so has its group
        assert pass_on is not None
    process.wait()
    for pipe in pipes:
        os.close(pipe)
