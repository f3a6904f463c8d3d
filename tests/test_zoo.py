"""Whole networks: what dlcc computes is what TensorFlow computes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
ALWAYS = "mobilenet_v2"
NETWORKS = (
    "mobilenet_v1",
    "mobilenet_v3_small",
    "resnet50",
    "inception_v3",
    "efficientnet_b0",
    "densenet121",
    "nasnet_mobile",
    "xception",
)
ON_HOST = [ALWAYS, *(pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS)]


def script(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / name), *args], capture_output=True, text=True, check=False
    )


def command(*args: str) -> subprocess.CompletedProcess[str]:
    """A command of dlcc, as installed beside this Python."""
    program = Path(sys.executable).with_name(args[0])
    return subprocess.run([str(program), *args[1:]], capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def frozen(tmp_path_factory: pytest.TempPathFactory):
    """A function: name -> its .pb; its .npz with TensorFlow's answer lies beside it."""
    folder = tmp_path_factory.mktemp("zoo")

    def make(name: str) -> Path:
        path = folder / f"{name}.pb"
        if not path.exists():
            done = script("zoo.py", name, "--out", str(folder))
            assert done.returncode == 0, done.stderr
        return path

    return make


@pytest.mark.parametrize("name", ON_HOST)
def test_host_agrees_with_tensorflow(name: str, frozen) -> None:
    folder = frozen(name).parent
    done = script("zoo_check.py", name, "--folder", str(folder), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(done.stdout)
    assert row["passed"]
    assert row["difference"] < 1e-4, "right within the bar, but far from what float32 explains"


@pytest.mark.slow
def test_a_wrong_answer_fails(frozen, tmp_path: Path) -> None:
    """The check itself: an expectation that is a little off must not pass."""
    model = frozen(ALWAYS)
    data = dict(np.load(model.with_suffix(".npz")))
    data["output"][0, data["output"].argmax()] *= 1.002
    (tmp_path / model.name).symlink_to(model)
    np.savez(tmp_path / f"{ALWAYS}.npz", **data)
    done = script("zoo_check.py", ALWAYS, "--folder", str(tmp_path), "--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)
    assert not row["passed"]
    assert row["difference"] == pytest.approx(2e-3, rel=0.1)


@pytest.mark.slow
@pytest.mark.device("arm")
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_emulated_arm_agrees_with_tensorflow(name: str, frozen, tmp_path: Path) -> None:
    """From the command line alone: compile, run over RPC, compare."""
    model = frozen(name)
    data = np.load(model.with_suffix(".npz"))
    np.save(tmp_path / "x.npy", data["input"])
    np.savez(tmp_path / "expected.npz", output=data["output"])
    container = str(tmp_path / f"{name}.dlc")
    compiled = command("compile", str(model), "-t", "arm", "-o", container)
    assert compiled.returncode == 0, compiled.stderr
    ran = command(
        *("dlcc", "run", container, "--device", "emulator"),
        *("--input", f"input={tmp_path / 'x.npy'}"),
        *("--expect", str(tmp_path / "expected.npz"), "--rtol", "1e-3", "--atol", "1e-6"),
        *("--time-limit", "600"),
    )
    assert ran.returncode == 0, ran.stderr
