"""The script that makes the records that come with dlcc: what it ships, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcc.targets.hexagon.build import unscheduled
from dlcc.targets.kernels import kernel_table
from dlcc.targets.registry import find_chip
from dlcc.tuning.database import read, writing
from dlcc.tuning.record import Record
from dlcc.tuning.target import isa, key_of, tools_of
from tests.tuning.rows import default, record

HOST = find_chip("host")
PRODUCT = "matmul m32 k64 n48 float32 packed"
WINOGRAD = "conv2d n1 h14 w14 c64 oc64 k3x3 s1x1 p1x1x1x1 d1x1 g1 float32 packed"


def trials(workload: str, cost: float, **changes: object) -> list[Record]:
    """The default of a workload on this machine, at a cost of 1, and a choice at another."""
    here = {"processor": key_of(HOST).processor, "isa": isa(HOST), "tools": tools_of(HOST)}
    known = {"workload": workload, "threads": 1, "cores": 1, **here, **changes}
    best = {"choice": {"tile": "4x16"}, **known}
    plain = {**known, "choice": {}, "search": "template"}
    return [default(cost=1.0, **plain), record(cost=cost, **best)]


def database(folder: Path, *rows: Record) -> Path:
    with writing(folder) as opened:
        opened.append(rows)
    return folder


class TestWhatHolds:
    @pytest.mark.parametrize(("cost", "ships"), [(0.949, True), (0.951, False), (1.1, False)])
    def test_times_by_a_margin(self, script, tmp_path: Path, cost: float, ships: bool) -> None:
        folder = database(tmp_path, *trials(PRODUCT, cost))
        found = script("shipping").holding(folder, HOST, counted=False)
        assert [trial.best.cost for trial in found] == [cost] * ships

    @pytest.mark.parametrize(
        "changes",
        [{"threads": 2}, {"processor": "another"}, {"device": "rpc"}, {"verified": False},
         {"search": "metaschedule", "choice": {"trace": "[]"}}],
        ids=str,
    )  # fmt: skip
    def test_nothing_of_elsewhere(self, script, tmp_path: Path, changes) -> None:
        folder = database(tmp_path, *trials(PRODUCT, 0.5, **changes))
        assert script("shipping").holding(folder, HOST, counted=False) == []

    def test_the_end_of_a_session_decides(self, script, tmp_path: Path) -> None:
        rows = trials(PRODUCT, 0.5)
        folder = database(tmp_path, *rows, rows[0]._replace(final=True))
        assert script("shipping").holding(folder, HOST, counted=False) == []

    def test_a_way_that_other_chips_would_not_take_is_named(self, script, tmp_path: Path) -> None:
        folder = database(tmp_path, *trials(WINOGRAD, 0.5), *trials(PRODUCT, 0.5))
        plain, winograd = script("shipping").holding(folder, HOST, counted=False)[::-1]
        assert plain.best.choice == {"tile": "4x16"}
        assert set(winograd.best.choice) == {"tile", "winograd"}
        rows = trials(WINOGRAD, 0.4, choice={"winograd": "2x7"}, session="later")
        database(tmp_path, *rows)
        (found, _) = script("shipping").holding(folder, HOST, counted=False)
        assert found.best.choice == {"winograd": "2x7"}


class TestFiles:
    def test_the_same_records_give_the_same_bytes(self, script, tmp_path: Path) -> None:
        shipping = script("shipping")
        rows = [*trials("matmul m2 k3 n4 float32 packed", 0.5), *trials(PRODUCT, 0.5)]
        texts = []
        for name, order in (("a", rows), ("b", rows[::-1])):
            held = shipping.holding(database(tmp_path / name, *order), HOST, counted=False)
            said = shipping.written(held, tmp_path / f"{name}.jsonl")
            assert said.startswith(f"{name}.jsonl: 2 workloads")
            texts.append((tmp_path / f"{name}.jsonl").read_bytes())
        assert texts[0] == texts[1]
        shipped = list(read(tmp_path / "a.jsonl"))
        assert [r.workload for r in shipped] == sorted(r.workload for r in rows)
        assert {r.label for r in shipped} == {""}

    def test_without_a_winner_there_is_no_file(self, script, tmp_path: Path) -> None:
        (tmp_path / "host.jsonl").write_text("old")
        assert "no choice holds" in script("shipping").written([], tmp_path / "host.jsonl")
        assert list(tmp_path.iterdir()) == []


def test_a_row_of_other_vectors_says_so(script, capsys, monkeypatch) -> None:
    made = script("tune_shipped")
    whys = [made.ROWS[name].why_not() for name in ("avx2", "avx512")]
    assert any("this machine has" in why for why in whys)
    other = "avx512" if whys[1] else "avx2"
    monkeypatch.setattr("sys.argv", ["tune_shipped.py", "--list", other])
    assert made.main() == 1
    assert f"{other}: it needs vectors of" in capsys.readouterr().out


def test_a_choice_that_wins_is_measured_again(script, tmp_path: Path) -> None:
    """A real choice, in a worker of its own; one of another network's kernel is left alone."""
    from tests.tuning.nets import one_product, request

    shipping = script("shipping")
    asked = request(tmp_path / "db", one_product())
    pairs = [
        shipping.Trial(*trials(workload, 0.5, choice={"order": "pixels"}))
        for workload in (PRODUCT, "matmul m2 k3 n4 float32 packed")
    ]
    assert shipping.confirmed(asked, pairs[1:]) == pairs[1:]
    assert shipping.confirmed(asked, pairs)[-1] == pairs[1]


@pytest.mark.device("hexagon")
def test_packets_before_and_after(script) -> None:
    from dlcc.targets.tuned import UNTUNED, Tuned

    layer = script("quantised").Layer((1, 6, 6, 32), 64)
    (row,) = script("bench_hexagon").measured([layer], "v66", UNTUNED)
    assert row.same
    assert row.default == row.tuned > 0
    text = "conv2d n1 h6 w6 c32 oc64 k1x1 s1x1 p0x0x0x0 d1x1 g1 uint8 packed"
    slow = Tuned({text: {"tile": "1x1"}})
    (row,) = script("bench_hexagon").measured([layer], "v66", slow)
    assert row.same
    assert row.tuned > row.default
    assert "| tile 1x1 |" in str(row)


class TestLayers:
    def test_they_are_those_of_the_networks(self, script) -> None:
        layers_of = script("quantised").layers_of
        assert len(layers_of("mobilenet_v1")) == 20
        assert len(layers_of("mobilenet_v1", "mobilenet_v1")) == 20
        macs = {n: sum(a.macs for a in script("quantised").NETWORKS[n]()) for n in
                ("mobilenet_v1", "mobilenet_v2", "resnet50")}  # fmt: skip
        assert macs["mobilenet_v1"] == 568_740_352  # as frozen float networks have
        assert macs["mobilenet_v2"] == pytest.approx(300_774_272, rel=0.02)
        assert macs["resnet50"] == pytest.approx(3.86e9, rel=0.02)

    def test_each_has_a_workload(self, script) -> None:
        quantised = script("quantised")
        layers = quantised.layers_of("mobilenet_v1", "mobilenet_v2")[18:30]  # dense in the middle
        made = unscheduled(quantised.module_of(layers), find_chip("hexagon-v66"))
        rows = json.loads(kernel_table(made)).values()
        assert len({row["workload"] for row in rows}) == len(layers)
