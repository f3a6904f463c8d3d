"""What a tuning session is asked to do, what it tells while it works, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dlcc.targets.chips import Chip
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.tuned import Knobs

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.tuning.tasks import Task


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to go on. trials: those in the database count. hours: of this session alone.
    Without either, until no task makes progress."""

    trials: int | None = None
    hours: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """module: optimised, its `main` takes the feeds. kind: Python module of the kind of target.
    addresses: one for each device that may be used at once. job_limit_s: the least that one build
    or measurement may take; None: five times what the first ones took. cluster: address of a Dask
    scheduler whose workers build; "": this machine does."""

    module: IRModule
    kind: str
    chip: Chip
    addresses: Sequence[str]
    options: DeviceOptions
    feeds: Sequence[np.ndarray]
    database: Path
    budget: Budget = field(default_factory=Budget)
    job_limit_s: float | None = None
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One workload at the end. gain: how many times faster than the default, 1.0 where the default
    stays. Costs are of all its calls in one inference: seconds, or counts of events."""

    workload: str
    label: str
    calls: int
    share: float
    trials: int
    failed: int
    default_s: float | None
    best_s: float | None
    default_count: int | None
    best_count: int | None
    gain: float
    choice: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """What became of a device. trials, failed: of this session. set_aside: how often, and `why` the
    last time."""

    address: str
    trials: int
    failed: int
    set_aside: int
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a session leaves. before, after: one inference of the whole network, as the last step
    measured it in turns, in seconds or counts; None where nothing was compared.
    applied: kernels that are better than the default. notes: what fell back, and why."""

    reward: str
    device: str
    trials: int
    failed: int
    sessions: int
    before_s: float | None
    after_s: float | None
    before_count: int | None
    after_count: int | None
    applied: int
    database: str
    notes: Sequence[str]
    tasks: Sequence[TaskRow]
    devices: Sequence[DeviceRow]


class Watch(Protocol):
    """Hears of a session while it works."""

    def began(self, tasks: Sequence[Task], reward: str, trials: int, restored: int) -> None:
        """The tasks are known. restored: trials of earlier sessions, of all `trials`."""

    def batch(self, tasks: Sequence[Task], trials: int, budget: Budget) -> None:
        """A batch was measured and recorded."""

    def said(self, message: str) -> None:
        """Something worth a line."""


def in_units(cost: float | None, reward: str) -> tuple[float | None, int | None]:
    """A cost as seconds and as a count, one of which it is."""
    if cost is None:
        return None, None
    return (cost, None) if reward == "seconds" else (None, round(cost))


def row_of(task: Task, reward: str, chosen: Knobs, ratio: float) -> TaskRow:
    """The row of a task that ends with a choice."""
    default_s, default_count = in_units(task.default_cost, reward)
    best_s, best_count = in_units(task.default_cost * ratio, reward)
    return TaskRow(
        workload=task.workload,
        label=task.label,
        calls=task.calls,
        share=task.share,
        trials=task.trials,
        failed=task.failed,
        default_s=default_s,
        best_s=best_s,
        default_count=default_count,
        best_count=best_count,
        gain=1.0 / ratio,
        choice=dict(chosen),
    )
