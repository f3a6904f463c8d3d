"""What there is to tune in a model: workloads with knobs, weighted by their share of the run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dlcc.targets.tuned import Knobs
from dlcc.tuning.noise import MARGIN
from dlcc.tuning.record import Record, choice_id
from dlcc.tuning.template import Search
from dlcc.tuning.workers.jobs import Measured


@dataclass(slots=True)
class Task:
    """One workload. default_cost: of all its calls in one inference. share: of the inference.

    ratios: of every choice that gave the right result, its cost over that of the default.
    refused: choices whose result was wrong."""

    workload: str
    label: str
    calls: int
    default_cost: float
    share: float
    search: Search
    trials: int = 0
    failed: int = 0
    choices: dict[str, Knobs] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def tell(self, choice: Knobs, ratio: float | None, right: bool | None = True) -> None:
        """One trial. ratio: None if it failed. right: False if its result was wrong."""
        self.trials += 1
        usable = ratio is not None and right is not False
        self.failed += not usable
        self.search.tell(choice, ratio if usable else None)
        if right is False:
            self.refuse(choice)
        elif ratio is not None and choice:
            self.choices[choice_id(choice)] = choice
            self.ratios[choice_id(choice)] = ratio

    def refuse(self, choice: Knobs) -> None:
        """Never take a choice: its result was wrong after all."""
        self.refused.add(choice_id(choice))

    def best(self) -> tuple[Knobs, float]:
        """The cheapest choice whose result was never wrong, and its ratio; {} and 1.0 if none
        beats the default."""
        able = {name: r for name, r in self.ratios.items() if name not in self.refused}
        name = min(able, key=able.__getitem__, default="")
        return (self.choices[name], able[name]) if name and able[name] < 1.0 else ({}, 1.0)

    def candidates(self, reward: str) -> list[Knobs]:
        """The choices that beat the default by the margin of that reward, the best first; a
        choice that was refused keeps its place, so that the others keep theirs."""
        able = [name for name, r in self.ratios.items() if r < 1.0 - MARGIN[reward]]
        return [self.choices[name] for name in sorted(able, key=self.ratios.__getitem__)]

    @property
    def flat(self) -> bool:
        return self.search.flat(self.share)


def tasks_of(measured: Measured, search_of: Callable[[str, float], Search | None]) -> list[Task]:
    """The kernels of a model that can be tuned, the costliest first.

    measured: of the model without choices.   search_of: for a workload or the key of a kernel, and
    its share of the run; None where there is nothing to search."""
    costs = {w: statistics.median(values) for w, values in measured.default.items()}
    total = sum(costs.values()) or 1.0
    tasks = []
    for workload, found in measured.workloads.items():
        cost = costs.get(workload, 0.0)
        if cost > 0 and (search := search_of(workload, cost / total)) is not None:
            tasks.append(Task(workload, found.label, found.calls, cost, cost / total, search))
    return sorted(tasks, key=lambda task: -task.default_cost)


def restore(tasks: Sequence[Task], records: Sequence[Record]) -> Mapping[str, Record]:
    """Tell tasks what records know of them. Returns the first record of the default of each.

    Costs of a session were scaled to the default's first record, so they stay comparable."""
    by_workload = {task.workload: task for task in tasks}
    defaults: dict[str, Record] = {}
    for record in records:
        if record.workload in by_workload and record.default and record.cost is not None:
            defaults.setdefault(record.workload, record)
    for record in records:
        task = by_workload.get(record.workload)
        if task is None or record.final:
            continue
        default = defaults.get(record.workload)
        known = record.cost is not None and default is not None and default.cost
        ratio = record.cost / default.cost if known else None  # type: ignore[operator,union-attr]
        task.tell(record.choice, ratio, record.verified)
    return defaults
