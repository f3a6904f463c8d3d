"""Several devices at work, each with a worker process; one that fails is set aside for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import replace as with_fields

from dlcc.targets.closing import Closing
from dlcc.targets.errors import DeviceError
from dlcc.tuning.jobs import Answer, Failed, Job, Measure, Setup
from dlcc.tuning.process import Worker

log = logging.getLogger("dlcc")

FIRST_LIMIT_S = 900.0  # for the first build and measurement, whose time nobody knows yet
LEAST_LIMIT_S = 20.0
TIMES_FIRST = 5.0  # how much longer than the first one a job may take
BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
MOST_LOSSES = 3  # of devices with the same job, until it is taken to be the job's fault
GIVE_UP_S = 600.0  # without any device
TICK_S = 0.05

PROBE = Measure({}, 1)  # whether a device still does what it did


@dataclass(slots=True)
class Lane:
    """One device. job: what it is at, None: idle. ticket: whatever belongs to the job.
    losses: in a row. back_s: until when it is set aside."""

    address: str
    worker: Worker
    job: Job | None = None
    ticket: object = None
    losses: int = 0
    back_s: float = 0.0

    @property
    def idle(self) -> bool:
        return self.job is None and time.monotonic() >= self.back_s


class Lanes(Closing):
    """All devices of a session."""

    def __init__(
        self,
        setup: Setup,
        addresses: Sequence[str],
        say: Callable[[str], None],
        limit_s: float | None = None,
    ) -> None:
        """limit_s: of a job; None: from what the first one takes."""
        self._stack = ExitStack()
        self._say = say
        self._limit_s = limit_s
        self._ready_s = time.monotonic()
        self.lanes = [
            Lane(a, self._stack.enter_context(Worker(with_fields(setup, address=a))))
            for a in addresses
        ]

    def first(self) -> Answer | Failed:
        """The answer of the first device that can measure the model as the compiler makes it."""
        began_s = time.monotonic()
        limit_s = FIRST_LIMIT_S if self._limit_s is None else max(self._limit_s, FIRST_LIMIT_S)
        answer = self.lanes[0].worker.ask(Measure({}, 3), limit_s)
        if self._limit_s is None:
            self._limit_s = max(LEAST_LIMIT_S, TIMES_FIRST * (time.monotonic() - began_s))
        return answer

    def ask(self, job: Job) -> Answer | Failed:
        """One job on one device, when no other job is under way; again where that device is lost,
        a few times."""
        losses, waiting = 0, False
        while True:
            if not waiting and (free := self.idle()):
                self.submit(free[0], job, None)
                waiting = True
            for done, _, answer in self.answers():
                assert done is job, "an answer to another job"
                waiting = False
                losses += isinstance(answer, Failed) and answer.lost
                if losses >= MOST_LOSSES or not (isinstance(answer, Failed) and answer.lost):
                    return answer

    def idle(self) -> list[Lane]:
        """The devices without a job. Those that were set aside, and may be back by now, are asked
        for what they did before, first."""
        free = [lane for lane in self.lanes if lane.idle]
        for lane in free:
            if lane.losses:
                self.submit(lane, PROBE, PROBE)
        return [lane for lane in free if not lane.losses]

    def submit(self, lane: Lane, job: Job, ticket: object) -> None:
        """Give a device a job."""
        assert self._limit_s is not None
        lane.job, lane.ticket = job, ticket
        lane.worker.submit(job, self._limit_s)

    def answers(self) -> Iterator[tuple[Job, object, Answer | Failed]]:
        """Job, ticket and answer of what has ended by now. Waits a moment. A job whose device was
        lost comes back as failed with `lost`; raises DeviceError when none is left for long."""
        for lane in self.lanes:
            if lane.job is None or (answer := lane.worker.poll(TICK_S)) is None:
                continue
            job, ticket = lane.job, lane.ticket
            lane.job = lane.ticket = None
            if isinstance(answer, Failed) and (answer.lost or ticket is PROBE):
                self._set_aside(lane, answer.what)
            elif lane.losses:
                lane.losses = 0
                self._say(f"{lane.address} is back")
            if ticket is not PROBE:
                yield job, ticket, answer
        self._check_any()

    def _set_aside(self, lane: Lane, why: str) -> None:
        wait_s = BACK_OFF_S[min(lane.losses, len(BACK_OFF_S) - 1)]
        lane.losses += 1
        lane.back_s = time.monotonic() + wait_s
        self._say(f"{lane.address} is set aside for {wait_s:g} s: {why}")

    def _check_any(self) -> None:
        if any(not lane.losses for lane in self.lanes):
            self._ready_s = time.monotonic()
            return
        if time.monotonic() - self._ready_s > GIVE_UP_S:
            raise DeviceError(
                f"no device answered for {GIVE_UP_S:g} s",
                hint="what was measured is kept; the same command goes on from there",
            )
        if all(lane.job is None for lane in self.lanes):
            time.sleep(TICK_S)

    def close(self) -> None:
        """End all workers."""
        self._stack.close()
