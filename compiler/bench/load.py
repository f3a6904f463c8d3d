"""Several sessions of a model at once: how many inferences a second, and how long each takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from dlcc.compiler.bench.jobs import Child, Job
from dlcc.compiler.bench.table import percentile
from dlcc.compiler.errors import UsageError
from dlcc.targets.local import physical_cores

READY_LIMIT_S = 600.0
HEAD_START_S = 0.1  # for the order to begin to reach every process
MOST_SESSIONS = 256


@dataclass(frozen=True, slots=True)
class LoadRow:
    """So many sessions at once. threads: of each, None: the device's default.

    per_second: inferences of all together.   speed_up: over one session.
    min_s to p99_s: of single inferences, inputs and outputs copied in and out."""

    target: str
    device: str
    sessions: int
    threads: int | None
    inferences: int
    per_second: float
    speed_up: float | None
    min_s: float
    median_s: float
    p95_s: float
    p99_s: float


def measure_load(job: Job, sessions: int, seconds: float) -> list[LoadRow]:
    """A row for one session, and one for so many at once, each for some seconds.

    job: "load" of a container, with its place. Where that names no threads, one session has all
    cores, and several share them. Raises JobError, UsageError for a device that counts."""
    if not 1 <= sessions <= MOST_SESSIONS:
        raise UsageError(f"{sessions} sessions at once; 1 to {MOST_SESSIONS} can be")
    alone = _row(job, 1, seconds)
    if sessions == 1:
        return [alone]
    many = _row(_sharing(job, sessions, alone.device), sessions, seconds)
    return [alone, replace(many, speed_up=many.per_second / alone.per_second)]


def _sharing(job: Job, sessions: int, device: str) -> Job:
    """The job with its part of the cores. Those of a device elsewhere are its own affair."""
    address, target, threads, limit_s = job.place
    if threads is None and not device.startswith("rpc://"):
        threads = max(1, physical_cores() // sessions)
    return replace(job, place=(address, target, threads, limit_s))


def _row(job: Job, sessions: int, seconds: float) -> LoadRow:
    with ExitStack() as stack:
        children = [stack.enter_context(Child(job)) for _ in range(sessions)]
        hello = [child.answer(READY_LIMIT_S) for child in children]
        from_s = time.monotonic() + HEAD_START_S
        for child in children:
            child.tell({"from_s": from_s, "until_s": from_s + seconds})
        told = [child.answer(seconds + READY_LIMIT_S) for child in children]
    return _summed(hello[0], told, job.place[2])


def _summed(hello: dict[str, Any], told: Sequence[dict[str, Any]], threads: int | None) -> LoadRow:
    times_s = [time_s for row in told for time_s in row["times_s"]]
    return LoadRow(
        target=hello["target"],
        device=hello["device"],
        sessions=len(told),
        threads=threads,
        inferences=len(times_s),
        per_second=sum(len(row["times_s"]) / row["elapsed_s"] for row in told),
        speed_up=None,
        min_s=min(times_s),
        median_s=statistics.median(times_s),
        p95_s=percentile(times_s, 95),
        p99_s=percentile(times_s, 99),
    )
