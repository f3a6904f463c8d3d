"""Merging, pruning and sharing records: a file is written whole, then takes the old one's place."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from dlcc.targets.atomic import written_whole
from dlcc.targets.errors import UsageError
from dlcc.tuning.database import RECORDS, read, read_lines, records_file, writing
from dlcc.tuning.lines import line_of
from dlcc.tuning.record import Group, Record
from dlcc.tuning.tally import Tallies, tallies_of

Stale = Callable[[Group], str]  # why records of a group say nothing of today's code, or ""


@dataclass(frozen=True, slots=True)
class Merged:
    """How many records were read, how many of them were there already, how many there are now."""

    folder: str
    read: int
    duplicates: int
    records: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many records there were, and how many of them were dropped as stale or as not best."""

    folder: str
    records: int
    stale: int
    not_best: int
    kept: int


@dataclass(frozen=True, slots=True)
class Exported:
    """How many choices, for how many workloads, a file has to share."""

    file: str
    records: int
    workloads: int
    stale: int
    size_bytes: int


def merge(places: Sequence[str | Path], folder: str | Path) -> Merged:
    """Put the records of folders and files into a folder, after those that it has.

    Lines are copied as they are, so that whoever measured them is kept; the same line counts once.
    Raises UsageError, BadRecords; then the folder is as it was."""
    folder = Path(folder)
    files = [records_file(place) for place in places]  # before anything is written
    with writing(folder):
        own = folder / RECORDS
        known: set[bytes] = set()
        count = 0
        with written_whole(own) as file:
            for path in (own, *(f for f in files if not f.samefile(own))):
                for _, line in read_lines(path):
                    count += path is not own
                    if (digest := _digest(line)) not in known:
                        known.add(digest)
                        file.write(line if line.endswith(b"\n") else line + b"\n")
                if path is own:
                    before = len(known)
    return Merged(str(folder), count, count - (len(known) - before), len(known))


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line.rstrip(b"\r\n"), digest_size=16).digest()


def prune(
    folder: str | Path, stale: Stale, *, only_best: bool = False, dry: bool = False
) -> Pruned:
    """Drop stale records, but for the best of each workload and the default beside it.

    only_best: drop everything else that is not the best, too; a session then begins anew.
    dry: only count.   Raises UsageError, BadRecords; then the folder is as it was."""
    folder = Path(folder)
    records_file(folder)
    with writing(folder):
        groups = tallies_of(read(folder))
        old = {group for group in groups if stale(group)}
        number = _count(groups.values())
        dropped = {"stale": 0, "not_best": 0}
        with _new_file(folder / RECORDS, dry) as file:
            for record, line in read_lines(folder):
                group = Group.of(record)
                if (group not in old and not only_best) or _is_kept(groups[group], record):
                    file.write(line)
                else:
                    dropped["stale" if group in old else "not_best"] += 1
    kept = number - sum(dropped.values())
    return Pruned(str(folder), number, dropped["stale"], dropped["not_best"], kept)


def _count(all_tallies: Iterable[Tallies]) -> int:
    return sum(tally.records for tallies in all_tallies for tally in tallies.values())


def _is_kept(tallies: Tallies, record: Record) -> bool:
    return record in tallies[record.workload].kept


@contextmanager
def _new_file(path: Path, dry: bool) -> Iterator[IO[bytes]]:
    with open(os.devnull, "wb") if dry else written_whole(path) as file:
        yield cast(IO[bytes], file)


def export(places: Sequence[str | Path], file: str | Path, stale: Stale) -> Exported:
    """Write the best choices and the defaults that they beat to a file that may be given away.

    Nothing in it tells who measured where: no labels of a model, no sessions, no time of day.
    `.gz` at the end of its name compresses it. The same records give the same bytes.
    Raises UsageError where there is nothing to share, BadRecords."""
    file = Path(file)
    if not file.name.endswith((".jsonl", ".jsonl.gz")):
        raise UsageError(f"{file} has no name of a file of records", hint="end it with .jsonl")
    groups = tallies_of(record for place in places for record in read(place))
    old = {group for group in groups if stale(group)}
    rows = [
        _anonymous(record)
        for group in sorted(groups.keys() - old)
        for _, tally in sorted(groups[group].items())
        if (winner := tally.winner())
        for record in (tally.default, winner)
        if record
    ]
    if not rows:
        raise UsageError(
            "there is nothing to share: no choice is known to beat its default",
            hint="`dlcc records best` shows what there is; `dlcc tune` finds more",
        )
    content = b"".join(dict.fromkeys(map(line_of, rows)))
    with written_whole(file) as out:
        out.write(gzip.compress(content, mtime=0) if file.suffix == ".gz" else content)
    workloads = len({row.workload for row in rows})
    old_records = _count(groups[group] for group in old)
    return Exported(str(file), content.count(b"\n"), workloads, old_records, file.stat().st_size)


def _anonymous(record: Record) -> Record:
    """Without what tells of a model, a machine or a person. What is left names its session."""
    bare = record._replace(label="", session="", batch=0, error="", at=record.at[:10] + _MIDNIGHT)
    return bare._replace(session=hashlib.sha256(line_of(bare)).hexdigest()[:12])


_MIDNIGHT = "T00:00:00Z"
