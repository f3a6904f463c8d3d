"""Reports from records alone: what the database knows of its targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from dlcc.tuning.record import Group, Record
from dlcc.tuning.report.values import Curve, Failure, Report, SessionSpan, TaskResult
from dlcc.tuning.tally import Tally

MOST_FAILURES = 50  # rows; the others are counted together
MOST_CHOICE = 200  # characters


def reports_of(
    records: Iterable[Record], title: str, stale: Callable[[Group], str]
) -> list[Report]:
    """One report for each target and way of measuring, those with the most records first."""
    found: dict[Group, Gathered] = {}
    for record in records:
        group = Group.of(record)
        if group not in found:
            found[group] = Gathered()
        found[group].add(record)
    by_size = sorted(found.items(), key=lambda item: (bool(stale(item[0])), -item[1].records))
    return [gathered.report(group, title, stale(group)) for group, gathered in by_size]


class Gathered:
    """The records of one group, summed up while they are read."""

    def __init__(self) -> None:
        self.records = 0
        self._tasks: dict[str, Task] = {}
        self._sessions: dict[str, list[str]] = {}  # first and last time of each
        self._counts: Counter[str] = Counter()
        self._failures: Counter[tuple[str, str, str]] = Counter()
        self._more_failures = 0
        self._curve: list[tuple[int, float]] = []

    def add(self, record: Record) -> None:
        """Take one more record into account."""
        self.records += 1
        task = self._tasks.setdefault(record.workload, Task())
        changed = task.add(record)
        span = self._sessions.setdefault(record.session, [record.at, record.at])
        span[:] = min(span[0], record.at), max(span[1], record.at)
        self._counts[record.session] += 1
        if record.error or record.verified is False:
            self._fail(record)
        if changed and (estimate := self._estimate()) is not None:
            self._curve.append((self.records, estimate))

    def _fail(self, record: Record) -> None:
        why = record.error or "wrong result"
        row = record.label or record.workload, choice_text(record), why
        if row in self._failures or len(self._failures) < MOST_FAILURES:
            self._failures[row] += 1
        else:
            self._more_failures += 1

    def _estimate(self) -> float | None:
        """What the best so far cost together, as a part of the defaults."""
        pairs = [(t.tally.default_cost, t.least) for t in self._tasks.values()]
        before = sum(default for default, _ in pairs if default)
        after = sum(min(least or default, default) for default, least in pairs if default)
        return after / before if before else None

    def report(self, group: Group, title: str, stale: str) -> Report:
        """What was gathered."""
        failures = [Failure(*row, count) for row, count in self._failures.most_common()]
        if self._more_failures:
            failures.append(Failure("others", "", "of many kinds", self._more_failures))
        tasks = [task.result(workload) for workload, task in self._tasks.items()]
        spans = [
            SessionSpan(session, first, last, self._counts[session])
            for session, (first, last) in self._sessions.items()
        ]
        return Report(
            title=title,
            target=group.kind if group.kind == group.chip else f"{group.kind} {group.chip}",
            processor=group.processor,
            threads=group.threads,
            device=group.device,
            reward=group.reward,
            tools=f"TVM {group.tvm}, rules {group.schedules}",
            tasks=sorted(tasks, key=lambda task: -(task.default_cost or 0.0)),
            sessions=sorted(spans, key=lambda span: span.first),
            failures=failures,
            curve=[*self._curve, (self.records, self._curve[-1][1])] if self._curve else (),
            stale=stale,
        )


class Task:
    """What a report tells of one workload. least: cost of the best trial so far."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.least: float | None = None
        self._label = ""
        self._trials = 0
        self._curve: list[tuple[int, float]] = []

    def add(self, record: Record) -> bool:
        """Take one more record into account; True where it changed the least cost or the
        default's."""
        default_cost = self.tally.default_cost
        self.tally.add(record)
        self._label = self._label or record.label
        self._trials += not record.final
        right = record.usable or (record.default and not record.error)
        if right and record.cost and (self.least is None or record.cost < self.least):
            self.least = record.cost
            self._curve.append((self._trials, record.cost))
            return True
        return self.tally.default_cost != default_cost

    def result(self, workload: str) -> TaskResult:
        """The row of the task."""
        winner = self.tally.winner()
        default_cost = self.tally.default_cost
        curve: Curve = self._curve
        if self._curve and self._curve[-1][0] < self._trials:
            curve = [*self._curve, (self._trials, self._curve[-1][1])]
        return TaskResult(
            workload=workload,
            label=self._label,
            trials=self._trials,
            failed=self.tally.failed,
            default_cost=default_cost,
            best_cost=winner.cost if winner else default_cost,
            choice=choice_text(winner) if winner and not winner.default else "",
            curve=curve,
        )


def choice_text(record: Record) -> str:
    """`tile_m 6, order panels`, or how long a trace is."""
    if (trace := record.choice.get("trace")) is not None:
        return f"a trace of {len(str(trace)):,} characters"
    text = ", ".join(f"{name} {value}" for name, value in record.choice.items())
    return text if len(text) <= MOST_CHOICE else text[: MOST_CHOICE - 1] + "…"
