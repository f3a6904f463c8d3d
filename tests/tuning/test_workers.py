"""Worker processes: they are real, and so are their crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dlcc.targets.errors import ToolchainError
from dlcc.tuning.workers.child import GRACE_S
from dlcc.tuning.workers.jobs import Failed
from dlcc.tuning.workers.process import Worker
from tests.tuning.probe import never, probing

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    """Workers import the jobs of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        yield


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(probing) as started:
        yield started


def ends(process: psutil.Process) -> bool:
    gone, _ = psutil.wait_procs([process], timeout=30)
    return bool(gone)


def test_one_process_does_job_after_job(worker: Worker) -> None:
    said = [worker.ask(("echo", n), LIMIT_S) for n in range(3)]
    assert said == [(n, worker.pid) for n in range(3)]


def test_large_values_go_both_ways(worker: Worker) -> None:
    value = os.urandom(1 << 16) * 100
    assert worker.ask(("echo", value), LIMIT_S) == (value, worker.pid)


def test_an_error_is_the_answer_of_its_job_only(worker: Worker) -> None:
    bad = Failed("ZeroDivisionError: integer division or modulo by zero")
    assert worker.ask(("fail", 0), LIMIT_S) == bad
    refused = Failed("it is refused", "ask for something else", 2)
    assert worker.ask(("refuse", 0), LIMIT_S) == refused
    assert worker.ask(("echo", 3), LIMIT_S) == (3, worker.pid)


@pytest.mark.parametrize(
    ("doing", "why"),
    [("crash", "SIGSEGV"), ("leave", "status 3: farewell"), ("chatter", "no answer")],
)
def test_a_worker_that_ends_is_replaced(worker: Worker, doing: str, why: str) -> None:
    before = worker.pid
    bad = worker.ask((doing, 0), LIMIT_S)
    assert isinstance(bad, Failed)
    assert why in bad.what
    assert worker.ask(("echo", 4), LIMIT_S) == (4, worker.pid)
    assert worker.pid != before


def test_a_worker_that_hangs_is_killed_with_what_it_started(worker: Worker) -> None:
    child, owner = psutil.Process(worker.ask(("spawn", 0), LIMIT_S)), worker.pid
    assert worker.ask(("hang", 0), 1.0) == Failed("it took more than its time limit")
    assert ends(child)
    assert not psutil.pid_exists(owner)
    assert worker.ask(("echo", 6), LIMIT_S) == (6, worker.pid)


def test_one_that_was_killed_while_idle_fails_no_job(worker: Worker) -> None:
    """As the kernel does where memory is short."""
    worker.ask(("echo", 0), LIMIT_S)
    os.kill(worker.pid, signal.SIGKILL)
    assert ends(psutil.Process(worker.pid))
    assert worker.ask(("echo", 7), LIMIT_S) == (7, worker.pid)


def test_what_a_job_prints_is_no_answer(worker: Worker) -> None:
    assert worker.ask(("print", 8), LIMIT_S) == 8


def test_closing_ends_the_process() -> None:
    with Worker(probing) as started:
        process = psutil.Process(started.pid)
        started.submit(("hang", 0), LIMIT_S)
    assert ends(process)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_process(number: signal.Signals) -> None:
    running, worker = elsewhere("work()")
    time.sleep(0.2)  # it may be about to give the job, or wait for it
    running.send_signal(number)
    running.wait(30)
    assert ends(worker)


def test_a_job_that_nobody_waits_for_ends() -> None:
    """Of a worker that was started by another thread, whose process is killed while it hangs."""
    limit_s = 3 - GRACE_S
    running, worker = elsewhere("threading.Thread(target=work).start()", limit_s)
    running.kill()
    running.wait(30)
    assert ends(worker)


def elsewhere(begin: str, limit_s: float = 1e6) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A process whose worker is at a job that hangs, and that worker."""
    program = (
        "import threading\n"
        "from dlcc.tuning.workers.process import Worker, wait_for\n"
        "from tests.tuning.probe import probing\n"
        "def work():\n"
        "    w = Worker(probing)\n"
        f"    w.ask(('echo', 0), {LIMIT_S})\n"
        f"    w.submit(('hang', 0), {limit_s})\n"
        "    print(w.pid, flush=True)\n"
        "    while True: wait_for([w])\n"
        f"{begin}\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdout is not None
    with running.stdout as said:
        return running, psutil.Process(int(said.readline()))


def test_workers_that_cannot_start_say_why() -> None:
    with (
        Worker(never) as started,
        pytest.raises(ToolchainError, match=r"do not start.*no memory left"),
    ):
        started.ask(("echo", 0), LIMIT_S)
