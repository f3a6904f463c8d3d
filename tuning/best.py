"""What records say a build should take: for each workload the best choice that is known to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dlcc.targets.errors import BadRecords
from dlcc.targets.tuned import Tuned
from dlcc.tuning.database import read
from dlcc.tuning.record import Group, Key, Record
from dlcc.tuning.shipped import FOLDER as SHIPPED
from dlcc.tuning.shipped import files as shipped_files
from dlcc.tuning.tally import Tallies, tallies_of

# Costs of two rewards cannot be compared; what was measured in seconds is what users wait for.
PREFERRED = ("seconds", "instructions", "packets")


@dataclass(frozen=True, slots=True)
class Winner:
    """The choice for a workload, and the least that the default cost where that was measured.

    shipped: whether it came with dlcc."""

    record: Record
    default_cost: float | None
    shipped: bool = False

    @property
    def gain(self) -> float | None:
        """How many times faster than the default; None where that was not measured."""
        cost = self.record.cost
        return self.default_cost / cost if self.default_cost and cost else None


@dataclass(frozen=True, slots=True)
class Best:
    """The winners of a build, by workload.

    counted: the user's records that were taken into account.   stale: why others were not, though
    they are about the same target -> how many.   foreign: the same for records about something
    else.   shipped_stale: why records that come with dlcc were not -> how many."""

    winners: Mapping[str, Winner] = field(default_factory=dict)
    counted: int = 0
    stale: Mapping[str, int] = field(default_factory=dict)
    foreign: Mapping[str, int] = field(default_factory=dict)
    shipped_stale: Mapping[str, int] = field(default_factory=dict)

    @property
    def tuned(self) -> Tuned:
        """What a build takes."""
        return Tuned(self.knobs, self.traces)

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


def best(place: str | Path | None, key: Key, *, shipped: Path | None = SHIPPED) -> Best:
    """The best choices for a build: those of a folder or file, then those that come with dlcc.

    shipped: where the latter are; None leaves them out. They count for any chip with the same
    vectors, for workloads of which the own records say nothing.
    Raises UsageError where `place` holds nothing, BadRecords where it is damaged."""
    own = Best() if place is None else best_of(read(place), key)
    if shipped is None:
        return own
    try:
        rows = [record for path in shipped_files(key.kind, shipped) for record in read(path)]
    except BadRecords as error:
        raise BadRecords(
            error.what, hint="install dlcc again; `--database none` does without"
        ) from error
    given = best_of(rows, key, related=True)
    winners = {w: replace(winner, shipped=True) for w, winner in given.winners.items()}
    return replace(own, winners={**winners, **own.winners}, shipped_stale=given.stale)


def best_of(records: Iterable[Record], key: Key, *, related: bool = False) -> Best:
    """Like `best`, of records in any order. `Tally.winner` says which of a workload is taken."""
    stale: Counter[str] = Counter()
    foreign: Counter[str] = Counter()
    counted: dict[Group, Tallies] = {}
    for group, tallies in tallies_of(records).items():
        number = sum(tally.records for tally in tallies.values())
        if why := key.related(group) if related else key.foreign(group):
            foreign[why] += number
        elif why := key.stale(group):
            stale[why] += number
        else:
            counted[group] = tallies
    total = sum(tally.records for tallies in counted.values() for tally in tallies.values())
    return Best(_winners(counted, key), total, dict(stale), dict(foreign))


def _winners(groups: Mapping[Group, Tallies], key: Key) -> dict[str, Winner]:
    """One winner of each workload: of this very processor, then of this very chip, in the most
    telling reward, with the most threads."""

    def order(group: Group) -> tuple[bool, bool, int, int]:
        other = group.processor != key.processor, group.chip != key.chip
        return *other, PREFERRED.index(group.reward), -group.threads

    winners: dict[str, Winner] = {}
    for group in sorted(groups, key=order):
        for workload, tally in groups[group].items():
            if workload not in winners and (record := tally.winner()):
                winners[workload] = Winner(record, tally.default_cost)
    return winners
