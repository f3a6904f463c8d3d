"""A worker process as the session sees it: started once, given jobs, replaced when it dies."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import IO, Any

from dlcc.targets.closing import Closing
from dlcc.targets.errors import ToolchainError
from dlcc.tuning.workers import child
from dlcc.tuning.workers.jobs import Failed, Ready, Reply

log = logging.getLogger("dlcc")

START_LIMIT_S = 120.0  # for a worker to import TVM, on a busy machine
MOST_STARTS = 3  # in a row that end before the worker is ready
STOP_LIMIT_S = 5.0
TICK_S = 0.05
SURELY_STOPPED_S = 1.0  # between two looks at a worker: this process itself was stopped


class Worker(Closing):
    """One worker process, which starts at once. A job that crashes it or is late costs the process,
    not the session: the next job gets a new one."""

    def __init__(self, start: child.Start) -> None:
        """start: what it is, a context manager that gives the function which does jobs. It is
        pickled, and called in the process.

        connection: what can be read when the worker has something to say."""
        self._start = start
        self._said: IO[bytes] = tempfile.TemporaryFile(prefix="dlcc-tune-")  # noqa: SIM115
        self._job: tuple[object, float] | None = None
        self._starts = 0
        self._left_s = self._polled_s = 0.0
        self._begin()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def ready(self) -> bool:
        """Whether it has started, and is not at a job."""
        return self._ready and self._job is None

    def submit(self, job: object, limit_s: float) -> None:
        """Give a job that has to be answered within a time limit, once the process is ready."""
        assert self._job is None, "one job at a time"
        if self._child.poll() is not None:
            self._restart()
        self._job = job, limit_s
        if self._ready:
            self._send()

    def poll(self) -> Reply | None:
        """The answer; None while there is none. Of a process that died or is late: why.

        Time in which this process itself was stopped does not count.
        Raises ToolchainError where processes do not start."""
        try:
            if self.connection.poll():
                return self._heard(self.connection.recv())
        except (EOFError, ConnectionResetError):
            return self._died()
        except (pickle.UnpicklingError, OverflowError, OSError) as error:
            return self._failed(f"what it said is no answer: {error}")
        now_s = time.monotonic()
        self._left_s -= min(now_s - self._polled_s, SURELY_STOPPED_S)
        self._polled_s = now_s
        if self._left_s > 0:
            return None
        return self._failed("it took more than its time limit")

    def ask(self, job: object, limit_s: float) -> Reply:
        """The answer to a job."""
        self.submit(job, limit_s)
        while (answer := self.poll()) is None:
            wait_for([self])
        return answer

    def close(self) -> None:
        """End the process and whatever it started. Closing twice is fine."""
        self.connection.close()  # idle, it ends by itself and closes its device
        try:
            self._child.wait(STOP_LIMIT_S if self.ready else 0.0)
        except subprocess.TimeoutExpired:
            log.debug("worker %d is busy", self.pid)
        self._kill()
        self._said.close()

    def _begin(self) -> None:
        ours, theirs = Pipe()
        # the kernel ends it at the death of the thread that started it: others may die early
        in_main = threading.current_thread() is threading.main_thread()
        parent = str(os.getpid() if in_main else 0)
        self._child = subprocess.Popen(
            [sys.executable, "-m", child.__name__, str(theirs.fileno()), parent],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C is not for it, and all it starts ends with it
        )
        theirs.close()
        self.connection: Connection[Any, Reply | Ready] = ours
        self._ready = False
        self._left_s, self._polled_s = START_LIMIT_S, time.monotonic()
        self._write(self._start)

    def _heard(self, said: Reply | Ready) -> Reply | None:
        if not isinstance(said, Ready):
            self._job = None
            return said
        self._ready, self._starts = True, 0
        if self._job is not None:
            self._send()
        return None

    def _send(self) -> None:
        assert self._job is not None
        self._left_s, self._polled_s = self._job[1], time.monotonic()
        self._write(self._job)

    def _write(self, what: object) -> None:
        try:
            self.connection.send(what)
        except (BrokenPipeError, ConnectionResetError):
            log.debug("worker %d has died", self.pid)  # `poll` tells why

    def _died(self) -> Failed | None:
        try:
            status = self._child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            status = 0
        if status < 0:
            known = -status in set(signal.Signals)
            return self._failed(
                f"it crashed: {signal.Signals(-status).name if known else f'signal {-status}'}"
            )
        return self._failed(f"its process ended with status {status}: {self._last_words()}")

    def _failed(self, why: str) -> Failed | None:
        """A new process in the place of one that died or is late. A job that it had has failed."""
        begun = self._ready
        self._restart()
        if begun:
            self._job = None
            return Failed(why)
        self._starts += 1
        if self._starts >= MOST_STARTS:
            raise ToolchainError(
                f"workers of tuning do not start: {why}", hint="is memory or disk short?"
            )
        return None

    def _restart(self) -> None:
        self.connection.close()
        self._kill()
        self._begin()

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _kill(self) -> None:
        """End the process group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("worker %d has ended by itself", self.pid)
        self._child.wait()


def wait_for(workers: Iterable[Worker]) -> None:
    """Wait a moment, or until one of them has something to say."""
    if waited := list(workers):
        wait([worker.connection for worker in waited], TICK_S)
    else:
        time.sleep(TICK_S)
