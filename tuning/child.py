"""The worker process of a tuning session: `python -m dlcc.tuning.child DESCRIPTOR PARENT`.

It hears jobs on an inherited socket and answers each. Both ends are this program's own, so they
speak pickle. Importing the compiler takes seconds, so one process does job after job; what a job
breaks, up to a crash, breaks this process and not the session.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from multiprocessing.connection import Connection

from dlcc.targets.errors import DlccError
from dlcc.tuning.jobs import Answer, Failed, Job, Setup

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Do jobs until the other end closes."""
    end_with(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the session's to hear
    connection: Connection[Answer | Failed, Setup | Job] = Connection(int(sys.argv[1]))
    try:
        setup = connection.recv()
        assert isinstance(setup, Setup)
        serve(connection, setup)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the session has ended


def serve(connection: Connection[Answer | Failed, Setup | Job], setup: Setup) -> None:
    """Answer jobs one after another."""
    from dlcc.tuning.variants import Variants

    with Variants(setup) as variants:
        while True:
            job = connection.recv()
            assert not isinstance(job, Setup)
            connection.send(_answer(variants.do, job))


def _answer(do: object, job: Job) -> Answer | Failed:
    try:
        return do(job)  # type: ignore[operator, no-any-return]
    except DlccError as error:
        return Failed(error.what, error.hint, error.exit_code)
    except Exception as error:  # noqa: BLE001  a candidate may fail in any way, and is told so
        last = (str(error).strip().splitlines() or [""])[-1]
        return Failed(f"{type(error).__name__}: {last}"[:500])


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, even in the middle of a job."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)  # it has ended already


if __name__ == "__main__":
    main()
