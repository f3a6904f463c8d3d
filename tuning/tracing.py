"""The search for kernels without knobs: MetaSchedule's, one candidate at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from tvm import tirx

from dlcc.targets.chips import Chip
from dlcc.targets.tuned import Knobs, Tuned
from dlcc.tuning.metaschedule.search import KernelSearch
from dlcc.tuning.template import BETTER

AT_ONCE = 8  # candidates that are asked for together: the model of costs learns in between
PATIENCE = 24  # trials without progress until a small kernel is flat,
PATIENCE_OF_ALL = 200  # and so many more for one that is the whole network

TRACE = "trace"  # of a choice: MetaSchedule's trace, as JSON


class TraceSearch:
    """A search like `TemplateSearch`, of choices {"trace": JSON}; the default is that of our
    rules."""

    def __init__(self, kernel: tirx.PrimFunc, chip: Chip) -> None:
        self._search = KernelSearch(kernel, chip)
        self._queue: deque[str] = deque()
        self._told: list[tuple[str, float | None]] = []
        self._best = 1.0
        self._idle = 0
        self._ended = False

    def ask(self) -> Knobs | None:
        if not self._queue and not self._ended:
            told, self._told = self._told, []
            self._search.tell(told)
            self._queue.extend(self._search.ask(AT_ONCE))
            self._ended = not self._queue
        return {TRACE: self._queue.popleft()} if self._queue else None

    def tell(self, choice: Knobs, ratio: float | None) -> None:
        if not choice:
            return
        self._told.append((str(choice[TRACE]), ratio))
        if ratio is not None and ratio < self._best * BETTER:
            self._best, self._idle = ratio, 0
        else:
            self._idle += 1

    def flat(self, share: float) -> bool:
        return self._ended or self._idle >= PATIENCE + PATIENCE_OF_ALL * share


def tuned_of(choices: Mapping[str, Knobs]) -> Tuned:
    """What a build takes: knobs by workload, traces by the key of a kernel."""
    return Tuned(
        {name: knobs for name, knobs in choices.items() if TRACE not in knobs},
        {name: str(knobs[TRACE]) for name, knobs in choices.items() if TRACE in knobs},
    )
