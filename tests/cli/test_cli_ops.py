"""`--ops` and `dlcc ops`: exit codes, streams, what is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

OPS = """
from dlcc.compiler.user_ops import Tensor, UserOps
from tvm import te

OPS = UserOps("mine", version="3", file=__file__)

@OPS.op("Halve")
def halve(g, node):
    return g.te(lambda x: te.compute(x.shape, lambda *i: x(*i) / 2), g.arg(node, 0), name="halve")

@OPS.shape("Root")
def root(node, inputs):
    return inputs[0]

OPS.kernel("Root", target="opencl", source="root.cl")
"""
Dlcc = Callable[..., "Result"]  # noqa: F821  of conftest.py


@pytest.fixture
def model(folder: Path, model_text: str) -> Path:
    """z = Halve(2 * x), and a file of ops beside it."""
    path = folder / "halve.pbtxt"
    path.write_text(model_text.replace('"Neg"', '"Halve"'))
    (folder / "root.cl").write_text("")
    (folder / "ops of mine.py").write_text(OPS)
    return path


def test_compile_and_run(dlcc: Dlcc, folder: Path, model: Path) -> None:
    made = dlcc("compile", model, "--ops", "ops of mine.py", "-o", "halve.dlc", "--output", "z")
    assert made.code == 0, made.err
    assert dlcc("run", "halve.dlc", "--input", "x=x.npy", "-o", "z.npz").code == 0
    np.testing.assert_array_equal(np.load(folder / "z.npz")["z"], np.load(folder / "x.npy"))
    told = json.loads(dlcc("info", "halve.dlc", "--json").out)["options"]["ops.mine"]
    assert told.startswith("version 3; Halve; ops of mine.py sha256 ")
    assert "ops.mine version 3; Halve" in dlcc("info", "halve.dlc").out


def test_without_ops_the_way_is_told(dlcc: Dlcc, model: Path) -> None:
    made = dlcc("compile", model, "-o", "none.dlc")
    assert made.code == 3
    assert "no converter for 1 op: Halve" in made.err


def test_check_tells_the_set(dlcc: Dlcc, model: Path, model_text: str) -> None:
    assert dlcc("check", model).code == 1
    checked = dlcc("check", model, "--ops", "ops of mine.py", "--json")
    assert checked.code == 0
    row = next(r for r in json.loads(checked.out) if r["op"] == "Halve")
    assert row["converter"] == "mine 3 (ops of mine.py)"
    assert set(row["targets"].values()) == {"yes"}
    model.write_text(model_text.replace('"Neg"', '"Root"'))
    checked = dlcc("check", model, "--ops", "ops of mine.py", "-t", "hexagon")
    assert checked.code == 1
    assert "neither a converter nor a kernel" in checked.out
    assert dlcc("check", model, "--ops", "ops of mine.py", "-t", "opencl").code == 0


def test_check_why_tells_the_kernel(dlcc: Dlcc, model: Path) -> None:
    told = dlcc("check", model, "--why", "z", "--ops", "ops of mine.py")
    assert told.code == 0, told.err
    assert "in kernel fused_multiply_halve" in told.out


def test_list(dlcc: Dlcc, model: Path) -> None:
    rows = json.loads(dlcc("ops", "list", "--ops", "ops of mine.py", "--json").out)
    assert [(r["op"], r["set"], r["version"]) for r in rows] == [
        ("Halve", "mine", "3"),
        ("Root", "mine", "3"),
    ]
    assert rows[1]["targets"] == {"host": "-", "arm": "-", "opencl": "root.cl", "hexagon": "-"}
    nothing = dlcc("ops", "list")
    assert (nothing.code, nothing.out) == (0, "")
    assert "dlcc ops new" in nothing.err


def test_new_writes_and_names_its_files(dlcc: Dlcc, tmp_path: Path) -> None:
    made = dlcc("ops", "new", "MyOp", "-o", tmp_path / "new")
    assert made.code == 0
    assert [Path(line).name for line in made.out.splitlines()] == [
        "my_op_ops.py", "my_op.c", "my_op.cl", "test_my_op.py",
    ]  # fmt: skip
    again = dlcc("ops", "new", "MyOp", "-o", tmp_path / "new")
    assert (again.code, again.out) == (2, "")


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, 2, "which should hold ops, is not there"),
        ("x = (", 2, "bad.py, line 1: SyntaxError"),
        ("x = 1", 2, "declares no ops"),
        (OPS.replace("Halve", "Mul"), 2, "has the op Mul, which dlcc has, too"),
        (OPS.replace("x(*i) / 2", "nothing"), 3, "NameError: name 'nothing' is not defined"),
        (OPS.replace("Halve", "R").replace("Root", "Halve"), 3, "no form for the target host"),
    ],
)
def test_what_is_wrong_is_told(
    content: str | None, code: int, words: str, dlcc: Dlcc, folder: Path, model: Path
) -> None:
    (folder / "bad.py").unlink(missing_ok=True)
    if content is not None:
        (folder / "bad.py").write_text(content)
    made = dlcc("compile", model, "--ops", "bad.py", "-o", "bad.dlc", "--json")
    assert made.code == code
    assert words in json.loads(made.err.splitlines()[-1])["error"]
    assert not (folder / "bad.dlc").exists()


def test_a_container_runs_without_the_users_files(dlcc: Dlcc, folder: Path, model: Path) -> None:
    """What the user's file would do is not done when a container is opened."""
    loud = folder / "loud.py"
    loud.write_text(OPS + "\nimport builtins\nbuiltins.dlcc_ops_ran = True\n")
    assert dlcc("compile", model, "--ops", loud, "-o", "loud.dlc").code == 0
    import builtins

    assert vars(builtins).pop("dlcc_ops_ran")
    loud.unlink()
    assert dlcc("run", "loud.dlc", "--input", "x=x.npy").code == 0
    assert "dlcc_ops_ran" not in vars(builtins)
