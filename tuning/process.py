"""A worker process as the session sees it: started once, given jobs, replaced when it dies."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO

from dlcc.targets.closing import Closing
from dlcc.tuning.jobs import Answer, Failed, Job, Setup

log = logging.getLogger("dlcc")

STOP_LIMIT_S = 5.0
SURELY_STOPPED_S = 1.0  # between two looks at a worker, besides the wait asked for


class Worker(Closing):
    """One worker process. A job that crashes it or is late costs the process, not the session:
    the next job gets a new one."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Setup | Job, Answer | Failed] | None = None
        self._idle = True
        self._said: IO[bytes] = tempfile.TemporaryFile(prefix="dlcc-tune-")  # noqa: SIM115
        self._left_s = self._polled_s = 0.0

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def submit(self, job: Job, limit_s: float) -> None:
        """Give a job that has to be answered within a time limit."""
        self._left_s, self._polled_s = limit_s, time.monotonic()
        self._idle = False
        try:
            self._started().send(job)
        except (BrokenPipeError, ConnectionResetError):
            log.debug("worker %s has died", self.pid)  # `poll` tells why

    def poll(self, wait_s: float) -> Answer | Failed | None:
        """The answer; None while there is none. Of a process that died or is late: why.

        Time in which this process itself was stopped does not count."""
        assert self._connection is not None
        try:
            if self._connection.poll(min(wait_s, max(self._left_s, 0.0))):
                self._idle = True
                return self._connection.recv()
        except (EOFError, ConnectionResetError):
            return self._died()
        now_s = time.monotonic()
        self._left_s -= min(now_s - self._polled_s, wait_s + SURELY_STOPPED_S)
        self._polled_s = now_s
        if self._left_s > 0:
            return None
        self._kill()
        return Failed("it took more than its time limit")

    def ask(self, job: Job, limit_s: float) -> Answer | Failed:
        """The answer to a job."""
        self.submit(job, limit_s)
        while (answer := self.poll(SURELY_STOPPED_S)) is None:
            continue
        return answer

    def close(self) -> None:
        """End the process and whatever it started. Closing twice is fine."""
        if self._connection is not None:
            self._connection.close()  # idle, it ends by itself and closes its device
            self._connection = None
        if self._child is not None:
            try:
                self._child.wait(STOP_LIMIT_S if self._idle else 0.1)
            except subprocess.TimeoutExpired:
                log.debug("worker %d is busy", self._child.pid)
            self._kill()
        self._said.close()

    def _started(self) -> Connection[Setup | Job, Answer | Failed]:
        if self._connection is not None:
            return self._connection
        ours, theirs = Pipe()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "dlcc.tuning.child", str(theirs.fileno()), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C is not for it, and all it starts ends with it
        )
        theirs.close()
        self._connection = ours
        ours.send(self.setup)
        return ours

    def _died(self) -> Failed:
        assert self._child is not None
        try:
            status = self._child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            status = 0
        self._kill()
        if status < 0:
            return Failed(f"it crashed: {signal.Signals(-status).name}")
        return Failed(f"its process ended with status {status}: {self._last_words()}")

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _kill(self) -> None:
        """End the process group, and forget the process."""
        if self._child is not None:
            try:
                os.killpg(self._child.pid, signal.SIGKILL)
            except ProcessLookupError:
                log.debug("worker %d has ended by itself", self._child.pid)
            self._child.wait()
            self._child = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
