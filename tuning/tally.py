"""What is kept of many records about one thing: the cheapest choices that hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from dlcc.tuning.noise import MARGIN
from dlcc.tuning.record import Group, Record, choice_id


class Tally:
    """The records of one workload in one group, however many they are.

    records, failed: how many.   default: the cheapest record of what an untuned build takes."""

    def __init__(self) -> None:
        self.records = 0
        self.failed = 0
        self.default: Record | None = None
        self._trial: Record | None = None
        self._finals: dict[str, Record] = {}
        self._wrong: set[str] = set()

    def add(self, record: Record) -> None:
        """Take one more record into account."""
        self.records += 1
        self.failed += bool(record.error) or record.verified is False
        if record.final and self._finals.get(record.session, record).at <= record.at:
            self._finals[record.session] = record
        if record.verified is False:
            self._refuse(choice_id(record.choice))
        elif record.default and record.cost is not None and not record.error:
            self.default = _cheaper(self.default, record)
        elif record.usable and not (self._wrong and choice_id(record.choice) in self._wrong):
            self._trial = _cheaper(self._trial, record)

    def _refuse(self, choice: str) -> None:
        """A choice whose result was wrong once is never taken, whatever other records say.

        If it was the cheapest so far, a later trial takes its place, or the default."""
        self._wrong.add(choice)
        if self._trial is not None and choice_id(self._trial.choice) == choice:
            self._trial = None

    @property
    def default_cost(self) -> float | None:
        """The least that the default cost."""
        return None if self.default is None else self.default.cost

    @property
    def kept(self) -> list[Record]:
        """Records that say as much as all of them: what was best, the default, what was final."""
        found = [self.default, self.winner(), *self._finals.values()]
        return [record for n, record in enumerate(found) if record and record not in found[:n]]

    def winner(self) -> Record | None:
        """What a build should take; None: what it takes without records.

        A session that has ended decides by its final records; of several such sessions the one with
        the least cost. Until one has ended, the cheapest trial counts whose result was right, if it
        beats the default by more than the noise."""
        chosen: Record | None = None
        for record in self._finals.values():
            right = record.usable or (record.default and record.cost is not None)
            if right and choice_id(record.choice) not in self._wrong:
                chosen = _cheaper(chosen, record)
        if not self._finals and self._trial is not None and self._beats(self._trial):
            chosen = self._trial
        return chosen

    def _beats(self, record: Record) -> bool:
        if self.default_cost is None or record.cost is None:
            return False
        return record.cost < self.default_cost * (1 - MARGIN[record.reward])


def _cheaper(known: Record | None, record: Record) -> Record:
    """The later one of two that cost the same stays out."""
    if known is None or known.cost is None:
        return record
    return record if record.cost is not None and record.cost < known.cost else known


Tallies = dict[str, Tally]  # by workload


def tallies_of(records: Iterable[Record]) -> dict[Group, Tallies]:
    """The tallies of all records, by group and workload."""
    groups: dict[Group, Tallies] = defaultdict(lambda: defaultdict(Tally))
    circumstances: tuple[object, ...] = ()
    for record in records:
        if record.circumstances != circumstances:  # the same for thousands in a row
            circumstances = record.circumstances
            group = groups[Group.of(record)]
        group[record.workload].add(record)
    return groups
