"""Tools that look into models, on one with an op of a user's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ops_files import IN_C, SHAPE, TE, write

from dlcc.compiler import compile, inspect
from dlcc.compiler.cli.main import main
from dlcc.compiler.diff import diff
from dlcc.compiler.errors import UnsupportedOps
from dlcc.compiler.frontend.read import read_graph_def
from dlcc.compiler.frontend.reference import is_installed
from dlcc.compiler.lint import fix, lint
from dlcc.compiler.user_ops.trial import one_node
from dlcc.compiler.verify import Data, Look, Making, verify
from dlcc.compiler.view import view

X = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """twice.pb, a graph of one op; mine.py, which gives it; and twice.dlc."""
    made = tmp_path_factory.mktemp("tools")
    graph = one_node("Twice", [X], {})
    (made / "twice.pb").write_bytes(graph.SerializeToString())
    write(made, TE)
    compile(graph, outputs=["Twice"], ops=[made / "mine.py"]).save(made / "twice.dlc")
    return made


def test_layers_tensors_and_memory(folder: Path) -> None:
    model, ops = folder / "twice.pb", [folder / "mine.py"]
    with pytest.raises(UnsupportedOps, match="Twice"):
        inspect.layers(model)
    (layer,) = inspect.layers(model, ops=ops)
    assert (layer.name, layer.shape) == ("Twice", (2, 3))
    assert {t.name: t.shape for t in inspect.tensors(model, ops=ops)}["input_0"] == (2, 3)
    assert [row.layer for row in inspect.memory(model, ops=ops).layers] == ["Twice"]
    assert inspect.info(model).macs is None
    assert inspect.info(model, ops=ops).macs == 0


def test_diff_with_its_container(folder: Path) -> None:
    model, made, ops = folder / "twice.pb", folder / "twice.dlc", [folder / "mine.py"]
    for pair in ((model, made), (made, model)):
        found = diff(*pair, ops=ops)
        assert found.equal, found.rows
        assert found.matched == 1


def test_view(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert view(folder / "twice.pb", page, ops=[folder / "mine.py"]).layers == 1
    assert view(folder / "twice.dlc", page).target == "host"
    assert '"target":"host"' in page.read_text("utf-8")


def test_verify(folder: Path, tmp_path: Path) -> None:
    """TensorFlow lacks the op, so that a file says what it should be."""
    making = Making(ops=[folder / "mine.py"])
    (tmp_path / "made").mkdir()
    look = Look(layers="tensors", reproducer=tmp_path / "made" / "layer")
    wrong = Data({"x": {"input_0": X}}, expect={"Twice": 2.5 * X})
    found = verify(folder / "twice.pb", data=wrong, look=look, making=making)
    assert (found.ok, found.first) == (False, "Twice")
    assert found.reproducer is not None
    assert f"--ops {folder / 'mine.py'}" in found.reproducer.command
    right = replace(wrong, expect={"Twice": 2 * X})
    assert verify(folder / "twice.pb", data=right, making=making).ok


def test_advice_on_ops_without_a_kernel(folder: Path, tmp_path: Path) -> None:
    """Of a target that can never run the op, a kernel's schedule is not asked for."""
    ops = [write(tmp_path, SHAPE, IN_C.replace("arm,", ""))]
    told = lint(folder / "twice.pb", ops=ops)
    assert {(f.target, f.layer) for f in told if f.rule == "no-kernel"} == {
        ("cortex-a76", "Twice"), ("opencl", "Twice")
    }  # fmt: skip
    assert not lint(folder / "twice.pb", "host", ops=ops)


def test_fix_keeps_the_op(folder: Path, tmp_path: Path) -> None:
    graph = one_node("Twice", [X], {})
    graph.node.add(name="y", op="Identity", input=["Twice"]).attr["T"].type = 1
    graph.node.add(name="unread", op="Twice", input=["y"])
    (tmp_path / "m.pb").write_bytes(graph.SerializeToString())
    ops = [folder / "mine.py"]
    done = fix(tmp_path / "m.pb", tmp_path / "fixed.pb", "host", outputs=["y"], ops=ops)
    assert [n.op for n in read_graph_def(tmp_path / "fixed.pb").node] == [
        "Placeholder", "Twice", "Identity"
    ]  # fmt: skip
    assert done.checked == ("host",)
    assert done.rows[-1].done.startswith("only the host was asked: TensorFlow")
    if is_installed():
        assert "not registered 'Twice'" in done.rows[-1].done


# what is asked -> what a container is told
CONTAINERS = (["info"], ["info", "--layers"], ["diff", "twice.dlc"], ["lint"], ["view"])


CHOICES = (
    *((words, "--ops", "mine.py") for words in CONTAINERS),
    *((words, "--tag", "serve") for words in CONTAINERS),
    *((words, "--input", "x=2,3") for words in CONTAINERS if words[0] != "info"),
)


@pytest.mark.parametrize(("words", "option", "value"), CHOICES)
def test_containers_take_no_choices_of_models(
    words: list[str],
    option: str,
    value: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    assert main([*words, "twice.dlc", option, value, "--json", "-q"]) == 2
    error = json.loads(capsys.readouterr().err)
    assert "twice.dlc is a container" in error["error"]
    assert error["hint"].startswith(f"leave {option}")
    assert error["hint"].endswith(" out")


def test_command_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert main(["info", "twice.pb", "--layers", "--json", "--ops", "mine.py"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["Twice"]
    assert main(["diff", "twice.pb", "twice.dlc", "--ops", "mine.py", "--json"]) == 0
