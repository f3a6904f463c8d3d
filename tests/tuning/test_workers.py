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

from dlcc.targets.errors import DlccError
from dlcc.tuning.workers.child import GRACE_S
from dlcc.tuning.workers.pool import Job, Workers
from dlcc.tuning.workers.wire import Broken, Message, Reader, packed

ROOT = Path(__file__).resolve().parents[2]
JOBS = "tests.tuning.probe"
LIMIT_S = 60.0


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    """Workers import the jobs of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        yield


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2, JOBS) as started:
        yield started


def probe(doing: str, **fields: object) -> Job:
    """A job that does something else than tune: see probe.py."""
    limit_s = float(str(fields.pop("limit_s", LIMIT_S)))
    return Job("probe", {"doing": doing, **fields}, (b"abc",), limit_s)


def test_outcomes_are_in_the_order_of_the_jobs(workers: Workers) -> None:
    done = workers.run([probe("echo", value=n) for n in range(7)])
    assert [o.fields["value"] for o in done] == list(range(7))
    assert {tuple(o.pieces) for o in done} == {(b"abc",)}
    assert {o.fields["pid"] for o in done} <= set(workers.pids())


def test_workers_start_once(workers: Workers) -> None:
    before = workers.pids()
    for _ in range(3):
        workers.run([probe("echo", value=1)])
    assert workers.pids() == before


def test_large_pieces_go_both_ways(workers: Workers) -> None:
    piece = os.urandom(1 << 16) * 100
    (done,) = workers.run([Job("probe", {"doing": "echo", "value": 0}, (piece, b""), LIMIT_S)])
    assert list(done.pieces) == [piece, b""]


def test_an_error_is_the_outcome_of_its_job_only(workers: Workers) -> None:
    bad, mend, good = workers.run([probe("fail"), probe("refuse"), probe("echo", value=3)])
    assert bad.failed == "ZeroDivisionError: integer division or modulo by zero"
    assert bad.error == "ZeroDivisionError"
    assert (mend.failed, mend.hint) == ("it is refused", "ask for something else")
    assert good.fields["value"] == 3


@pytest.mark.parametrize(
    ("doing", "why"),
    [("crash", "SIGSEGV"), ("leave", "status 3"), ("chatter", "no message")],
)
def test_a_worker_that_ends_is_replaced(workers: Workers, doing: str, why: str) -> None:
    bad, good = workers.run([probe(doing), probe("echo", value=4)])
    assert why in bad.failed
    assert good.fields["value"] == 4
    (again,) = workers.run([probe("echo", value=5)])
    assert again.fields["value"] == 5


def test_a_worker_that_hangs_is_killed_with_what_it_started(workers: Workers) -> None:
    (started,) = workers.run([probe("spawn")])
    child = psutil.Process(int(started.fields["child"]))
    owner = int(started.fields["pid"])
    done = workers.run([probe("hang", limit_s=1.0), probe("hang", limit_s=1.0)])
    assert {o.error for o in done} == {"TimeLimit"}
    assert "longer than 1 s" in done[0].failed
    gone, alive = psutil.wait_procs([child], timeout=10)
    assert (len(gone), alive) == (1, [])
    assert not psutil.pid_exists(owner)
    assert workers.run([probe("echo", value=6)])[0].fields["value"] == 6


def test_what_workers_print_is_no_answer(workers: Workers) -> None:
    (done,) = workers.run([probe("print")])
    assert done.fields["value"] == "printed"
    assert "ahem" in workers.said()


def test_closing_ends_every_process() -> None:
    with Workers(2, JOBS) as started:
        processes = [psutil.Process(pid) for pid in started.pids()]
        started.run([probe("echo", value=1)])
    gone, alive = psutil.wait_procs(processes, timeout=10)
    assert (len(gone), alive) == (2, [])


def test_an_interrupted_batch_leaves_no_answers_behind() -> None:
    """Ctrl-C in the middle of a batch: the next batch gets its own answers."""
    program = (
        "import signal, threading, os\n"
        "from dlcc.tuning.workers.pool import Job, Workers\n"
        "def job(doing, **more): return Job('probe', {'doing': doing, **more}, (), 60.0)\n"
        "with Workers(2, 'tests.tuning.probe') as w:\n"
        "    w.run([job('echo', value=0)] * 2)\n"
        "    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    try:\n"
        "        w.run([job('sleep', value=1), job('sleep', value=1)])\n"
        "    except KeyboardInterrupt:\n"
        "        print([o.fields['value'] for o in w.run([job('echo', value=2)] * 2)], w.pids())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[2, 2]")
    pids = [int(pid) for pid in done.stdout.split("[")[2].strip(" ]\n").split(",")]
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_process(number: signal.Signals) -> None:
    program = (
        "from dlcc.tuning.workers.pool import Job, Workers; w = Workers(2, 'tests.tuning.probe'); "
        "w.run([Job('probe', {'doing': 'echo', 'value': 0}, ())]); "
        "print(*w.pids(), flush=True); "
        "w.run([Job('probe', {'doing': 'hang'}, (), 1e6)] * 2)"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdout is not None
    workers = [psutil.Process(int(pid)) for pid in running.stdout.readline().split()]
    assert len(workers) == 2
    time.sleep(0.2)  # it may be about to give the jobs, or wait for them
    running.send_signal(number)
    running.wait(30)
    running.stdout.close()
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert (len(gone), alive) == (2, [])


def test_a_job_that_nobody_waits_for_ends() -> None:
    """Of a worker that was started by another thread, whose process is killed while it hangs."""
    program = (
        "import threading, time; from dlcc.tuning.workers import child; "
        "from dlcc.tuning.workers.pool import Job, Workers\n"
        "def work():\n"
        "    w = Workers(1, 'tests.tuning.probe')\n"
        "    w.run([Job('probe', {'doing': 'echo', 'value': 0}, ())])\n"
        "    print(*w.pids(), flush=True)\n"
        f"    w.run([Job('probe', {{'doing': 'hang'}}, (), {3 - GRACE_S})])\n"
        "threading.Thread(target=work).start()\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ},
    )
    assert running.stdout is not None
    worker = psutil.Process(int(running.stdout.readline()))
    running.kill()
    running.wait(30)
    running.stdout.close()
    gone, alive = psutil.wait_procs([worker], timeout=30)
    assert (len(gone), alive) == (1, [])


def test_workers_that_cannot_start_say_why() -> None:
    with (
        Workers(1, JOBS, env={"PYTHONHOME": "/nonexistent"}) as started,
        pytest.raises(DlccError, match="do not start"),
    ):
        started.run([probe("echo", value=0)])


def test_messages_come_in_pieces() -> None:
    reader, data = Reader(), packed(Message({"a": 1}, (b"xy", b"z")))
    got = [reader.feed(data[i : i + 1]) for i in range(len(data))]
    assert got[:-1] == [None] * (len(data) - 1)
    assert got[-1] == Message({"a": 1}, [b"xy", b"z"])


@pytest.mark.parametrize(
    "data", [b"\xff" * 9, b"\x02" + b"\0" * 7 + b"[]", b"\x04" + b"\0" * 7 + b"}}}}"]
)
def test_nonsense_is_no_message(data: bytes) -> None:
    with pytest.raises(Broken):
        Reader().feed(data)
