"""The search over schedules of a model's kernels, for those that no rule of ours has knobs for.

Each kernel is searched by itself; all share the trials by their share of the run, as their default
costs tell it. Records are appended batch by batch, and are what the next session begins with.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import tvm_ffi
from tvm import s_tir
from tvm.ir import IRModule

from dlcc.targets.names import nodes_of
from dlcc.targets.registry import kind
from dlcc.targets.tuned import UNTUNED, WORKLOAD, Tuned
from dlcc.tuning.database import Database, read
from dlcc.tuning.kernels import Kernel, kernels_of
from dlcc.tuning.metaschedule.search import Candidate, Measured
from dlcc.tuning.noise import ratio, wins
from dlcc.tuning.record import Record, Reward
from dlcc.tuning.request import Request
from dlcc.tuning.target import device_class, isa, key_of, tools_of
from dlcc.tuning.trials import KernelTrials, Place, Trial
from dlcc.tuning.workers.pool import Crew

log = logging.getLogger("dlcc")

LEAVE_ROOM = ("opencl", "hexagon")  # kinds whose rules can be beaten on kernels with knobs, too
BATCH = 16
PATIENCE = 48  # trials without progress until a kernel is flat
BETTER = 0.99  # what counts as progress, of the least cost before
CONFIRM_ROUNDS = 9
REWARDS: dict[str, Reward] = {
    "seconds": "seconds",
    "instructions": "instructions",
    "packets": "packets",
}


@dataclass(slots=True)
class ScheduleTask:
    """One kernel. label: what of the graph it computes. default_cost: of one call, 0.0 where it is
    not known. best: the least cost, and the candidate that has it.

    idle: trials since the last progress. exhausted: whether nothing is left to try.
    chosen, gain: how it ends. confirmed: whether that was measured after the last trial."""

    kernel: Kernel
    label: str
    trials: KernelTrials
    default_cost: float = 0.0
    best: tuple[float, Candidate] | None = None
    reward: Reward = "seconds"
    idle: int = 0
    exhausted: bool = False
    chosen: Candidate = field(default_factory=Candidate)
    gain: float = 1.0
    confirmed: bool = False

    @property
    def flat(self) -> bool:
        return self.exhausted or self.idle >= PATIENCE

    @property
    def weight(self) -> float:
        """Its cost in one inference, less the more often it was tried."""
        return self.default_cost * self.kernel.calls / (1 + self.trials.trials / BATCH)

    def note(self, rows: Sequence[Trial]) -> None:
        """Learn from a batch, or from records."""
        for row in rows:
            self.idle += 1
            if row.cost is None:
                continue
            if row.candidate.default:
                self.default_cost = row.cost
            if row.reward:
                self.reward = REWARDS[row.reward]
            if self.best is None or row.cost < self.best[0]:
                if self.best is None or row.cost < BETTER * self.best[0]:
                    self.idle = 0
                self.best = (row.cost, row.candidate)


class ScheduleSearch:
    """The search for all kernels of a model that rules have no choices for."""

    def __init__(
        self,
        request: Request,
        database: Database,
        builders: Crew,
        runners: Crew,
        said: Callable[[str], None] = log.info,
        tuned: Tuned = UNTUNED,
    ) -> None:
        """tuned: knobs that were chosen before. They change what a kernel is, and so which one a
        trace is for: with others a build does not ask for these traces."""
        self._request, self._database, self._said = request, database, said
        self._session, self._batch = uuid.uuid4().hex[:12], 0
        threads = request.options.threads
        place = Place(request.addresses[0], threads, request.options.time_limit_s)
        chip = request.chip
        mod = kind(chip.kind).unscheduled(request.module, chip, Tuned(tuned.by_workload))
        self.tasks = [
            ScheduleTask(kernel, label_of(mod, kernel), trials)
            for kernel in kernels_of(mod)
            if (chip.kind in LEAVE_ROOM or not has_knobs(kernel, request))
            and (trials := KernelTrials(kernel, chip, place, builders, runners)).searchable
        ]
        self.restored = self._restore()

    @property
    def trials(self) -> int:
        """Of all sessions whose records count."""
        return sum(task.trials.trials for task in self.tasks)

    def run(self) -> Sequence[ScheduleTask]:
        """Search until the budget is spent or nothing makes progress, then confirm what was found.

        Raises DeviceError; KeyboardInterrupt loses the batch under way."""
        budget = self._request.budget
        end_s = None if budget.hours is None else time.monotonic() + budget.hours * 3600
        for task in self.tasks:
            if not task.trials.trials:
                self._try(task, 1)  # the default: its cost tells how much the others matter
        while (eager := self._next()) is not None:
            left = BATCH if budget.trials is None else budget.trials - self.trials
            if left <= 0 or (end_s is not None and time.monotonic() > end_s):
                break
            self._try(eager, min(BATCH, left))
        for task in self.tasks:
            self._confirm(task)
        return self.tasks

    def _next(self) -> ScheduleTask | None:
        eager = [task for task in self.tasks if not task.flat]
        return max(eager, key=lambda task: task.weight, default=None)

    def _try(self, task: ScheduleTask, count: int) -> None:
        rows = task.trials.batch(count)
        task.exhausted = len(rows) < count
        task.note(rows)
        if rows:
            self._append([self._record(task, row) for row in rows])
            task.confirmed = False
            tried = f"{task.kernel.name}: {task.trials.trials} schedules tried"
            if task.best is not None and task.default_cost:
                tried += f", the best takes {task.best[0] / task.default_cost:.2f} of the default"
            self._said(tried)

    def _confirm(self, task: ScheduleTask) -> None:
        """Measure the best and the default in turns; what does not hold falls back to it."""
        if task.best is None or not task.default_cost or task.confirmed:
            return
        cost, candidate = task.best
        if not candidate.default:
            tuned, default = task.trials.in_turns(candidate, CONFIRM_ROUNDS)
            if tuned and wins(tuned, default, task.reward):
                task.chosen, task.gain = candidate, 1.0 / ratio(tuned, default)
                cost = task.default_cost / task.gain
        cost = task.default_cost if task.chosen.default else cost
        final = Trial(task.chosen, cost, (cost,), task.reward, True)
        self._append([self._record(task, final)._replace(final=True)])

    def _append(self, records: Sequence[Record]) -> None:
        self._database.append(records)
        self._batch += 1

    def _restore(self) -> int:
        """Tell tasks what records know of them; returns how many trials that were."""
        request = self._request
        device = device_class(request.addresses[0])
        key = key_of(request.chip, self._threads, device)
        by_key = {task.kernel.key: task for task in self.tasks}
        found: dict[str, dict[Candidate, Trial]] = {name: {} for name in by_key}
        for record in read(self._database.folder):
            about = record.workload in by_key and not key.foreign(record) and not key.stale(record)
            if about:
                self._batch = max(self._batch, record.batch + 1)
                by_key[record.workload].confirmed = record.final
            if about and not record.final:
                trace = record.choice.get("trace")
                candidate = Candidate(None if trace is None else str(trace))
                calls = by_key[record.workload].kernel.calls
                cost = record.cost / calls if record.usable and record.cost else None
                found[record.workload][candidate] = Trial(candidate, cost, (), record.reward)
        for name, rows in found.items():
            task = by_key[name]
            task.trials.restore(Measured(row.candidate, row.cost) for row in rows.values())
            task.note(list(rows.values()))
        return self.trials

    @property
    def _threads(self) -> int:
        return self._request.options.threads or self._request.chip.cores

    def _record(self, task: ScheduleTask, row: Trial) -> Record:
        chip = self._request.chip
        trace = row.candidate.trace
        cost = None if row.cost is None else row.cost * task.kernel.calls
        return Record(
            kind=chip.kind,
            chip=chip.name,
            processor=str(chip.tvm.get("mcpu", "")),
            isa=isa(chip),
            cores=chip.cores,
            threads=self._threads,
            device=device_class(self._request.addresses[0]),
            reward=task.reward,
            tools=tools_of(chip),
            search="template" if trace is None else "metaschedule",
            session=self._session,
            workload=task.kernel.key,
            label=task.label,
            choice={} if trace is None else {"trace": trace},
            cost=cost or None,
            verified=row.verified,
            default=trace is None,
            batch=self._batch,
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            error=row.error,
        )


def has_knobs(kernel: Kernel, request: Request) -> bool:
    """Whether a rule of ours has choices for a kernel: the search over these measures it in the
    whole network, which is worth more."""
    workloads: list[str] = []

    def visit(node: Any) -> None:
        if isinstance(node, s_tir.SBlock) and WORKLOAD in node.annotations:
            workloads.append(str(node.annotations[WORKLOAD]))

    tvm_ffi.structural_walk(kernel.func.body, visit)
    space = kind(request.chip.kind).space
    return any(len(space(workload, request.chip)) > 1 for workload in workloads)


def label_of(mod: IRModule, kernel: Kernel) -> str:
    """The nodes of the graph that a kernel computes, or its name where they are not known."""
    from dlcc.targets.cpu.sources import kernels_of as sources_of

    nodes = nodes_of(mod, sources_of(mod).get(kernel.name, []))
    return ", ".join(map(str, nodes)) or kernel.name
