"""A worker: `python -m dlcc.tuning.workers.child PARENT REQUESTS ANSWERS JOBS`.

REQUESTS and ANSWERS are descriptors of pipes, JOBS is the module whose `JOBS` it does.

It ends with the process that started it, however that ends: it asks the kernel for it, and it reads
the end of its requests. Its standard output is no channel, because what it runs may print.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dlcc.targets.errors import DlccError
from dlcc.tuning.workers.wire import Broken, Message, receive, send

PR_SET_PDEATHSIG = 1
GRACE_S = 30.0  # beyond a job's limit, after which whoever asked is taken to be gone
FIRST_TO_GO = "500"  # of 1000: where memory is short this goes, and not what keeps the records

Answer = Callable[[Message], Message]


def main() -> None:
    parent, requests, answers = (int(text) for text in sys.argv[1:4])
    _prepare(parent)
    jobs: Mapping[str, Answer] = importlib.import_module(sys.argv[4]).JOBS
    send(answers, Message({"ready": True}))
    while (message := receive(requests)) is not None:
        # Where nobody is left to end a job that hangs, the kernel does.
        signal.setitimer(signal.ITIMER_REAL, float(message.fields["job_limit_s"]) + GRACE_S)
        send(answers, answered(message, jobs))
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def answered(message: Message, jobs: Mapping[str, Answer]) -> Message:
    """What a job gives, or why it failed."""
    try:
        return jobs[str(message.fields["job"])](message)
    except DlccError as error:
        return Message({"failed": error.what, "hint": error.hint, "error": type(error).__name__})
    except Exception as error:  # noqa: BLE001  whatever a candidate does is an answer
        lines = str(error).strip().splitlines() or [""]
        named = type(error).__name__
        return Message({"failed": f"{named}: {lines[-1]}", "hint": "", "error": named})


def _prepare(parent: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    if parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
    Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


if __name__ == "__main__":
    try:
        main()
    except Broken:
        sys.exit(0)  # whoever asked is gone
