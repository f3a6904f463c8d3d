"""What a report shows, as plain values. Where they come from, it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Curve = Sequence[tuple[int, float]]  # (trial, least cost so far), a point where it changes


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One workload. Costs: of all its calls in one inference; None where they are not known.

    best_cost: of what a build takes now, the default where nothing is better.
    curve: of the trials whose result was right.   macs: multiply-accumulates of all its calls.
    share: of the run."""

    workload: str
    label: str
    trials: int
    failed: int
    default_cost: float | None
    best_cost: float | None
    choice: str = ""
    curve: Curve = ()
    share: float | None = None
    calls: int | None = None
    macs: int | None = None


@dataclass(frozen=True, slots=True)
class SessionSpan:
    """A session, from its first record to its last, in UTC."""

    session: str
    first: str
    last: str
    records: int


@dataclass(frozen=True, slots=True)
class DeviceResult:
    """A device in the last session. set_aside: how often it was, and `why` the last time."""

    address: str
    trials: int
    failed: int
    set_aside: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A candidate that has no cost, or a wrong result; `count` of them ended so."""

    label: str
    choice: str
    error: str
    count: int


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """One inference of the whole network, untuned and tuned, measured in turns."""

    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one target, measured in one way.

    curve: of the whole network's estimate, as a part of what the defaults cost.
    peak_macs: multiply-accumulates that the chip can do in one second, packet or instruction.
    notes: whatever a reader should know, such as what fell back to the default, and why."""

    title: str
    target: str
    processor: str
    threads: int
    device: str
    reward: str
    tools: str
    tasks: Sequence[TaskResult]
    sessions: Sequence[SessionSpan] = ()
    devices: Sequence[DeviceResult] = ()
    failures: Sequence[Failure] = ()
    curve: Curve = ()
    end_to_end: EndToEnd | None = None
    peak_macs: float | None = None
    notes: Sequence[str] = ()
    stale: str = ""

    @property
    def trials(self) -> int:
        return sum(task.trials for task in self.tasks)

    @property
    def failed(self) -> int:
        return sum(task.failed for task in self.tasks)

    @property
    def estimate(self) -> tuple[float, float] | None:
        """What all tasks cost together, untuned and tuned; None where a default is not known."""
        known = [(t.default_cost, t.best_cost) for t in self.tasks]
        if not known or any(default is None for default, _ in known):
            return None
        before = sum(default for default, _ in known if default is not None)
        return before, sum(best or default or 0.0 for default, best in known)

    def peak_share(self, task: TaskResult) -> float | None:
        """How near a task's best comes to the peak of the chip, 0 to 1."""
        if not self.peak_macs or not task.macs or not task.best_cost:
            return None
        return task.macs / (self.peak_macs * task.best_cost)
