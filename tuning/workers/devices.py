"""Devices at work, each with a worker process; one that fails is set aside for a while."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import replace as with_fields
from functools import partial

from dlcc.targets.closing import Closing
from dlcc.targets.errors import DeviceError
from dlcc.tuning.workers.jobs import Answer, Built, DeviceSetup, Failed, Measure, Run
from dlcc.tuning.workers.measuring import measuring
from dlcc.tuning.workers.process import Worker

log = logging.getLogger("dlcc")

BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
GIVE_UP_S = 600.0  # without any device


@dataclass(slots=True)
class Lane:
    """One device. run: what it is at, None: idle. losses: in a row. back_s: until when it is set
    aside.

    trials, failed: that it measured, and that ended without a result there, as far as they were
    recorded. times: that it was set aside. why: it was, the last time."""

    address: str
    worker: Worker
    run: Run | None = None
    losses: int = 0
    back_s: float = 0.0
    trials: int = 0
    failed: int = 0
    times: int = 0
    why: str = ""


def _worker(setup: DeviceSetup, address: str) -> Worker:
    return Worker(partial(measuring, with_fields(setup, address=address)))


class Devices(Closing):
    """All devices of a session."""

    def __init__(
        self, setup: DeviceSetup, addresses: Sequence[str], say: Callable[[str], None]
    ) -> None:
        self._stack = ExitStack()
        self._say = say
        # whether a device still does what it did
        self._probe = Run(Measure({}, 1), setup.default)
        self._ready_s = time.monotonic()
        self.lanes = [
            Lane(address, self._stack.enter_context(_worker(setup, address)))
            for address in addresses
        ]

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return any(lane.run not in (None, self._probe) for lane in self.lanes)

    def give(self, runs: deque[Run], limit_s: float) -> None:
        """Jobs to devices that are free, as far as there are. Those that were set aside, and may
        be back by now, are asked for what they did before, first."""
        now_s = time.monotonic()
        for lane in self.lanes:
            if lane.run is None and now_s >= lane.back_s and (lane.losses or runs):
                lane.run = self._probe if lane.losses else runs.popleft()
                lane.worker.submit(lane.run, limit_s)

    def answers(self) -> Iterator[tuple[Run, Answer | Failed, Lane]]:
        """What has ended by now. A job whose device was lost comes back as failed with `lost`;
        raises DeviceError when none is left for long."""
        for lane in self.lanes:
            if lane.run is None or (answer := lane.worker.poll()) is None:
                continue
            assert not isinstance(answer, Built)
            run, lane.run = lane.run, None
            if isinstance(answer, Failed) and (answer.lost or run is self._probe):
                self._set_aside(lane, answer.what)
            elif lane.losses:
                lane.losses = 0
                self._say(f"{lane.address} is back")
            if run is not self._probe:
                yield run, answer, lane
        self._check_any()

    def talking(self) -> Iterable[Worker]:
        """Processes to wait for."""
        return [lane.worker for lane in self.lanes if lane.run is not None]

    def _set_aside(self, lane: Lane, why: str) -> None:
        wait_s = BACK_OFF_S[min(lane.losses, len(BACK_OFF_S) - 1)]
        lane.losses += 1
        lane.times += 1
        lane.why = why
        lane.back_s = time.monotonic() + wait_s
        self._say(f"{lane.address} is set aside for {wait_s:g} s: {why}")

    def _check_any(self) -> None:
        if any(not lane.losses for lane in self.lanes):
            self._ready_s = time.monotonic()
        elif time.monotonic() - self._ready_s > GIVE_UP_S:
            raise DeviceError(
                f"no device answered for {GIVE_UP_S:g} s",
                hint="what was measured is kept; the same command goes on from there",
            )

    def close(self) -> None:
        """End all workers."""
        self._stack.close()
