"""Records of tuning as rows: sessions, trials, and the best of each workload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dlcc.targets import registry
from dlcc.tuning.database import read
from dlcc.tuning.installed import stale as stale_of
from dlcc.tuning.record import Group, Record
from dlcc.tuning.tally import Tally, tallies_of

Wanted = Callable[[Record | Group], bool]


@dataclass(slots=True)
class SessionRow:
    """A session in one set of circumstances. failed: records without a result, or a wrong one.

    stale: why they say nothing of code that is made here, "" if they do."""

    session: str
    target: str
    processor: str
    threads: int
    device: str
    reward: str
    workloads: int
    records: int
    failed: int
    first: str
    last: str
    stale: str


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One candidate. cost_s, or count where it was counted.   trace_bytes: of one that is no set
    of knobs."""

    at: str
    session: str
    target: str
    workload: str
    label: str
    choice: Mapping[str, int | str]
    trace_bytes: int | None
    cost_s: float | None
    count: int | None
    verified: bool | None
    default: bool
    final: bool
    error: str


@dataclass(frozen=True, slots=True)
class BestRow:
    """What a build takes for a workload. times_faster: than the default; None if nothing is known
    to beat it, and then the default is taken."""

    target: str
    processor: str
    threads: int
    workload: str
    label: str
    records: int
    failed: int
    default_s: float | None
    best_s: float | None
    default_count: int | None
    best_count: int | None
    times_faster: float | None
    choice: Mapping[str, int | str]
    trace_bytes: int | None
    stale: str


def wanted(target: str | None) -> Wanted:
    """Whether a record is for the kind or chip of that name; None: any.   Raises UnknownTarget."""
    if target is None:
        return lambda _: True
    if target in registry.KINDS:
        return lambda row: row.kind == target
    chip = registry.find_chip(target)
    return lambda row: (row.kind, row.chip) == (chip.kind, chip.name)


def session_rows(places: Sequence[Path], target: str | None = None) -> list[SessionRow]:
    """The sessions of folders and files, in the order in which they began."""
    rows: dict[tuple[Any, ...], tuple[SessionRow, set[str]]] = {}
    is_wanted = wanted(target)
    for record in _records(places):
        if not is_wanted(record):
            continue
        group = Group.of(record)
        if (key := (record.session, group)) not in rows:
            rows[key] = _begun(record, group), set()
        row, workloads = rows[key]
        workloads.add(record.workload)
        row.workloads = len(workloads)
        row.records += 1
        row.failed += bool(record.error) or record.verified is False
        row.first, row.last = min(row.first, record.at), max(row.last, record.at)
    return sorted((row for row, _ in rows.values()), key=lambda row: (row.first, row.session))


def _records(places: Sequence[Path]) -> Iterator[Record]:
    return (record for place in places for record in read(place))


def _begun(record: Record, group: Group) -> SessionRow:
    r = record
    where = _target(group), r.processor, r.threads, r.device, r.reward
    return SessionRow(r.session, *where, 0, 0, 0, r.at, r.at, stale_of(group))


def _target(row: Record | Group) -> str:
    return row.kind if row.kind == row.chip else f"{row.kind} {row.chip}"


def trial_rows(
    places: Sequence[Path], target: str | None = None, *, session: str = "", limit: int | None
) -> list[TrialRow]:
    """The records of folders and files, as they were written."""
    is_wanted = wanted(target)
    found = (r for r in _records(places) if is_wanted(r) and session in ("", r.session))
    return [_trial(record) for record in islice(found, limit)]


def _trial(record: Record) -> TrialRow:
    r = record
    what = r.at, r.session, _target(r), r.workload, r.label
    return TrialRow(
        *what, *_choice(r), *_cost(r.reward, r.cost), r.verified, r.default, r.final, r.error
    )


def _choice(record: Record | None) -> tuple[Mapping[str, int | str], int | None]:
    if record is None:
        return {}, None
    trace = record.choice.get("trace")
    return (record.choice, None) if trace is None else ({}, len(str(trace)))


def _cost(reward: str, cost: float | None) -> tuple[float | None, int | None]:
    if cost is None:
        return None, None
    return (cost, None) if reward == "seconds" else (None, round(cost))


def best_rows(places: Sequence[Path], target: str | None = None) -> list[BestRow]:
    """The best of each workload, the greatest gain first; what beats nothing comes last."""
    is_wanted = wanted(target)
    rows = [
        _best(group, workload, tally)
        for group, tallies in tallies_of(_records(places)).items()
        if is_wanted(group)
        for workload, tally in tallies.items()
    ]
    return sorted(rows, key=lambda row: (row.target, row.stale, -(row.times_faster or 0)))


def _best(group: Group, workload: str, tally: Tally) -> BestRow:
    winner, default = tally.winner(), tally.default
    default_s, default_count = _cost(group.reward, tally.default_cost)
    best_s, best_count = _cost(group.reward, winner.cost if winner else None)
    gain = None
    if winner and winner.cost and tally.default_cost and not winner.default:
        gain = tally.default_cost / winner.cost
    named = winner or default
    return BestRow(
        _target(group),
        group.processor,
        group.threads,
        workload,
        named.label if named else "",
        tally.records,
        tally.failed,
        default_s,
        best_s,
        default_count,
        best_count,
        gain,
        *_choice(winner),
        stale_of(group),
    )
