"""Jobs of a session on their way: choices are built, then run on a device."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dlcc.tuning.workers.builders import Builders
from dlcc.tuning.workers.devices import Devices, Lane
from dlcc.tuning.workers.jobs import (
    Answer,
    Build,
    Built,
    Check,
    Failed,
    Job,
    Measure,
    Measured,
    Run,
)
from dlcc.tuning.workers.process import wait_for

DEFAULT = "default"  # name of the file of the model's code without choices
FIRST_LIMIT_S = 900.0  # for the first build and measurement, whose time nobody knows yet
LEAST_LIMIT_S = 20.0
TIMES_FIRST = 5.0  # how much longer than the first one a job may take
TURN_S = 1.0  # of beginning to build, before what was built is measured
MOST_LOSSES = 3  # of devices with the same job, until it is taken to be the job's fault


@dataclass(slots=True, eq=False)
class Work:
    """A job and whatever belongs to it. losses: devices that were lost with it."""

    job: Job
    ticket: object
    losses: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """lane: the device that did it; None where it could not be built."""

    ticket: object
    answer: Answer | Failed
    lane: Lane | None


class Pipeline:
    """Builders and devices. On the machine that measures nothing is built in the meantime: it takes
    turns, of what was begun within a second."""

    def __init__(self, builders: Builders, devices: Devices, limit_s: float | None = None) -> None:
        """limit_s: of a build, and of a run; None: from what the first ones take."""
        self._builders, self.devices = builders, devices
        self._limit_s = limit_s
        self._works: dict[str, Work] = {}  # by the name of their file
        self._building: set[str] = set()
        self._built: deque[Run] = deque()
        self._apart = True
        self._turn_s = 0.0
        self._numbers = itertools.count()

    def first(self) -> Answer | Failed:
        """Build and measure the model as the compiler makes it, on the first device."""
        began_s, given_s = time.monotonic(), self._limit_s
        self._limit_s = max(given_s or 0.0, FIRST_LIMIT_S)
        answer = self._ask(Work(Measure({}, 3), object(), MOST_LOSSES - 1), DEFAULT)
        took_s = time.monotonic() - began_s
        self._limit_s = given_s or max(LEAST_LIMIT_S, TIMES_FIRST * took_s)
        lane = self.devices.lanes[0]
        timed = isinstance(answer, Measured) and answer.reward == "seconds"
        self._apart = timed and self._builders.here and not lane.address.startswith("rpc://")
        return answer

    def ask(self, job: Job) -> Answer | Failed:
        """The answer to a job, when no other is under way."""
        assert not self.busy
        return self._ask(Work(job, object()), str(next(self._numbers)))

    @property
    def busy(self) -> bool:
        """Whether jobs are under way."""
        return bool(self._works)

    @property
    def free(self) -> bool:
        """Whether another job would be built at once, and not wait for long then."""
        if len(self._building) >= self._builders.capacity:
            return False
        if self._apart:
            began = time.monotonic() - self._turn_s < TURN_S and not self.devices.busy
            return not self._works or (began and bool(self._building))
        return len(self._built) < len(self.devices.lanes)

    def submit(self, job: Job, ticket: object) -> None:
        """Send a job on its way."""
        self._submit(Work(job, ticket), str(next(self._numbers)))

    def answers(self) -> Iterator[Done]:
        """What has ended by now; waits a moment. A job fails with those who lost their device
        over it only when these were several."""
        wait_for([*self._builders.talking(), *self.devices.talking()])
        for build, made in self._builders.answers():
            self._building.remove(build.name)
            if isinstance(made, Built):
                self._built.append(Run(self._works[build.name].job, made.path))
            else:
                yield Done(self._works.pop(build.name).ticket, made, None)
        if not (self._apart and self._building):
            assert self._limit_s is not None
            self.devices.give(self._built, self._limit_s)
        for run, answer, lane in self.devices.answers():
            work = self._works[Path(run.code).name]
            work.losses += isinstance(answer, Failed) and answer.lost
            if isinstance(answer, Failed) and answer.lost and work.losses < MOST_LOSSES:
                self._built.append(run)
            else:
                yield Done(self._ended(run), answer, lane)

    def _ended(self, run: Run) -> object:
        path = Path(run.code)
        if path.name != DEFAULT:
            path.unlink()
        return self._works.pop(path.name).ticket

    def _submit(self, work: Work, name: str) -> None:
        assert self._limit_s is not None
        if not self._works:
            self._turn_s = time.monotonic()
        self._works[name] = work
        self._building.add(name)
        build = Build(work.job.choices, isinstance(work.job, Check), name)
        self._builders.submit(build, self._limit_s)

    def _ask(self, work: Work, name: str) -> Answer | Failed:
        self._submit(work, name)
        while True:
            for done in self.answers():
                assert done.ticket is work.ticket, "an answer to another job"
                return done.answer
