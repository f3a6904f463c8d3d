"""A worker process: `python -m dlcc.tuning.workers.child DESCRIPTOR PARENT`.

It hears what it is and then its jobs on an inherited socket, and answers each. Both ends are this
program's own, so they speak pickle. Importing the compiler takes seconds, so one process does job
after job; what a job breaks, up to a crash, breaks this process and not the session.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dlcc.targets.errors import DlccError
from dlcc.tuning.workers.jobs import Failed, Ready, Reply

PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE_S = 120.0  # beyond a job's limit, after which whoever asked is taken to be gone
FIRST_TO_GO = "500"  # of 1000: where memory is short this goes, and not what keeps the records
LONGEST_WHY = 500

Do = Callable[[Any], Reply]
Start = Callable[[], AbstractContextManager[Do]]


def main() -> None:
    """Do jobs until the other end closes."""
    parent = int(sys.argv[2])
    _prepare(parent)
    connection: Connection[Reply | Ready, Any] = Connection(int(sys.argv[1]))
    try:
        start: Start = connection.recv()
        with start() as do:
            connection.send(Ready())
            while True:
                job, limit_s = connection.recv()
                if not parent:  # nobody may be left to end a job that hangs: then the kernel does
                    signal.setitimer(signal.ITIMER_REAL, limit_s + GRACE_S)
                connection.send(_answer(do, job))
                signal.setitimer(signal.ITIMER_REAL, 0.0)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the session has ended


def _answer(do: Do, job: object) -> Reply:
    try:
        return do(job)
    except DlccError as error:
        return Failed(error.what, error.hint, error.exit_code)
    except Exception as error:  # noqa: BLE001  a candidate may fail in any way, and is told so
        last = (str(error).strip().splitlines() or [""])[-1]
        return Failed(f"{type(error).__name__}: {last}"[:LONGEST_WHY])


def _prepare(parent: int) -> None:
    """parent: the process to end with, even in the middle of a job; 0: end when the socket does."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the session's to hear
    if parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)  # it has ended already
    Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


if __name__ == "__main__":
    main()
