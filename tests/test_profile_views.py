"""What is made of profiles: by node, side by side, as a trace, as a page, and read back."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcc.compiler.cli.main import main
from dlcc.compiler.errors import UsageError
from dlcc.compiler.network.network import Layer, Network, Tensor
from dlcc.compiler.profile.calls import Call, Calls, calls_of, read_saved
from dlcc.compiler.profile.compare import compare
from dlcc.compiler.profile.nodes import BY_MACS, ON_LAST, by_nodes, node_macs
from dlcc.compiler.profile.page import page
from dlcc.compiler.profile.rows import packet_profile, time_profile
from dlcc.compiler.profile.trace import trace
from dlcc.targets.device import CallCost, CallTime
from dlcc.targets.kernels import Kernel, nodes_by_call
from dlcc.targets.peaks import Peak, peak_of
from dlcc.targets.registry import find_chip

EVIL = "<script>alert('x')</script>"


def calls(*rows: Call, unit: str = "seconds", name: str = "m") -> Calls:
    return Calls(name, "host", "local", unit, rows)


def call(kernel: str, cost: float, *nodes: str, **more: Any) -> Call:
    return Call(1, kernel, "cpu", cost, cost, nodes, **more)


class TestRates:
    def test_a_rate_is_set_against_the_peak(self) -> None:
        times = [
            CallTime("conv", ("c",), "cpu", 0.5, {}, None, 0.5, 8_000_000_000, 2_000_000_000, "f"),
            CallTime("x", (), "copy", 0.5, {}, 4_000_000_000, 0.5),
        ]
        made = time_profile("host", "local", times, lambda f: Peak(32e9, "many") if f else None)
        conv, copy = made.kernels
        assert (conv.gmacs_per_second, conv.of_peak, conv.gbytes_per_second) == (16, 0.5, 4)
        assert (copy.gmacs_per_second, copy.of_peak, copy.gbytes_per_second) == (None, None, 8)
        assert made.peak == "many"

    def test_counts_have_rates_too(self) -> None:
        counted = CallTime("c", ("c",), "cpu", None, {"instructions": 50}, None, 1.0, 100, 25, "f")
        (row,) = time_profile("arm", "emulator", [counted], lambda _: Peak(4, "4")).kernels
        assert (row.macs_per_instruction, row.bytes_per_instruction, row.of_peak) == (2, 0.5, 0.5)
        cost = CallCost("c", ("c",), 10, 30, 5, 1280, 128.0, 1.0, 20, "int8")
        made = packet_profile("hexagon", "emulator", [cost], lambda _: Peak(256, "256"))
        (packets,) = made.kernels
        assert (packets.of_peak, packets.bytes_per_packet) == (0.5, 2.0)

    def test_without_a_peak_there_is_none(self) -> None:
        made = time_profile("host", "rpc://a:1", [CallTime("c", (), "cpu", 1.0, {}, None, 1.0, 5)])
        assert (made.peak, made.kernels[0].of_peak) == (None, None)

    @pytest.mark.parametrize(
        ("chip", "factors", "unit", "macs"),
        [
            ("cortex-a76", "float32", "instruction", 4),
            ("cortex-a76", "int8", "instruction", 16),
            ("cortex-a53", "int8", "instruction", None),  # it has no products of bytes
            ("neoverse-v1", "float32", "instruction", 8),
            ("cortex-a76", "float32", "second", None),  # nobody knows its clock
            ("hexagon-v66", "uint8", "packet", 256),
            ("hexagon-v66", "float32", "packet", 2),
            ("hexagon-v66", "int16", "packet", None),
            ("adreno-640", "float32", "second", None),
        ],
    )
    def test_peaks(self, chip: str, factors: str, unit: Any, macs: int | None) -> None:
        found = peak_of(find_chip(chip), factors, unit)
        assert (None if found is None else found.macs) == macs

    def test_the_peak_grows_with_threads(self) -> None:
        chip = replace(find_chip("host"), cores=4)
        one, four = (peak_of(chip, "float32", "second", n) for n in (1, None))
        if one is None or four is None:
            pytest.skip("this machine does not tell its clock")
        assert four.macs == 4 * one.macs


class TestNodesOfCalls:
    def test_equal_layers_share_a_kernel(self) -> None:
        table = {"conv": Kernel(("a", "relu_a", "b", "relu_b"), calls=2), "add": Kernel(("s",))}
        found = list(nodes_by_call(["conv", "add", "conv"], table))
        assert found == [("a", "relu_a"), ("s",), ("b", "relu_b")]

    def test_a_loop_calls_more_often(self) -> None:
        table = {"conv": Kernel(("a", "b"), calls=2)}
        assert list(nodes_by_call(["conv"] * 3, table)) == [("a", "b")] * 3

    def test_nodes_that_cannot_be_told_apart(self) -> None:
        table = {"conv": Kernel(("a", "b", "c"), calls=2)}
        assert list(nodes_by_call(["conv"] * 2, table)) == [("a", "b", "c")] * 2
        assert list(nodes_by_call(["unknown"], table)) == [()]


class TestByNode:
    def test_in_proportion_to_macs(self) -> None:
        fused = call("fused", 1.0, "conv", "relu", "dw", macs=40)
        made = by_nodes(calls(fused), {"conv": 30, "dw": 10})
        assert [(r.node, r.time_s, r.macs, r.estimated) for r in made.nodes] == [
            ("conv", 0.75, 30, True),
            ("relu", 0.0, None, True),
            ("dw", 0.25, 10, True),
        ]
        assert made.estimate == BY_MACS
        assert made.time_s == 1.0

    def test_on_the_last_where_there_are_none(self) -> None:
        made = by_nodes(calls(call("fused", 1.0, "a", "b"), call("one", 2.0, "c")))
        assert [(r.node, r.time_s, r.estimated) for r in made.nodes] == [
            ("a", 0.0, True),
            ("b", 1.0, True),
            ("c", 2.0, False),
        ]
        assert made.estimate == ON_LAST

    def test_a_node_in_two_kernels_and_a_copy(self) -> None:
        rows = call("k", 3, "a"), call("k2", 4, "a"), Call(3, "to_gpu", "copy", 5, 0.5, ())
        made = by_nodes(calls(*rows, unit="instructions"))
        assert [(r.node, r.counts, r.kernels) for r in made.nodes] == [
            ("a", {"instructions": 7}, ("k", "k2")),
            ("", {"instructions": 5}, ("to_gpu",)),
        ]

    def test_the_macs_of_a_layer_are_on_its_product(self) -> None:
        tensors = {
            "x": Tensor("x", "float32", (1, 4, 4, 3), "input"),
            "w": Tensor("w", "float32", (1, 1, 3, 2), "constant", value=np.zeros((1, 1, 3, 2))),
            "y": Tensor("y", "float32", (1, 4, 4, 2), "output"),
        }
        layer = Layer("conv", "Conv2d", ("x", "w"), ("y",), {}, ("conv", "bias", "relu"))
        network = Network("n", "container", (layer,), tensors, ("x",), ("y",))
        assert node_macs(network) == {"conv": 4 * 4 * 2 * 3}


class TestCompare:
    def test_kernels_are_matched_by_the_nodes_that_they_share(self) -> None:
        fused = calls(call("conv_relu", 3.0, "conv", "relu"), call("old", 1.0, "gone"), name="a")
        apart = calls(call("conv", 2.0, "conv"), call("relu", 2.5, "relu"), call("n", 1.0, "new"))
        made = compare(fused, apart)
        assert [(p.nodes, p.a_s, p.b_s, p.ratio, p.only) for p in made.pairs] == [
            (("conv", "relu"), 3.0, 4.5, 1.5, ""),
            (("gone",), 1.0, 0, None, "a"),
            (("new",), 0, 1.0, None, "b"),
        ]
        assert (made.a_s, made.b_s, made.ratio) == (4.0, 5.5, 1.375)
        assert made.pairs[0].kernels_b == ("conv", "relu")

    def test_every_cost_is_on_one_row(self) -> None:
        one = calls(call("k", 1.0, "a", "b"), call("l", 2.0, "c"), Call(3, "x", "copy", 4.0, 1, ()))
        two = calls(call("k", 8.0, "b", "c"), Call(1, "x", "copy", 16.0, 1, ()))
        made = compare(one, two)
        assert sum(p.a_s or 0 for p in made.pairs) == one.cost
        assert sum(p.b_s or 0 for p in made.pairs) == two.cost
        assert [p.nodes for p in made.pairs] == [("a", "b", "c"), ()]

    def test_different_units_have_no_ratio(self) -> None:
        made = compare(calls(call("k", 1.0, "a")), calls(call("k", 9, "a"), unit="packets"))
        assert (made.ratio, made.pairs[0].ratio) == (None, None)
        assert (made.a_s, made.b_s, made.a, made.b) == (1.0, None, None, 9)


def require_trace(told: dict[str, Any]) -> None:
    """The schema of Chrome's trace events, as far as it is used."""
    assert isinstance(told["traceEvents"], list)
    assert told["displayTimeUnit"] in ("ms", "ns")
    for event in told["traceEvents"]:
        assert event["ph"] in ("X", "M")
        assert isinstance(event["name"], str)
        assert all(isinstance(event[key], int) and event[key] >= 0 for key in ("pid", "tid"))
        assert isinstance(event["ts"], int | float)
        assert isinstance(event["args"], dict)
        if event["ph"] == "X":
            assert isinstance(event["cat"], str)
            assert isinstance(event["dur"], int | float)
            assert event["dur"] >= 0
        else:
            assert event["name"] in ("process_name", "thread_name")
            assert isinstance(event["args"]["name"], str)


