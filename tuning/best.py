"""What records say a build should take: for each workload the best choice that is known to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dlcc.tuning.database import read
from dlcc.tuning.record import Key, Record, choice_id

# The noise of times: a choice that was measured once, in the middle of a session, has to beat the
# default by more. Counts have no noise.
MARGIN = {"seconds": 0.03, "instructions": 0.0, "packets": 0.0}
# Costs of two rewards cannot be compared; what was measured in seconds is what users wait for.
PREFERRED = ("seconds", "instructions", "packets")


@dataclass(frozen=True, slots=True)
class Winner:
    """The choice for a workload, and the least that the default cost where that was measured."""

    record: Record
    default_cost: float | None

    @property
    def gain(self) -> float | None:
        """How many times faster than the default; None where that was not measured."""
        cost = self.record.cost
        return self.default_cost / cost if self.default_cost and cost else None


@dataclass(frozen=True, slots=True)
class Best:
    """The winners of a build, by workload.

    counted: records that were taken into account.   stale: why others were not, though they are
    about the same target -> how many.   foreign: the same for records about something else."""

    winners: Mapping[str, Winner] = field(default_factory=dict)
    counted: int = 0
    stale: Mapping[str, int] = field(default_factory=dict)
    foreign: Mapping[str, int] = field(default_factory=dict)

    @property
    def knobs(self) -> dict[str, Mapping[str, int | str]]:
        """Workload -> the knobs of its rule."""
        found = {w: winner.record for w, winner in self.winners.items()}
        return {w: r.choice for w, r in found.items() if r.search == "template"}

    @property
    def traces(self) -> dict[str, str]:
        """Hash of a kernel -> its MetaSchedule trace."""
        found = {w: winner.record for w, winner in self.winners.items()}
        return {w: str(r.choice["trace"]) for w, r in found.items() if r.search == "metaschedule"}


def best(place: str | Path, key: Key, *, related: bool = False) -> Best:
    """The best choices of a folder or file for a build.

    related: take records of any chip with the same vectors, which is what shipped ones are for.
    Raises UsageError where there is nothing, BadRecords where it is damaged."""
    return best_of(read(place), key, related=related)


def best_of(records: Iterable[Record], key: Key, *, related: bool = False) -> Best:
    """Like `best`, of records in the order in which they were written.

    A session that has ended decides by its `final` records, the last of each workload; of several
    such sessions the one with the least cost. Until one has ended, the cheapest trial counts whose
    result was right, if it beats the default by more than the noise."""
    tallies: dict[tuple[str, int, str, str], Tally] = {}
    stale: Counter[str] = Counter()
    foreign: Counter[str] = Counter()
    counted = 0
    for record in records:
        if why := key.related(record) if related else key.foreign(record):
            foreign[why] += 1
        elif why := key.stale(record):
            stale[why] += 1
        else:
            counted += 1
            group = record.workload, record.threads, record.device, record.reward
            if group not in tallies:
                tallies[group] = Tally()
            tallies[group].add(record)
    return Best(dict(_winners(tallies)), counted, dict(stale), dict(foreign))


def _winners(tallies: Mapping[tuple[str, int, str, str], Tally]) -> Iterator[tuple[str, Winner]]:
    """One winner of each workload: from the most telling reward, then from the most threads."""

    def order(group: tuple[str, int, str, str]) -> tuple[int, int]:
        return PREFERRED.index(group[3]), -group[1]

    done = set()
    for group in sorted(tallies, key=order):
        if group[0] not in done and (winner := tallies[group].winner()):
            done.add(group[0])
            yield group[0], winner


class Tally:
    """What is kept of the records of one workload, measured in one way, however many they are."""

    def __init__(self) -> None:
        self.trials = 0
        self.failed = 0
        self._default: Record | None = None
        self._trial: Record | None = None
        self._finals: dict[str, Record] = {}
        self._wrong: set[str] = set()

    def add(self, record: Record) -> None:
        """Take one more record into account."""
        self.trials += not record.final
        self.failed += bool(record.error) or record.verified is False
        if record.final:
            self._finals[record.session] = record
        if record.verified is False:
            self._refuse(choice_id(record.choice))
        elif record.default and record.cost is not None and not record.error:
            self._default = _cheaper(self._default, record)
        elif record.usable and not (self._wrong and choice_id(record.choice) in self._wrong):
            self._trial = _cheaper(self._trial, record)

    def _refuse(self, choice: str) -> None:
        """A choice whose result was wrong once is never taken, whatever other records say."""
        self._wrong.add(choice)
        if self._trial is not None and choice_id(self._trial.choice) == choice:
            self._trial = None

    @property
    def default_cost(self) -> float | None:
        """The least that the default cost."""
        return None if self._default is None else self._default.cost

    def winner(self) -> Winner | None:
        """What a build should take; None: what it takes without records."""
        chosen: Record | None = None
        for record in self._finals.values():
            right = record.usable or (record.default and record.cost is not None)
            if right and choice_id(record.choice) not in self._wrong:
                chosen = _cheaper(chosen, record)
        if not self._finals and self._trial is not None and self._beats(self._trial):
            chosen = self._trial
        return None if chosen is None else Winner(chosen, self.default_cost)

    def _beats(self, record: Record) -> bool:
        if self.default_cost is None or record.cost is None:
            return False
        return record.cost < self.default_cost * (1 - MARGIN[record.reward])


def _cheaper(known: Record | None, record: Record) -> Record:
    """The later one of two that cost the same stays out."""
    if known is None or known.cost is None:
        return record
    return record if record.cost is not None and record.cost < known.cost else known
