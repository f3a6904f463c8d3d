"""A model, containers of it, and `dlcc` within this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from dlcc.compiler.cli.main import main

MODEL = """
node { name: "x" op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "shape" value { shape { dim { size: 2 } dim { size: 3 } } } } }
node { name: "two" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape {} float_val: 2 } } } }
node { name: "y" op: "Mul" input: "x" input: "two" attr { key: "T" value { type: DT_FLOAT } } }
node { name: "z" op: "Neg" input: "y" attr { key: "T" value { type: DT_FLOAT } } }
"""


class Result(NamedTuple):
    """Exit code, stdout and stderr of one call."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def model_text() -> str:
    """y = 2 * x, z = -y."""
    return MODEL


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a container of it, a container with an open dimension, an input."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "model.pbtxt").write_text(MODEL)
    (folder / "open.pbtxt").write_text(MODEL.replace("dim { size: 2 }", "dim { size: -1 }"))
    for name in ("model", "open"):
        source, made = folder / f"{name}.pbtxt", folder / f"{name}.dlc"
        assert main(["compile", "-q", str(source), "-o", str(made), "--output", "y"]) == 0
    np.save(folder / "x.npy", np.arange(6, dtype="float32").reshape(2, 3))
    return folder


@pytest.fixture
def dlcc(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Call `dlcc` within this process, for TVM takes seconds to load."""
    monkeypatch.chdir(folder)

    def call(*args: object) -> Result:
        capsys.readouterr()
        code = main([str(a) for a in args])
        return Result(code, *capsys.readouterr())

    return call
