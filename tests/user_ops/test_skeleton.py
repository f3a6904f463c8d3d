"""`dlcc ops new`: what it writes works as it is, and is as linters want it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dlcc.compiler.errors import UsageError
from dlcc.compiler.user_ops.new import snake_case, write_skeleton

NAMES = ("MyOp", "Op", "LSTMCell2D", "AVeryLongNameOfAnOpThatGoesOn")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a skeleton for each name."""
    folder = tmp_path_factory.mktemp("skeletons") / "with a blank"
    for name in NAMES:
        assert len(write_skeleton(name, folder)) == 4
    return folder


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "target",
    ["host", *(pytest.param(k, marks=pytest.mark.device(k)) for k in ("opencl", "hexagon"))],
)
def test_its_test_passes(target: str, written: Path) -> None:
    module_of(written / "test_my_op.py").test_matches_numpy(target)


@pytest.mark.slow
def test_its_test_passes_as_a_user_runs_it(written: Path) -> None:
    """All four targets, where there are devices; what is skipped is said."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-k", "my_op"]
    done = subprocess.run([*command, written], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_test_can_fail(written: Path, tmp_path: Path) -> None:
    for path in written.glob("*my_op*"):
        (tmp_path / path.name).write_text(path.read_text().replace("alpha * x[i]", "x[i]"))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        module_of(tmp_path / "test_my_op.py").test_matches_numpy("host")


def test_linters_are_content(written: Path) -> None:
    ruff = [sys.executable, "-m", "ruff"]
    rules = "E,F,W,I,B,UP,SIM,RUF"
    for command in (["check", "--select", rules], ["format", "--check"]):
        call = [*ruff, *command, "--isolated", "--no-cache", str(written)]
        done = subprocess.run(call, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout


def test_nothing_is_written_over(written: Path) -> None:
    (written / "my_op.c").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        write_skeleton("MyOp", written)
    assert (written / "my_op.c").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "my_op", "My-Op", "../MyOp", "M" * 65, "Mÿ"])
def test_a_name_that_no_op_has_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no name of a TensorFlow op"):
        write_skeleton(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make the folder"):
        write_skeleton("MyOp", tmp_path / "file" / "sub")


@pytest.mark.parametrize(
    ("op", "name"),
    [("MyOp", "my_op"), ("LSTMCell2D", "lstm_cell2d"), ("Relu6", "relu6"), ("A2Yes", "a2_yes")],
)
def test_files_are_named_after_the_op(op: str, name: str) -> None:
    assert snake_case(op) == name
