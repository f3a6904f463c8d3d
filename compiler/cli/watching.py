"""A tuning session on stderr, in its log file, and in its report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from dlcc.targets.closing import Closing
from dlcc.targets.peaks import Unit, peak_of
from dlcc.targets.workload import parse
from dlcc.tuning.database import read
from dlcc.tuning.installed import stale
from dlcc.tuning.progress import Mode, Progress, State, TaskState
from dlcc.tuning.record import Group
from dlcc.tuning.report.gather import reports_of
from dlcc.tuning.report.page import REPORT, write
from dlcc.tuning.report.values import DeviceResult, EndToEnd, Report, TaskResult
from dlcc.tuning.request import Budget, Outcome, Request, TaskRow
from dlcc.tuning.tasks import Task

UNITS: dict[str, Unit] = {"seconds": "second", "instructions": "instruction"}


class Shown(Closing):
    """Hears of a session and shows it.   trials: how many are in the database by now."""

    def __init__(self, title: str, request: Request, mode: Mode) -> None:
        self.title = title
        self.trials = 0
        self._progress = Progress(title, request.database, mode)
        self._budget = request.budget
        self._reward = "seconds"
        self._began_s = time.monotonic()

    def began(self, tasks: Sequence[Task], reward: str, trials: int, restored: int) -> None:
        self._reward = reward
        self._began_s = time.monotonic()
        share = sum(task.share for task in tasks)
        self.said(f"{len(tasks)} kernels have knobs, {share:.0%} of the run, in {reward}")
        state = self._state(tasks, trials)
        if restored:
            self.said(
                f"continuing: {restored} trials, the best so far save {state.saved:.1%} of the run"
            )
        self._show(state)

    def batch(self, tasks: Sequence[Task], trials: int, budget: Budget) -> None:  # noqa: ARG002
        self._show(self._state(tasks, trials))

    def said(self, message: str) -> None:
        self._progress.say(message)

    def _show(self, state: State) -> None:
        self.trials = state.trials
        self._progress.show(state)

    def _state(self, tasks: Sequence[Task], trials: int) -> State:
        hours = self._budget.hours
        end_s = None if hours is None else self._began_s + hours * 3600
        return State(
            reward=self._reward,
            trials=trials,
            tasks=[_task_state(task) for task in tasks],
            wanted=self._budget.trials,
            left_s=None if end_s is None else end_s - time.monotonic(),
        )

    def close(self) -> None:
        """Take what is live off the terminal."""
        self._progress.close()


def _task_state(task: Task) -> TaskState:
    _, ratio = task.best()
    cost = task.default_cost
    counts = task.trials, task.failed
    return TaskState(
        task.workload, task.label, task.share, *counts, cost, cost * ratio, flat=task.flat
    )


def write_report(title: str, request: Request, outcome: Outcome) -> str:
    """Write `DIR/report.html` and return its name. Raises UsageError."""
    path = request.database / REPORT
    workloads = {row.workload for row in outcome.tasks}
    rows = (record for record in read(request.database) if record.workload in workloads)
    chip = request.chip

    def is_of(group: Group) -> bool:
        return (group.kind, group.chip, group.reward) == (chip.kind, chip.name, outcome.reward)

    reports = reports_of((r for r in rows if is_of(Group.of(r))), title, stale)
    write(
        [
            _with_outcome(report, request, outcome) if not report.stale else report
            for report in reports
        ],
        path,
    )
    return str(path)


def _with_outcome(report: Report, request: Request, outcome: Outcome) -> Report:
    """A report with what only the session knows: calls, shares, and the whole network."""
    known = {row.workload: row for row in outcome.tasks}
    tasks = [_with_row(task, known[task.workload]) for task in report.tasks]
    peak_macs, peak = peak_in(request, outcome.reward)
    before = outcome.before_s if outcome.before_s is not None else outcome.before_count
    after = outcome.after_s if outcome.after_s is not None else outcome.after_count
    measured = EndToEnd(before, after) if before and after else None
    return replace(
        report,
        tasks=tasks,
        device=outcome.device,
        devices=[
            DeviceResult(d.address, d.trials, d.failed, d.set_aside, d.why) for d in outcome.devices
        ],
        end_to_end=measured,
        peak_macs=peak_macs,
        notes=[*outcome.notes, *peak],
    )


def _with_row(task: TaskResult, row: TaskRow) -> TaskResult:
    named = " " in task.workload  # else it is a kernel's key, which tells nothing of its shapes
    macs = parse(task.workload).macs * row.calls if named else None
    return replace(task, calls=row.calls, share=row.share, macs=macs)


def peak_in(request: Request, reward: str) -> tuple[float | None, list[str]]:
    """Multiply-accumulates of float32 in a second or an instruction at most, and how that is known.

    None where it is not: packets of a DSP hold as many as the dtype lets them, and of devices
    elsewhere the clock is not known."""
    unit = UNITS.get(reward)
    peak = unit and peak_of(request.chip, "float32", unit, request.options.threads)
    return (peak.macs, [f"peak: {peak.why}"]) if peak else (None, [])