class TestTrace:
    def test_calls_follow_one_another(self) -> None:
        rows = call("a", 0.5, "n", macs=5), Call(2, "to_gpu", "copy", 0.25, 1, (), bytes=8)
        told = json.loads(json.dumps(trace([calls(*rows)])))
        require_trace(told)
        spans = [e for e in told["traceEvents"] if e["ph"] == "X"]
        assert [(e["name"], e["ts"], e["dur"]) for e in spans] == [
            ("a", 0, 500_000),
            ("to_gpu", 500_000, 250_000),
        ]
        assert spans[0]["args"] == {"nodes": ["n"], "share": 0.5, "call": 1, "macs": 5}
        threads = {e["tid"]: e["args"]["name"] for e in told["traceEvents"] if e["name"] == THREAD}
        assert [threads[e["tid"]] for e in spans] == ["cpu", "copy"]

    def test_counts_stand_for_time_and_say_so(self) -> None:
        told = trace([calls(call("a", 7, "n"), unit="packets"), calls(call("a", 1.0))])
        require_trace(told)
        names = [e["args"]["name"] for e in told["traceEvents"] if e["name"] == "process_name"]
        assert "1 us stands for 1 packet" in names[0]
        assert "stands for" not in names[1]
        assert [e["dur"] for e in told["traceEvents"] if e["ph"] == "X"] == [7, 1e6]
        assert len({e["pid"] for e in told["traceEvents"]}) == 2


