"""Workers that share the jobs of a batch, each with a time limit."""

from __future__ import annotations

import logging
import select
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dlcc.targets.closing import Closing
from dlcc.targets.errors import DlccError
from dlcc.tuning.workers.process import Worker
from dlcc.tuning.workers.wire import Broken, Message

log = logging.getLogger("dlcc")

JOBS = "dlcc.tuning.workers.jobs"
START_LIMIT_S = 120.0  # for a worker to import TVM, on a busy machine
SAID_BYTES = 2_000
MOST_STARTS = 3  # in a row that end before the worker is ready


@dataclass(frozen=True, slots=True)
class Job:
    """name: one of the workers' JOBS. fields, pieces: what it takes. limit_s: of its time."""

    name: str
    fields: Mapping[str, Any]
    pieces: Sequence[bytes] = ()
    limit_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job gave. failed: why it gave nothing, in one line; "" where it did.

    error: the name of the error that it raised, "" for a crash and "TimeLimit" for a time-out."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    pieces: Sequence[bytes] = ()
    failed: str = ""
    error: str = ""
    hint: str = ""
    took_s: float = 0.0


@dataclass
class _Place:
    """A place for one worker. job: number of the one that it does, None: it is idle.

    began_s: of the job, or of the start while `ready` is false."""

    worker: Worker
    began_s: float
    ready: bool = False
    job: int | None = None


class Crew(Protocol):
    """Those who do jobs. keeps_devices: whether a device that one job opened is there for the
    next."""

    keeps_devices: bool

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Outcomes in the order of the jobs."""


class Workers(Closing):
    """Processes that live as long as this object; each runs one job at a time.

    A worker that crashes, or does not answer within the job's limit, is killed with all that it
    started; another takes its place for the next job. Closing, or the end of this process, ends
    them all."""

    keeps_devices = True

    def __init__(self, count: int, jobs: str = JOBS, env: Mapping[str, str] | None = None) -> None:
        """jobs: the module whose JOBS they do. env: variables, on top of this process's."""
        self._jobs = jobs
        self._env = dict(env or {})
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed with this object
        self._starts = 0
        self._places = [self._start() for _ in range(count)]

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run jobs, as many at once as there are workers; outcomes in the order of the jobs.

        Raises DlccError where workers do not start."""
        done: dict[int, Outcome] = {}
        todo = list(range(len(jobs)))[::-1]
        try:
            while len(done) < len(jobs):
                for place in self._places:
                    if place.ready and place.job is None and todo:
                        place.job, place.began_s = todo.pop(), time.monotonic()
                        place.worker.give(_request(jobs[place.job]))
                self._wait(jobs, done)
        except BaseException:
            self._drop_running()  # their answers would be taken for those of later jobs
            raise
        return [done[number] for number in range(len(jobs))]

    def pids(self) -> list[int]:
        """The processes, for those who look after them."""
        return [place.worker.pid for place in self._places]

    def close(self) -> None:
        for place in self._places:
            place.worker.end()
        self._places.clear()
        self._said.close()

    def _start(self) -> _Place:
        return _Place(Worker(self._jobs, self._said, self._env), time.monotonic())

    def _wait(self, jobs: Sequence[Job], done: dict[int, Outcome]) -> None:
        """Until something happens on a pipe or a limit is reached; then deal with it."""
        busy = [place for place in self._places if not place.ready or place.job is not None]
        ends_s = {id(p): p.began_s + self._limit_s(p, jobs) for p in busy}
        reads = [place.worker.answers for place in busy]
        writes = [fd for place in busy if (fd := place.worker.requests) is not None]
        left_s = max(0.0, min(ends_s.values()) - time.monotonic())
        readable, writable, _ = select.select(reads, writes, [], left_s)
        for place in busy:
            try:
                if place.worker.requests in writable:
                    place.worker.write()
                if place.worker.answers in readable:
                    self._take(place, done)
                elif time.monotonic() > ends_s[id(place)]:
                    self._late(place, jobs, done)
            except Broken as error:
                self._replace(place, done, str(error), "")

    def _limit_s(self, place: _Place, jobs: Sequence[Job]) -> float:
        return jobs[place.job].limit_s if place.job is not None else START_LIMIT_S

    def _take(self, place: _Place, done: dict[int, Outcome]) -> None:
        message = place.worker.read()
        if message is None:
            return
        if not place.ready:
            place.ready, self._starts = True, 0
        elif place.job is not None:
            done[place.job] = _outcome(message, time.monotonic() - place.began_s)
            place.job = None

    def _late(self, place: _Place, jobs: Sequence[Job], done: dict[int, Outcome]) -> None:
        limit_s = self._limit_s(place, jobs)
        self._replace(place, done, f"it took longer than {limit_s:g} s", "TimeLimit")

    def _replace(self, place: _Place, done: dict[int, Outcome], why: str, error: str) -> None:
        """Kill a worker, and start another; its job has failed."""
        place.worker.end()
        if place.job is not None:
            done[place.job] = Outcome(
                failed=why, error=error, took_s=time.monotonic() - place.began_s
            )
            log.debug("a worker is replaced: %s", why)
        elif not place.ready:
            self._starts += 1
            if self._starts >= MOST_STARTS:
                raise DlccError(
                    f"workers of tuning do not start: {why}", hint=self.said() or "is memory short?"
                )
        new = self._start()
        place.worker, place.began_s, place.ready, place.job = new.worker, new.began_s, False, None

    def _drop_running(self) -> None:
        for place in self._places:
            if place.job is not None:
                place.worker.end()
                new = self._start()
                place.worker, place.began_s = new.worker, new.began_s
                place.ready, place.job = False, None

    def said(self) -> str:
        """The last that workers printed."""
        size = self._said.seek(0, 2)
        self._said.seek(max(0, size - SAID_BYTES))
        return self._said.read().decode("utf-8", "replace").strip()


def _request(job: Job) -> Message:
    return Message({**job.fields, "job": job.name, "job_limit_s": job.limit_s}, job.pieces)


def _outcome(message: Message, took_s: float) -> Outcome:
    fields = message.fields
    if "failed" in fields:
        why, error, hint = (str(fields.get(name, "")) for name in ("failed", "error", "hint"))
        return Outcome(failed=why or "it gave no reason", error=error, hint=hint, took_s=took_s)
    return Outcome(fields, message.pieces, took_s=took_s)
