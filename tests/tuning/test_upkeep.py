"""Merging, pruning and sharing records."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcc.targets.errors import BadRecords, DlccError, UsageError
from dlcc.tuning.best import best, best_of
from dlcc.tuning.database import RECORDS, read, writing
from dlcc.tuning.lines import line_of
from dlcc.tuning.record import Group, Record, Tools
from dlcc.tuning.upkeep import export, merge, prune
from tests.tuning.rows import KEY, WORKLOAD, default, record

OLD = Tools("0.0.9", "0.26.0", 2)
OLD_KEY = replace(KEY, tvm="0.26.0", schedules=2)


def folder_of(folder: Path, *rows: Record) -> Path:
    with writing(folder) as database:
        database.append(rows)
    return folder


def content(folder: Path) -> bytes:
    return (folder / RECORDS).read_bytes()


def stale(group: Group) -> str:
    return KEY.stale(group)


def trials(seed: int, session: str, count: int = 30) -> list[Record]:
    """Trials of three workloads, with what may go wrong among them."""
    values = random.Random(seed)
    rows = [default(workload=w, session=session) for w in "abc"]
    for n in range(count):
        wrong = values.random() < 0.2
        error = "it crashed" if values.random() < 0.2 else ""
        cost = None if error else values.choice([1e-4, 1.2e-4, 1.9e-4, 2.5e-4])
        known = {"workload": values.choice("abc"), "choice": {"n": n}, "verified": not wrong}
        rows.append(record(**known, cost=cost, error=error, session=session, batch=n))
    return rows


class TestMerge:
    def test_sessions_that_overlap(self, tmp_path: Path) -> None:
        """A copy of a folder, continued on both sides: what both have counts once."""
        common, left, right = trials(1, "one"), trials(2, "left"), trials(3, "right")
        a = folder_of(tmp_path / "a", *common, *left)
        b = folder_of(tmp_path / "b", *common, *right)
        merged = merge([a, b], tmp_path / "c")
        rows = [*common, *left, *right]
        assert list(read(tmp_path / "c")) == rows
        assert (merged.read, merged.duplicates, merged.records) == (
            len(rows) + len(common),
            len(common),
            len(rows),
        )
        again = merge([b, a, tmp_path / "c"], tmp_path / "c")
        assert (again.duplicates, again.records) == (again.read, len(rows))
        assert best(tmp_path / "c", KEY, shipped=None) == best_of(rows, KEY)

    def test_lines_are_copied_as_they_are(self, tmp_path: Path) -> None:
        """Of a later version too, which knows more keys than this one."""
        line = json.dumps({**json.loads(line_of(record())), "later": [1]}).encode()
        a = folder_of(tmp_path / "a")
        (a / RECORDS).write_bytes(line)  # without an end
        merge([a], folder_of(tmp_path / "b", default()))
        assert content(tmp_path / "b") == line_of(default()) + line + b"\n"

    @pytest.mark.parametrize("bad", [b"x\n", b'{"format":7}\n'])
    def test_a_damaged_source_changes_nothing(self, tmp_path: Path, bad: bytes) -> None:
        a, b = folder_of(tmp_path / "a", record()), folder_of(tmp_path / "b", default())
        (a / RECORDS).write_bytes(content(a) + bad)
        before = content(b)
        with pytest.raises(BadRecords, match="line 2"):
            merge([a], b)
        assert content(b) == before
        assert sorted(p.name for p in b.iterdir()) == ["lock", RECORDS]

    def test_nothing_is_made_for_a_source_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there are no records in"):
            merge([tmp_path / "absent"], tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def test_not_while_somebody_writes(self, tmp_path: Path) -> None:
        a = folder_of(tmp_path / "a", record())
        with writing(tmp_path / "b"), pytest.raises(UsageError, match="is writing records"):
            merge([a], tmp_path / "b")


class TestPrune:
    def test_what_is_best_and_what_is_not_stale_stay(self, tmp_path: Path) -> None:
        old = [r._replace(tools=OLD) for r in trials(1, "old")]
        new = trials(2, "new")
        folder = folder_of(tmp_path, *old, *new)
        before = best_of(old, OLD_KEY)
        dry = prune(folder, stale, dry=True)
        assert list(read(folder)) == [*old, *new]
        pruned = prune(folder, stale)
        assert pruned == dry
        rows = list(read(folder))
        assert [r for r in rows if r.tools != OLD] == new
        kept = [r for r in rows if r.tools == OLD]
        assert best_of(kept, OLD_KEY).winners == (before.winners)
        assert len(kept) == 2 * 3  # of three workloads the best and the default
        assert (pruned.records, pruned.stale, pruned.not_best) == (66, 33 - 6, 0)
        assert pruned.kept == len(rows)
        assert prune(folder, stale).stale == 0

    def test_only_the_best(self, tmp_path: Path) -> None:
        rows = [*trials(1, "one"), *trials(2, "two"), record(final=True, workload="a", cost=5e-5)]
        folder = folder_of(tmp_path, *rows)
        pruned = prune(folder, stale, only_best=True)
        assert best(folder, KEY, shipped=None).winners == best_of(rows, KEY).winners
        assert pruned.kept == len(list(read(folder))) == 3 * 2
        assert pruned.not_best == len(rows) - 6

    def test_a_damaged_folder_stays_as_it_is(self, tmp_path: Path) -> None:
        folder = folder_of(tmp_path, record(tools=OLD))
        (folder / RECORDS).write_bytes(b"x\n" + content(folder))
        before = content(folder)
        with pytest.raises(BadRecords, match="line 1"):
            prune(folder, stale)
        assert content(folder) == before

    def test_a_folder_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there are no records"):
            prune(tmp_path / "absent", stale)
        assert not (tmp_path / "absent").exists()


class TestExport:
    PERSONAL = ("secret-model", "alice", "lab-7", "/home", "17:31:05")

    @pytest.mark.parametrize("name", ["shared.jsonl", "shared.jsonl.gz"])
    def test_a_file_to_give_away(self, tmp_path: Path, name: str) -> None:
        personal = {
            "label": "secret-model/conv1",
            "session": "alice-lab-7",
            "at": "2026-11-28T17:31:05Z",
            "batch": 3,
        }
        rows = [r._replace(**personal) for r in trials(1, "x")]
        rows += [record(cost=None, error="cannot read /home/alice/x", **personal)]
        folder = folder_of(tmp_path / "db", *rows, record(tools=OLD))
        exported = export([folder], tmp_path / name, stale)
        shared = list(read(tmp_path / name))
        assert (exported.records, exported.workloads, exported.stale) == (len(shared), 3, 1)
        assert not [w for w in self.PERSONAL for r in shared if w in line_of(r).decode()]
        assert {r.tools for r in shared} == {record().tools}
        ours, theirs = (best_of(r, KEY).winners for r in (rows, shared))
        assert {w: (v.record.choice, v.record.cost, v.default_cost) for w, v in ours.items()} == {
            w: (v.record.choice, v.record.cost, v.default_cost) for w, v in theirs.items()
        }
        before = (tmp_path / name).read_bytes()
        export([folder], tmp_path / name, stale)
        assert (tmp_path / name).read_bytes() == before
        assert merge([tmp_path / name], tmp_path / "new").records == len(shared)

    def test_nothing_to_share(self, tmp_path: Path) -> None:
        folder = folder_of(tmp_path / "db", default(), record(cost=3e-4), record(tools=OLD))
        with pytest.raises(UsageError, match="nothing to share"):
            export([folder], tmp_path / "x.jsonl", stale)
        assert not (tmp_path / "x.jsonl").exists()

    @pytest.mark.parametrize("name", ["x", "x.json", "absent/x.jsonl"])
    def test_a_file_that_cannot_be(self, tmp_path: Path, name: str) -> None:
        folder = folder_of(tmp_path / "db", default(), record())
        with pytest.raises(UsageError) as caught:
            export([folder], tmp_path / name, stale)
        assert caught.value.hint


class TestShipped:
    """Read after the user's own, for every chip with the same vectors."""

    def test_they_fill_what_is_not_known(self, tmp_path: Path) -> None:
        there = {"processor": "skylake", "cores": 16, "session": "s"}
        rows = [f(workload=w, **there) for w in "ab" for f in (default, record)]
        export([folder_of(tmp_path / "made", *rows)], tmp_path / "host-avx2.jsonl.gz", stale)
        own = folder_of(tmp_path / "own", default(workload="a"), record(workload="a", cost=1.5e-4))
        found = best(own, KEY, shipped=tmp_path)
        costs = {w: winner.record.cost for w, winner in found.winners.items()}
        assert costs == {"a": 1.5e-4, "b": record().cost}
        assert found.tuned.knobs("b") == record().choice
        assert best(None, KEY, shipped=tmp_path).winners.keys() == {"a", "b"}
        assert best(None, KEY, shipped=None).winners == {}

    def test_not_for_another_kind_nor_for_other_rules(self, tmp_path: Path) -> None:
        export([folder_of(tmp_path / "made", default(), record())], tmp_path / "arm.jsonl", stale)
        assert best(None, KEY, shipped=tmp_path).counted == 0
        (tmp_path / "arm.jsonl").rename(tmp_path / "host.jsonl")
        assert best(None, KEY, shipped=tmp_path).winners.keys() == {WORKLOAD}
        rows = list(read(tmp_path / "host.jsonl"))
        (tmp_path / "host.jsonl").write_bytes(
            b"".join(line_of(r._replace(tools=OLD)) for r in rows)
        )
        assert best(None, KEY, shipped=tmp_path).winners == {}

    def test_what_comes_with_this_checkout_can_be_read(self) -> None:
        from dlcc.tuning.shipped import FOLDER

        files = [*FOLDER.glob("*.jsonl*")]
        assert all(next(read(path), None) for path in files)
        assert best(None, KEY).stale == {}


@given(seed=st.integers(0, 99), cut=st.floats(0, 1))
def test_merging_parts_gives_the_whole(
    seed: int, cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However a file is cut into overlapping parts, at whatever byte."""
    rows = trials(seed, "one", 12)
    whole = b"".join(map(line_of, rows))
    folder = tmp_path_factory.mktemp("parts")
    for name, part in (("a", whole[: int(cut * len(whole))]), ("b", whole)):
        (folder / name).mkdir()
        (folder / name / RECORDS).write_bytes(part)
    try:
        merge([folder / "a", folder / "b"], folder / "c")
    except DlccError as error:
        pytest.fail(error.what)
    assert Counter(map(line_of, read(folder / "c"))) == Counter(map(line_of, rows))