THREAD = "thread_name"


class Page(HTMLParser):
    """Tables of a page; fails for what is not closed in order, or fetched."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        assert tag not in ("img", "link", "iframe", "object", "a")
        assert not [n for n, _ in attrs if n.startswith("on") or n in ("src", "href")]
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts[-1] += data
        elif {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


class TestPage:
    def test_of_one(self) -> None:
        one = calls(call("conv", 0.5, EVIL, macs=10**9, bytes=10, of_peak=0.25), name=EVIL)
        content = page([one], [by_nodes(one)])
        shown = Page(content)
        assert "<script>alert" not in content
        made, nodes = shown.tables
        assert made[0][2:5] == ["kernel", "seconds", "share"]
        assert made[1][2:8] == ["conv", "500.000 ms", "50.0%", "1,000,000,000", "2 G", "25%"]
        assert nodes[1][0] == EVIL
        digest = base64.b64encode(hashlib.sha256(shown.scripts[0].encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in content
        assert "http" not in content.replace("http-equiv", "")

    def test_of_two(self) -> None:
        one, two = calls(call("k", 1.0, "a")), calls(call("k", 3.0, "a"), call("n", 1.0, "b"))
        shown = Page(page([one, two], [by_nodes(one), by_nodes(two)], compare(one, two)))
        assert len(shown.tables) == 5
        assert [row[5:7] for row in shown.tables[0][1:]] == [["3.00", ""], ["-", "only B"]]

    def test_its_script_is_javascript(self, tmp_path: Path) -> None:
        one = calls(call("k", 1.0, "a"))
        (script,) = Page(page([one], [by_nodes(one)])).scripts
        (tmp_path / "page.js").write_text(script)
        try:
            done = subprocess.run(["node", "--check", tmp_path / "page.js"], capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no node")
        assert done.returncode == 0, done.stderr


class TestSaved:
    def test_what_json_wrote_is_read_back(self, tmp_path: Path) -> None:
        times = [CallTime("k", ("a",), "cpu", 0.5, {}, None, 1.0, 8, 4, "float32")]
        made = time_profile("host", "local", times)
        (tmp_path / "s.json").write_text(json.dumps(asdict(made)))
        assert read_saved(tmp_path / "s.json") == calls_of(made, "s")
        cost = CallCost("k", ("a",), 10, 30, 5, 320, 32.0, 1.0)
        packets = packet_profile("hexagon", "emulator", [cost])
        (tmp_path / "p.json").write_text(json.dumps(asdict(packets)))
        found = read_saved(tmp_path / "p.json")
        assert (found.unit, found.cost, found.calls[0].placement) == ("packets", 10, "dsp")

    def test_of_before_there_were_rates(self, tmp_path: Path) -> None:
        row = {"kernel": "k", "packets": 10, "share": 1.0, "nodes": ["a"], "macs": None}
        told = {"target": "hexagon", "device": "emulator", "packets": 10, "kernels": [row]}
        (tmp_path / "p.json").write_text(json.dumps(told))
        assert read_saved(tmp_path / "p.json").cost == 10

    @pytest.mark.parametrize(
        "content",
        [
            *("", "[]", "{}", '{"kernels": 3, "counts": {}}', "null"),
            '{"kernels": [{}], "packets": 1}',
            '{"target": "a", "device": "b", "packets": 1, "kernels": [{"packets": "many"}]}',
        ],
    )
    def test_damaged(self, content: str, tmp_path: Path) -> None:
        (tmp_path / "p.json").write_text(content)
        with pytest.raises(UsageError, match="no saved profile") as caught:
            read_saved(tmp_path / "p.json")
        assert "--json" in caught.value.hint

    def test_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            read_saved(tmp_path / "none.json")


def test_no_number_of_a_page_needs_a_locale() -> None:
    one = calls(*(call(f"k{n}", 10.0**-n, f"n{n}") for n in range(12)))
    values = re.findall(r'data-v="([^"]*)"', page([one], [by_nodes(one)]))
    assert values
    assert all(float(value) >= 0 for value in values)


def test_too_many_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "a.json", "b.json", "--against", "c.json"]) == 2
    assert "two can be set side by side" in capsys.readouterr().err
