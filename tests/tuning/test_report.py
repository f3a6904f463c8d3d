"""The report: what it says, and that whatever is in it harms nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcc.compiler.cli.main import main
from dlcc.targets.errors import UsageError
from dlcc.tuning.database import writing
from dlcc.tuning.installed import tools
from dlcc.tuning.record import Group, Tools
from dlcc.tuning.report.chart import chart
from dlcc.tuning.report.gather import MOST_FAILURES, reports_of
from dlcc.tuning.report.page import page, write
from dlcc.tuning.report.values import DeviceResult, EndToEnd, Report, TaskResult
from tests.tuning.rows import KEY, WORKLOAD, default, record

VOID = {"meta"}


class Page(HTMLParser):
    """Text and tables of a page; fails for what is not closed in order, or is run or fetched."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "img", "link", "iframe", "object", "a")
        assert not [n for n, _ in attrs if n.startswith("on") or n in ("src", "href", "style")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def stale(group: Group) -> str:
    return KEY.stale(group)


TASK = TaskResult(
    *(WORKLOAD, "conv1/Conv2D", 40, 2, 2e-4, 1e-4, "tile_m 6"),
    curve=[(1, 2e-4), (7, 1e-4), (40, 1e-4)],
    share=0.5,
    calls=3,
    macs=1_000_000,
)
REPORT = Report(
    *("mobilenet_v2", "host", "znver3", 2, "local", "seconds", "TVM 0.27.0.post1, rules 3"),
    tasks=[TASK],
    devices=[DeviceResult("rpc://127.0.0.1:9090", 40, 2, 3, "it was lost")],
    end_to_end=EndToEnd(4e-3, 3e-3),
    peak_macs=2e10,
    notes=["dense fell back to the default: it was not faster in the whole network"],
)


class TestPage:
    def test_what_it_says(self) -> None:
        shown = Page(page([REPORT]))
        tasks, devices = shown.tables
        assert tasks[1] == [
            *("conv1/Conv2D", "3", "50.0%", "40", "2"),
            *("0.200 ms", "0.100 ms", "2.00x", "50%", "tile_m 6"),
        ]
        assert devices[1] == ["rpc://127.0.0.1:9090", "40", "2", "3", "it was lost"]
        assert "seconds, measured on the device" in shown.text
        assert "4.000 ms before, 3.000 ms after: 1.33x as fast; measured in turns" in shown.text
        assert "0.200 ms before, 0.100 ms after: 2.00x as fast" in shown.text
        assert "dense fell back" in shown.text

    def test_counts(self) -> None:
        task = replace(TASK, default_cost=9000.0, best_cost=4500.0, curve=())
        report = replace(REPORT, reward="packets", tasks=[task], end_to_end=None, peak_macs=128.0)
        shown = Page(page([report]))
        assert shown.tables[0][1][5:9] == ["9,000 packets", "4,500 packets", "2.00x", "174%"]
        assert "counted by the emulator" in shown.text
        assert "not in these records" in shown.text

    def test_stale_records_are_said_to_be(self) -> None:
        shown = Page(page([replace(REPORT, stale="made with TVM 0.25.0")]))
        assert "made with TVM 0.25.0" in shown.text

    def test_nothing(self) -> None:
        assert "There are no records" in Page(page([])).text
        assert Page(page([replace(REPORT, tasks=[], devices=[])])).tables == [
            [[*Page(page([REPORT])).tables[0][0]]]
        ]

    @given(st.text() | st.sampled_from(["<script>x</script>", "'\"><img src=x>", "]]>", "\x1b[2J"]))
    def test_whatever_a_model_calls_its_nodes(self, name: str) -> None:
        task = replace(TASK, label=name, workload=name, choice=name)
        device = DeviceResult(name, 1, 1, 1, name)
        report = replace(REPORT, title=name, tasks=[task], devices=[device], notes=[name])
        content = page([report])
        Page(content)
        content.encode("utf-8")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", content)

    def test_it_stands_alone(self) -> None:
        content = page([REPORT])
        assert "http://" not in content
        assert "https://" not in content
        assert "default-src 'none'" in content

    def test_a_file_is_whole_or_not_there(self, tmp_path: Path) -> None:
        write([REPORT], tmp_path / "r.html")
        Page((tmp_path / "r.html").read_text("utf-8"))
        with pytest.raises(UsageError):
            write([REPORT], tmp_path / "absent" / "r.html")


POINTS = st.lists(st.tuples(st.integers(0, 10**6), st.floats(1e-9, 1e9)), max_size=30)


class TestChart:
    @given(POINTS)
    def test_every_point_is_within(self, points: list[tuple[int, float]]) -> None:
        drawn = chart(sorted(points), "{:.3g}".format, name="n")
        if not points:
            assert drawn == ""
            return
        path = ElementTree.fromstring(drawn).find("path[@class='curve']")
        assert path is not None
        numbers = [float(n) for n in re.findall(r"[\d.]+", path.attrib["d"])]
        assert all(0 <= n <= 624 for n in numbers)
        ys = [float(n) for n in re.findall(r"(?:M[\d.]+ |V)([\d.]+)", path.attrib["d"])]
        assert all(10 <= y <= 170 for y in ys)

    def test_steps_go_down_where_the_cost_does(self) -> None:
        drawn = chart([(1, 4.0), (5, 2.0), (10, 1.0)], str, name="n")
        path = ElementTree.fromstring(drawn).find("path[@class='curve']")
        assert path is not None
        ys = [float(n) for n in re.findall(r"(?:M[\d.]+ |V)([\d.]+)", path.attrib["d"])]
        assert ys == sorted(ys)  # downwards in an image
        assert len(ys) == 3

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_what_is_no_number_is_left_out(self, value: float) -> None:
        assert chart([(1, value)], str, name="n") == ""


class TestGather:
    def test_from_records(self) -> None:
        other = {"workload": "dense …", "label": "fc", "session": "two"}
        rows = [
            default(),
            default(**other, cost=1e-4),
            record(cost=1.5e-4, choice={"n": 1}),
            record(cost=None, error="no answer", choice={"n": 2}),
            record(cost=1e-4, choice={"n": 3}, at="2026-11-28T17:40:00Z"),
            record(**other, cost=2e-4),
        ]
        (report,) = reports_of(rows, "m", stale)
        conv, dense = report.tasks
        assert (conv.label, conv.trials, conv.failed) == ("conv1/Conv2D", 4, 1)
        assert (conv.default_cost, conv.best_cost, conv.choice) == (2e-4, 1e-4, "n 3")
        assert conv.curve == [(1, 2e-4), (2, 1.5e-4), (4, 1e-4)]
        assert (dense.best_cost, dense.choice, dense.curve) == (1e-4, "", [(1, 1e-4), (2, 1e-4)])
        assert report.curve == [
            *((1, 1.0), (2, 1.0), (3, pytest.approx(5 / 6)), (5, pytest.approx(2 / 3))),
            (6, pytest.approx(2 / 3)),
        ]
        assert report.estimate == (pytest.approx(3e-4), pytest.approx(2e-4))
        assert [(s.session, s.records) for s in report.sessions] == [("5f2c", 4), ("two", 2)]
        assert report.sessions[0].last == "2026-11-28T17:40:00Z"
        (failure,) = report.failures
        assert (failure.label, failure.error, failure.count) == ("conv1/Conv2D", "no answer", 1)
        Page(page([report]))

    def test_targets_stand_apart_and_stale_ones_last(self) -> None:
        old: dict[str, Any] = {"tools": Tools("0.0.1", "0.25.0", 3)}
        dsp: dict[str, Any] = {"kind": "hexagon", "chip": "hexagon-v68", "reward": "packets"}
        rows = [*[record(**old)] * 9, default(), record(), default(**dsp)]
        reports = reports_of(rows, "m", stale)
        assert [r.target for r in reports] == ["host", "hexagon hexagon-v68", "host"]
        assert [r.stale for r in reports] == ["", "", "made with TVM 0.25.0"]

    def test_failures_do_not_fill_the_page(self) -> None:
        rows = [record(cost=None, error=f"e{n}", choice={"n": n}) for n in range(500)]
        (report,) = reports_of(rows, "m", stale)
        assert len(report.failures) == MOST_FAILURES + 1
        assert sum(f.count for f in report.failures) == 500


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with writing(tmp_path / "mobilenet.tuning") as database:
        database.append([default(tools=tools("host")), record(tools=tools("host"))])
    out = tmp_path / "r.html"
    assert main(["records", "report", str(tmp_path / "mobilenet.tuning"), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert "Tuning mobilenet.tuning" in Page(out.read_text("utf-8")).text
