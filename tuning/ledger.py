"""The records of one session: what is written to the database, and what tasks are told of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from dlcc.targets.tuned import Knobs
from dlcc.tuning.database import Database, read
from dlcc.tuning.noise import ratio
from dlcc.tuning.record import DeviceClass, Record, Reward
from dlcc.tuning.request import Request
from dlcc.tuning.target import device_class, isa, key_of, tools_of
from dlcc.tuning.tasks import Task, restore
from dlcc.tuning.tracing import TRACE
from dlcc.tuning.workers.jobs import Choices, Measured


class Ledger:
    """Counts trials, and appends the records of a batch at once.

    trials, failed: of all sessions whose records count; restored: trials of earlier ones.
    sessions: how many these are."""

    def __init__(self, database: Database, request: Request, reward: Reward, threads: int) -> None:
        self._database = database
        self._request = request
        self._reward = reward
        self._threads = threads
        self._device: DeviceClass = device_class(request.addresses[0])
        self._defaults: dict[str, float] = {}
        self._tasks: dict[str, Task] = {}
        self.session = uuid.uuid4().hex[:12]
        self.batch = 0
        self.trials = 0
        self.restored = 0
        self.failed = 0
        self.sessions = 1

    def begin(self, tasks: Sequence[Task]) -> None:
        """Restore what the database knows of the tasks, and record defaults that it lacks."""
        self._tasks = {task.workload: task for task in tasks}
        key = key_of(self._request.chip, self._threads, self._device, self._reward)
        known = [r for r in read(self._database.folder) if not key.foreign(r) and not key.stale(r)]
        own = [r for r in known if r.workload in self._tasks]
        found = restore(tasks, own)
        self._defaults = {w: r.cost for w, r in found.items() if r.cost is not None}
        trials = [r for r in own if not r.final]
        self.trials = self.restored = len(trials)
        self.failed = sum(not r.usable for r in trials)
        self.batch = 1 + max((r.batch for r in own), default=-1)
        self.sessions += len({r.session for r in own})
        new = [task for task in tasks if task.workload not in self._defaults]
        self._defaults |= {task.workload: task.default_cost for task in new}
        self._append([self._record(task, {}, task.default_cost, True) for task in new])

    def measured(self, choices: Choices, found: Measured) -> None:
        """A batch whose results were right."""
        records = []
        for workload, knobs in choices.items():
            cost = ratio(found.tuned[workload], found.default[workload])
            records.append(self._told(workload, knobs, cost, True, ""))
        self._append(records)

    def refused(self, workload: str, knobs: Knobs, why: str, cost: float | None = None) -> None:
        """A choice that failed, or whose result was wrong: then it has a ratio of costs."""
        right = None if cost is None else False
        self._append([self._told(workload, knobs, cost, right, why)])

    def wrong(self, workload: str, knobs: Knobs, why: str) -> None:
        """A choice that was measured before, and is wrong on other inputs; it is no new trial."""
        task = self._tasks[workload]
        task.refuse(knobs)
        record = self._record(task, knobs, None, False, why)
        self._database.append([record._replace(final=True)])

    def final(self, chosen: Mapping[str, tuple[Knobs, float]]) -> None:
        """How the session ends: for each task a choice and its ratio."""
        records = [
            self._record(task, knobs, self._defaults[w] * cost, True)._replace(final=True)
            for w, (knobs, cost) in chosen.items()
            if (task := self._tasks[w])
        ]
        self._database.append(records)

    def _told(
        self, workload: str, knobs: Knobs, cost: float | None, right: bool | None, why: str
    ) -> Record:
        task = self._tasks[workload]
        task.tell(knobs, cost, right)
        seconds = None if cost is None else cost * self._defaults[workload]
        return self._record(task, knobs, seconds, right, why)

    def _append(self, records: Sequence[Record]) -> None:
        if records:
            self._database.append(records)
            self.trials += len(records)
            self.failed += sum(not r.usable for r in records)
            self.batch += 1

    def _record(
        self, task: Task, knobs: Knobs, cost: float | None, right: bool | None, why: str = ""
    ) -> Record:
        chip = self._request.chip
        if cost is not None and cost <= 0:
            cost, why = None, why or "it took less time than the clock can tell"
        return Record(
            kind=chip.kind,
            chip=chip.name,
            processor=str(chip.tvm.get("mcpu", "")),
            isa=isa(chip),
            cores=chip.cores,
            threads=self._threads,
            device=self._device,
            reward=self._reward,
            tools=tools_of(chip),
            search="metaschedule" if TRACE in knobs else "template",
            session=self.session,
            workload=task.workload,
            label=task.label,
            choice=dict(knobs),
            cost=cost,
            verified=right,
            default=not knobs,
            batch=self.batch,
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            error=why,
        )
