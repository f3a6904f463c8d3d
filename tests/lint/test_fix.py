"""Rewrites: what they do, that results are the same, by the host and by TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcc.compiler.cli.main import main
from dlcc.compiler.errors import DlccError, Mismatch
from dlcc.compiler.frontend.dtypes import array_of
from dlcc.compiler.frontend.read import read_graph_def
from dlcc.compiler.frontend.reference import is_installed
from dlcc.compiler.lint import fix, lint
from dlcc.compiler.lint import fix as fix_module
from dlcc.compiler.lint.rewrite.channels import pad_channels
from dlcc.compiler.lint.rewrite.editable import Editable
from dlcc.compiler.lint.rewrite.tidy import tidy
from dlcc.compiler.lint.same import Asked, require_same
from tests.inspect.nets import write
from tests.lint.nets import Layers, odd, turned, whole_numbers

NEEDS_TENSORFLOW = pytest.mark.skipif(not is_installed(), reason="no TensorFlow")


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlcc.compiler.lint.same.is_installed", lambda: False)


def weights(graph: Any, suffix: str = "/w") -> list[tuple[int, ...]]:
    """The shapes of what convolutions and products are multiplied with."""
    nodes = {n.name: n for n in graph.node}
    found = []
    for node in graph.node:
        if node.op in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
            found.append(array_of(nodes[node.input[1]].attr["value"].tensor).shape)
    return found


@NEEDS_TENSORFLOW
def test_channels_are_padded_everywhere_they_pass(tmp_path: Path) -> None:
    model, out = write(tmp_path / "odd.pb", odd()), tmp_path / "fixed.pb"
    before = [f for f in lint(model, "arm") if f.rule == "vector-rest"]
    assert {f.found for f in before} == {"30 outputs"}
    assert all(f.fix == "channels" and f.times for f in before)
    done = fix(model, out, "arm")
    assert ("channels", "c0", "30 channels became 32") in {
        (r.fix, r.node, r.done) for r in done.rows
    }
    assert done.off < 1e-5
    assert done.checked[0] == "host"
    assert done.checked[1].startswith("TensorFlow 2")
    assert done.rows[-1].done == f"the host and {done.checked[1]} give the same for both"
    assert done.findings[1] == done.findings[0] - len(before)
    graph = read_graph_def(out)
    assert weights(graph) == [
        (3, 3, 3, 32), (3, 3, 32, 1), (3, 3, 32, 32), (1, 1, 32, 32), (32, 5)
    ]  # fmt: skip


def test_transpositions_that_undo_each_other_go(tmp_path: Path, without_tensorflow: None) -> None:
    model, out = write(tmp_path / "turned.pb", turned()), tmp_path / "fixed.pb"
    assert [f.rule for f in lint(model, "host")] == ["transpose"] * 2
    done = fix(model, out, "host")
    assert done.findings == (2, 0)
    graph = read_graph_def(out)
    assert "Transpose" not in {n.op for n in graph.node}


def test_an_open_batch_is_fixed(tmp_path: Path, without_tensorflow: None) -> None:
    m = Layers()
    m.map("y", "Relu", m.conv("c", m.input("x", -1, 9, 8, 3), 3, 3, 32))
    model, out = write(tmp_path / "open.pb", m.graph), tmp_path / "fixed.pb"
    assert {f.rule for f in lint(model, "hexagon")} >= {"open-shape", "float-on-dsp"}
    done = fix(model, out, "hexagon")
    assert ("batch", "x") in {(r.fix, r.node) for r in done.rows}
    assert done.checked == ("host",)
    assert done.rows[-1].done == "only the host was asked: TensorFlow is not installed"
    (x,) = [n for n in read_graph_def(out).node if n.op == "Placeholder"]
    assert [d.size for d in x.attr["shape"].shape.dim] == [1, 9, 8, 3]


@pytest.mark.device("hexagon")
def test_the_dsp_takes_fewer_packets(tmp_path: Path, without_tensorflow: None) -> None:
    model, out = write(tmp_path / "bytes.pb", whole_numbers()), tmp_path / "fixed.pb"
    done = fix(model, out, "hexagon-v66", measure=True)
    assert done.off == 0
    assert done.findings == (1, 0)
    assert done.after["packets"] < 0.8 * done.before["packets"]


def editable(m: Layers, output: str) -> Editable:
    return Editable(m.graph, ["x"], [output])


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda m, x: m.conv("last", x, 3, 8, 6), "last/bias is an output"),
        (lambda m, x: m.conv("b", m.map("log", "Log", m.conv("a", x, 3, 8, 6)), 3, 6, 8), "Log"),
        (lambda m, x: m.map("max", "Softmax", m.conv("a", x, 3, 8, 6)), "Softmax"),
        (lambda m, x: m.conv("b", m.depthwise("d", m.conv("a", x, 1, 8, 6), 6, 2), 1, 12, 8), "d "),
        (lambda m, x: m.conv("b", m.map("s", "AddV2", m.conv("a", x, 1, 8, 3), "z"), 1, 3, 8), "z"),
    ],
)
def test_channels_that_cannot_be_padded_stay(build: Any, why: str) -> None:
    m = Layers()
    m.input("z", 1, 5, 5, 3)
    output = build(m, m.input("x", 1, 5, 5, 8))
    graph = editable(m, output)
    before = m.graph.SerializeToString()
    done = dict(pad_channels(graph, 4))
    assert all(said.startswith("left as it is") for said in done.values())
    assert any(why in said for said in done.values()), done
    assert m.graph.SerializeToString() == before


def test_identities_and_unread_nodes_go() -> None:
    m = Layers()
    y = m.conv("c", m.input("x", 1, 5, 5, 8), 1, 8, 8)
    m.map("unread", "Exp", y)
    m.node("y", "Identity", y, T="float32")
    ((_, said),) = tidy(editable(m, "y"))
    assert said == "3 nodes left out, 2 of them identities"
    assert {n.name for n in m.graph.node if n.op == "Identity"} == {"y"}, "an output keeps its name"


def test_a_rewrite_that_changes_results_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    module = importlib.import_module("dlcc.compiler.lint.fix")

    def wrong(graph: Editable) -> list[tuple[str, str]]:
        tensor = graph.nodes["b"].attr["value"].tensor
        tensor.tensor_content = (2 * np.frombuffer(tensor.tensor_content, "float32")).tobytes()
        return []

    monkeypatch.setattr(module, "tidy", wrong)
    with pytest.raises(Mismatch, match="is off by"):
        fix_module(write(tmp_path / "m.pb", turned()), tmp_path / "fixed.pb", "host")
    assert not (tmp_path / "fixed.pb").exists()


def plus(op: str, read: str, **attrs: Any) -> Any:
    """y = x + z, where z is the result of an op."""
    m = Layers()
    m.input("x", 2, 3)
    m.const("one", np.ones((2, 3)))
    m.ints("shape", 2, 3)
    m.node("z", op, read, **attrs)
    m.map("y", "AddV2", "x", "z")
    return m.graph


def asked(graph: Any) -> Asked:
    return Asked(graph, {"x": ("x:0", "x:0")}, {"y": ("y:0", "y:0")})


@NEEDS_TENSORFLOW
def test_a_model_that_is_random_is_not_wrong() -> None:
    plain = plus("Sqrt", "one", T="float32")
    random = plus("RandomUniform", "shape", dtype="float32", T="int32")
    same = require_same(plain, {}, plain, {}, asked(random))
    assert same.checked == ("host",)
    assert same.said == (
        "only the host was asked: TensorFlow gives other results for the model each time"
    )


@NEEDS_TENSORFLOW
def test_what_tensorflow_finds_wrong_is_told() -> None:
    plain, other = (plus(op, "one", T="float32") for op in ("Sqrt", "Exp"))
    with pytest.raises(Mismatch, match=r"is off by TensorFlow by .* of the largest value of y"):
        require_same(plain, {}, plain, {}, asked(other))


def test_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], without_tensorflow: None
) -> None:
    model, out = str(write(tmp_path / "turned.pb", turned())), str(tmp_path / "fixed.pb")
    assert main(["lint", model, "-t", "arm", "--json"]) == 1
    assert {row["rule"] for row in json.loads(capsys.readouterr().out)} == {"transpose"}
    assert main(["lint", model, "-t", "arm", "--exit-zero"]) == 0
    assert main(["lint", model, "-t", "arm", "--fix", "-o", out]) == 0
    assert main(["lint", out, "-t", "arm"]) == 0
    assert main(["lint", model, "--fix", "-o", out]) == 2
    assert main(["lint", model, "-t", "arm", "--fix"]) == 2
    assert main(["lint", model, "-t", "arms"]) == 2


def test_bad_files(tmp_path: Path, files: Path) -> None:
    (tmp_path / "text.pb").write_bytes(b"\x0a\xff\xffno graph")
    (tmp_path / "cut.dlc").write_bytes((files / "net.dlc").read_bytes()[:999])
    for name in ("absent.pb", "absent.dlc", "text.pb", "cut.dlc"):
        with pytest.raises(DlccError) as caught:
            lint(tmp_path / name)
        assert caught.value.exit_code == 3
    with pytest.raises(DlccError, match="is a container"):
        fix(files / "net.dlc", tmp_path / "fixed.pb", "arm")
    with pytest.raises(DlccError, match="signature 'other'"):
        lint(files / "net.pb", signature="other")
