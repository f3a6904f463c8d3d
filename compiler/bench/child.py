"""Does one job: `python -m dlcc.compiler.bench.child`, which `jobs.py` starts.

One line of JSON on stdin is the job, lines on stdout are its answers.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from dlcc.compiler.errors import DlccError, UsageError

if TYPE_CHECKING:
    from dlcc.compiler.session import Session

WARM_UP_RUNS = 2
Say = Callable[[dict[str, Any]], None]


def main() -> None:
    """Take the job from stdin, do it, answer. What the job prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(what: dict[str, Any]) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    job = json.loads(sys.stdin.readline())
    try:
        DO[job["do"]](job, say, sys.stdin)
    except DlccError as error:
        say({"error": error.what, "hint": error.hint, "exit_code": error.exit_code})
    except Exception as error:  # noqa: BLE001  the cell tells what failed, the suite goes on
        traceback.print_exc()
        what = f"internal error: {type(error).__name__}: {error}"
        say({"error": what, "hint": "this is a bug of dlcc", "exit_code": 70})


def compile_model(job: dict[str, Any], say: Say, _orders: IO[str]) -> None:
    """A model into a container."""
    from dlcc.compiler import compile

    compile(job["model"], **job["how"]).save(job["container"])
    say({})


def measure(job: dict[str, Any], say: Say, _orders: IO[str]) -> None:
    """The cost of one inference."""
    with _opened(job) as (session, values):
        bench = session.bench(values, job["runs"])
        place = {"target": session.target, "device": session.device}
    say({**place, "times_s": bench.times_s, "counts": bench.counts})


def load(job: dict[str, Any], say: Say, orders: IO[str]) -> None:
    """Inferences one after another, from one moment to another that the parent names.

    Raises UsageError where the device counts: how many there are in a second means nothing."""
    with _opened(job) as (session, values):
        if not session.bench(values, 1).times_s:
            raise UsageError(
                f"{session.target} on {session.device} is emulated: it counts events, and how "
                "many inferences it makes in a second says nothing of a real device",
                hint="leave --sessions out, which gives the counts of one inference",
            )
        for _ in range(WARM_UP_RUNS):
            session.run(values)
        say({"target": session.target, "device": session.device})
        order = json.loads(orders.readline())
        times_s, elapsed_s = _timed(session, values, order["from_s"], order["until_s"])
    say({"times_s": times_s, "elapsed_s": elapsed_s})


def _timed(
    session: Session, values: Mapping[str, object], from_s: float, until_s: float
) -> tuple[list[float], float]:
    """Seconds of each inference, at least one, and of all together. The clock is the machine's own,
    the same for every process."""
    time.sleep(max(0.0, from_s - time.monotonic()))
    times_s: list[float] = []
    began_s = now_s = time.monotonic()
    while now_s < until_s or not times_s:
        session.run(values)
        before_s, now_s = now_s, time.monotonic()
        times_s.append(now_s - before_s)
    return times_s, now_s - began_s


@contextmanager
def _opened(job: dict[str, Any]) -> Iterator[tuple[Session, Mapping[str, object]]]:
    """A session of the job's container, and its inputs."""
    from dlcc.compiler.cli.arrays import gather_feeds
    from dlcc.compiler.container import open_container

    container = open_container(job["container"])
    specs = container.signature(job["signature"]).inputs
    values = gather_feeds(specs, job["feeds"], job["raw_dtype"], job["seed"])
    with container.session(*job["place"], signature=job["signature"]) as session:
        yield session, values


DO: dict[str, Callable[[dict[str, Any], Say, IO[str]], None]] = {
    "compile": compile_model,
    "measure": measure,
    "load": load,
}

if __name__ == "__main__":
    main()
