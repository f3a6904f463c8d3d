"""Which of many records a build takes."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcc.targets.errors import UsageError
from dlcc.tuning.best import best, best_of
from dlcc.tuning.database import writing
from dlcc.tuning.lines import line_of
from dlcc.tuning.record import Key, Record, Tools
from tests.tuning.rows import KEY, WORKLOAD, default, record


def chosen(*rows: Record, key: Key = KEY) -> float | None:
    """What the winner of WORKLOAD costs; None where the default stays."""
    winner = best_of(rows, key).winners.get(WORKLOAD)
    return None if winner is None else winner.record.cost


class TestTrials:
    def test_the_cheapest_that_is_right(self) -> None:
        rows = [default(), *(record(choice={"n": n}, cost=n * 1e-5) for n in (7, 5, 9))]
        assert chosen(*rows) == 5e-5
        found = best_of(rows, KEY)
        assert found.knobs == {WORKLOAD: {"n": 5}}
        assert found.traces == {}
        assert found.counted == 4
        assert found.winners[WORKLOAD].gain == pytest.approx(4)

    @pytest.mark.parametrize(
        "changes",
        [{"verified": None}, {"verified": False}, {"error": "it crashed"}, {"cost": None}],
        ids=str,
    )
    def test_what_may_be_wrong_is_not_taken(self, changes: dict[str, object]) -> None:
        known = {"error": "no answer"} if changes.get("cost", 1) is None else {}
        assert chosen(default(), record(**{**known, **changes})) is None

    @pytest.mark.parametrize(("cost", "taken"), [(1.93e-4, True), (1.95e-4, False)])
    def test_times_have_noise(self, cost: float, taken: bool) -> None:
        assert chosen(default(), record(cost=cost)) == (cost if taken else None)

    def test_counts_have_none(self) -> None:
        counted = {"reward": "packets", "device": "emulator"}
        assert chosen(default(cost=1000, **counted), record(cost=999, **counted)) == 999
        assert chosen(default(cost=1000, **counted), record(cost=1000, **counted)) is None

    def test_the_best_measurement_of_the_default_has_to_be_beaten(self) -> None:
        assert chosen(default(cost=9e-4), default(cost=1e-4), record(cost=2e-4)) is None

    def test_without_the_default_nothing_is_known(self) -> None:
        assert chosen(record()) is None

    def test_wrong_once_is_wrong(self) -> None:
        right, wrong = record(), record(verified=False)
        assert chosen(default(), right, wrong) is None
        assert chosen(default(), wrong, right) is None
        other = record(choice={"tile_m": 8}, cost=1.5e-4)
        assert chosen(default(), right, wrong, other) == other.cost

    def test_a_trace(self) -> None:
        row = record(search="metaschedule", workload="abc", choice={"trace": "[[],[]]"})
        found = best_of([default(workload="abc"), row], KEY)
        assert found.traces == {"abc": "[[],[]]"}
        assert found.knobs == {}


class TestFinals:
    """Sessions that have ended decide, whatever single trials say."""

    def test_over_a_cheaper_trial(self) -> None:
        rows = [default(), record(cost=1e-5), record(cost=1e-4, final=True)]
        assert chosen(*rows) == 1e-4

    def test_for_the_default(self) -> None:
        rows = [default(), record(cost=1e-5), default(final=True)]
        assert chosen(*rows) == 2e-4
        assert best_of(rows, KEY).knobs == {WORKLOAD: {"tile_m": 4}}

    def test_the_last_of_a_session_and_the_cheapest_of_several(self) -> None:
        first = record(cost=1e-5, final=True, at="2026-11-28T16:40:00Z")
        last = record(cost=9e-5, final=True, at="2026-11-28T18:40:00Z", choice={"n": 1})
        other = record(cost=8e-5, final=True, session="other", choice={"n": 2})
        assert chosen(default(), first, last) == last.cost
        assert chosen(default(), last, first) == last.cost  # in whatever order files are merged
        assert chosen(default(), first, last, other) == other.cost

    def test_one_that_was_not_verified_does_not_count(self) -> None:
        assert chosen(default(), record(final=True, verified=None)) is None


TOOLS = Tools("0.1.0", "0.27.0.post1", 3)


class TestKeys:
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"tools": TOOLS._replace(tvm="0.26.0")}, "made with TVM 0.26.0"),
            ({"tools": TOOLS._replace(schedules=2)}, "made with rules 2, now 3"),
        ],
        ids=str,
    )
    def test_stale(self, changes: dict[str, object], why: str) -> None:
        found = best_of([default(**changes), record(**changes)], KEY)
        assert (found.winners, found.counted, found.foreign) == ({}, 0, {})
        assert found.stale == {why: 2}

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"kind": "arm", "chip": "cortex-a76"}, "for arm cortex-a76"),
            ({"processor": "skylake"}, "for the processor skylake"),
            ({"threads": 1}, "for 1 thread"),
            ({"device": "rpc"}, "measured on a device of class rpc"),
            ({"reward": "instructions"}, "measured in instructions"),
        ],
        ids=str,
    )
    def test_about_something_else(self, changes: dict[str, object], why: str) -> None:
        key = replace(KEY, threads=2, device="local", reward="seconds")
        found = best_of([default(**changes), record(**changes)], key)
        assert (found.winners, found.counted, found.stale) == ({}, 0, {})
        assert found.foreign == {why: 2}

    def test_another_version_of_dlcc_with_the_same_rules(self) -> None:
        assert chosen(default(), record(tools=TOOLS._replace(dlcc="0.2.0"))) == record().cost

    def test_seconds_before_counts(self) -> None:
        counted = {"reward": "instructions", "device": "emulator"}
        slow, fast = record(choice={"n": 1}), record(choice={"n": 2}, cost=5, **counted)
        assert chosen(default(cost=90, **counted), fast, default(), slow) == slow.cost
        assert chosen(default(cost=90, **counted), fast) == 5

    def test_related_chips(self) -> None:
        """Shipped records hold for every chip with the same vectors; the very one comes first."""
        there = {"processor": "skylake", "cores": 8, "threads": 8}
        rows = [default(**there), record(cost=1e-5, **there)]
        key = replace(KEY, threads=2)
        assert best_of(rows, key).winners == {}
        assert best_of(rows, key, related=True).winners[WORKLOAD].record == rows[1]
        rows += [default(), record()]
        assert best_of(rows, key, related=True).winners[WORKLOAD].record == record()
        assert best_of([r._replace(isa="x86_64 512x32") for r in rows], key, related=True).foreign
        assert best_of([r._replace(threads=1) for r in rows], key, related=True).winners == {}


@given(
    st.lists(
        st.builds(
            record,
            cost=st.sampled_from([1e-4, 1.5e-4, 1.9e-4, 2e-4, 3e-4]),
            verified=st.sampled_from([True, True, None, False]),
            choice=st.fixed_dictionaries({"n": st.integers(0, 9)}),
            error=st.sampled_from(["", "", "it crashed"]),
        )
    ),
    st.randoms(),
)
def test_a_winner_holds_whatever_the_order(rows: list[Record], random: random.Random) -> None:
    wrong = [r.choice for r in rows if r.verified is False]
    right = [r for r in rows if r.usable and r.choice not in wrong and (r.cost or 1) < 1.94e-4]
    shuffled = random.sample([default(), *rows], len(rows) + 1)
    cost = chosen(*shuffled)
    assert cost in [None, *(r.cost for r in right)]
    if not wrong:  # else the second best may be forgotten
        assert cost == min((r.cost for r in right if r.cost), default=None)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no records"):
        best(tmp_path, KEY)
    with writing(tmp_path) as database:
        database.append([default(), record()])
    assert best(tmp_path, KEY).winners[WORKLOAD].record == record()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """40 MB of records are read within 24 MB."""
    with (tmp_path / "records.jsonl").open("wb") as file:
        lines = [line_of(record(choice={"n": n}, label="x" * 800)) for n in range(200)]
        file.writelines(lines[n % 200] for n in range(32_000))
    peak = "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    load = (
        "import resource, sys; from dlcc.tuning.best import best; from tests.tuning.rows import KEY"
    )
    search = "assert best(sys.argv[1], KEY).counted == 32_000"

    def peak_bytes(*steps: str) -> int:
        command = [sys.executable, "-c", "; ".join([*steps, peak]), str(tmp_path)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=Path(__file__).parents[2]
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    assert peak_bytes(load, search) - peak_bytes(load) < 24 << 20
