"""The search over the knobs of a rule: one knob at a time, then the most promising together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from dlcc.targets.tuned import Knobs
from dlcc.tuning.record import choice_id

BETTER = 0.99  # what counts as progress, of the best ratio before
PATIENCE = 8  # trials without progress until a small kernel is flat,
PATIENCE_OF_ALL = 40  # and so many more for one that is the whole network
HOPELESS = 1.5  # a knob that makes a kernel so slow is not tried together with others


class Search(Protocol):
    """A search for one workload. It is told ratios: cost over that of the default."""

    def ask(self) -> Knobs | None:
        """The next choice to measure, None when there is none left."""

    def tell(self, choice: Knobs, ratio: float | None) -> None:
        """What a choice cost, None if it failed. Choices that were not asked for may be told."""

    def flat(self, share: float) -> bool:
        """Whether more trials are not worth it, for a workload of that share of the run."""


class TemplateSearch:
    """A search over a list of choices that begins with {}, the default.

    What knobs cost together is predicted by what each costs alone: choices are measured in that
    order. With equal predictions the order of the list counts, which is the cost model's."""

    def __init__(self, space: Sequence[Knobs]) -> None:
        self._open = {choice_id(choice): choice for choice in space if choice}
        self._ratios: dict[str, float | None] = {}
        self._singles: dict[tuple[str, int | str], float] = {}
        self._best = 1.0
        self._idle = 0

    def ask(self) -> Knobs | None:
        if not self._open:
            return None
        alone = next((n for n, c in self._open.items() if len(c) == 1), None)
        chosen = alone or min(self._open, key=lambda n: self._predicted(self._open[n]))
        choice = self._open.pop(chosen)
        return choice if self._predicted(choice) < HOPELESS or alone else None

    def tell(self, choice: Knobs, ratio: float | None) -> None:
        name = choice_id(choice)
        self._open.pop(name, None)
        if name in self._ratios or not choice:
            return
        self._ratios[name] = ratio
        if len(choice) == 1:
            self._singles[next(iter(choice.items()))] = math.inf if ratio is None else ratio
        if ratio is not None and ratio < self._best * BETTER:
            self._best, self._idle = ratio, 0
        else:
            self._idle += 1

    def flat(self, share: float) -> bool:
        return self._idle >= PATIENCE + PATIENCE_OF_ALL * share

    def _predicted(self, choice: Knobs) -> float:
        return math.prod(self._singles.get(knob, 1.0) for knob in choice.items())
