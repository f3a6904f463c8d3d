"""Those who make code of choices: processes of this machine, or a cluster's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Protocol

from dlcc.targets.closing import Closing
from dlcc.targets.local import physical_cores
from dlcc.tuning.workers.building import building
from dlcc.tuning.workers.jobs import Build, BuildSetup, Built, Failed
from dlcc.tuning.workers.process import Worker

START_S = 2.0  # that a process takes to start, of a core's time
MOST = 4  # processes, each with TVM and a copy of the model


class Builders(Protocol):
    """here: whether they share this machine's cores with what is measured on it.
    capacity: how many jobs they do at once."""

    here: bool

    @property
    def capacity(self) -> int: ...

    def submit(self, job: Build, limit_s: float) -> None:
        """Give a job, of which there are no more than the capacity."""

    def answers(self) -> Iterator[tuple[Build, Built | Failed]]:
        """What has ended by now. Raises DlccError where no work is possible any more."""

    def talking(self) -> Iterable[Worker]:
        """Processes to wait for."""


class LocalBuilders(Closing):
    """Processes of this machine. One starts at once, the others when it has worked for as long as a
    start takes; they count when they are ready, so that nobody waits for them."""

    here = True

    def __init__(self, setup: BuildSetup) -> None:
        self._start = partial(building, setup)
        self._stack = ExitStack()
        self._workers = [self._stack.enter_context(Worker(self._start))]
        self._jobs: dict[Worker, tuple[Build, float]] = {}  # and since when
        self._worked_s = 0.0

    @property
    def capacity(self) -> int:
        return max(1, sum(worker.ready or worker in self._jobs for worker in self._workers))

    def submit(self, job: Build, limit_s: float) -> None:
        if self._worked_s > START_S:
            self._more()
        free = [worker for worker in self._workers if worker not in self._jobs]
        chosen = max(free, key=lambda worker: worker.ready)
        self._jobs[chosen] = job, time.monotonic()
        chosen.submit(job, limit_s)

    def answers(self) -> Iterator[tuple[Build, Built | Failed]]:
        for worker in self._workers:
            answer = worker.poll() if worker in self._jobs or not worker.ready else None
            if answer is not None:
                assert isinstance(answer, Built | Failed)
                job, began_s = self._jobs.pop(worker)
                self._worked_s += time.monotonic() - began_s
                yield job, answer

    def talking(self) -> Iterable[Worker]:
        return list(self._jobs)

    def _more(self) -> None:
        while len(self._workers) < min(MOST, physical_cores()):
            self._workers.append(self._stack.enter_context(Worker(self._start)))

    def close(self) -> None:
        """End the processes."""
        self._stack.close()
