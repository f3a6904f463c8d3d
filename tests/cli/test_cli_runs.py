"""Verbs that run containers, and the devices that they run on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Dlcc = Callable[..., Any]
X = np.arange(6, dtype="float32").reshape(2, 3)


class TestRun:
    def test_shows_outputs(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "model.dlc", "--input", "x=x.npy", "--json")
        assert result.code == 0
        (row,) = json.loads(result.out)
        assert (row["output"], row["shape"], row["max"]) == ("y", [2, 3], 10.0)

    def test_writes_and_compares(self, dlcc: Dlcc, tmp_path: Path) -> None:
        out = tmp_path / "out.npz"
        assert dlcc("run", "model.dlc", "-i", "x:0=x.npy", "-o", out).code == 0
        with np.load(out) as found:
            np.testing.assert_array_equal(found["y"], 2 * X)
        assert dlcc("run", "model.dlc", "-i", "x=x.npy", "--expect", out).code == 0

    def test_differences(self, dlcc: Dlcc, tmp_path: Path) -> None:
        reference = tmp_path / "ref.npz"
        np.savez(reference, y=2 * X + np.eye(2, 3, dtype="float32") / 8)
        args = ["run", "model.dlc", "-i", "x=x.npy", "--expect", reference]
        result = dlcc(*args, "--json")
        (row,) = json.loads(result.out)
        assert result.code == 1
        assert (row["max_absolute"], row["beyond"], row["ok"]) == (0.125, 2, False)
        assert (
            "beyond tolerance: y (2 of 6 values)"
            in json.loads(result.err.splitlines()[-1])["error"]
        )
        assert dlcc(*args, "--atol", "0.2").code == 0

    def test_reference_of_another_shape_or_name(self, dlcc: Dlcc, tmp_path: Path) -> None:
        args = ["run", "model.dlc", "-i", "x=x.npy", "--expect"]
        np.savez(tmp_path / "a.npz", y=np.zeros(3))
        assert dlcc(*args, tmp_path / "a.npz").code == 1
        np.savez(tmp_path / "b.npz", p=2 * X, q=X)
        result = dlcc(*args, tmp_path / "b.npz")
        assert result.code == 2
        assert "no array for y" in result.err

    def test_random_values_follow_from_the_seed(self, dlcc: Dlcc) -> None:
        outs = [dlcc("run", "model.dlc", "--random", s, "--json").out for s in (1, 1, 2)]
        assert outs[0] == outs[1] != outs[2]

    def test_open_dimensions(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "open.dlc", "--random", 1)
        assert result.code == 2
        assert "--input x=FILE.npy" in result.err
        assert dlcc("run", "open.dlc", "--input", "x=x.npy").code == 0

    def test_missing_inputs(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "model.dlc")
        assert result.code == 2
        assert "no value for input x (float32[2, 3])" in result.err

    @pytest.mark.parametrize("name", ["model.dlc", "open.dlc"])
    def test_raw_files(self, name: str, dlcc: Dlcc, tmp_path: Path) -> None:
        X.tofile(tmp_path / "x.raw")
        X.astype("float64").tofile(tmp_path / "wide.raw")
        for args in (["x.raw"], ["wide.raw", "--raw", "float64"]):
            file, *rest = args
            result = dlcc("run", name, "-i", f"x={tmp_path / file}", *rest, "--json")
            assert json.loads(result.out)[0]["max"] == 10.0
        result = dlcc("run", "model.dlc", "-i", f"x={tmp_path / 'wide.raw'}")
        assert result.code == 2
        assert "has 48 bytes; input x (float32[2, 3]) takes 24" in result.err

    def test_archives_of_inputs(self, dlcc: Dlcc, tmp_path: Path) -> None:
        np.savez(tmp_path / "all.npz", x=X, other=X)
        assert dlcc("run", "model.dlc", "-i", f"x={tmp_path / 'all.npz'}").code == 0
        result = dlcc("run", "model.dlc", "-i", tmp_path / "all.npz")
        assert "no input named 'other'" in result.err
        np.savez(tmp_path / "one.npz", **{"x:0": X})
        assert dlcc("run", "model.dlc", "-i", tmp_path / "one.npz").code == 0

    def test_pickles_are_never_loaded(self, dlcc: Dlcc, tmp_path: Path) -> None:
        np.save(tmp_path / "evil.npy", np.array([{}], object), allow_pickle=True)
        result = dlcc("run", "model.dlc", "-i", f"x={tmp_path / 'evil.npy'}")
        assert result.code == 2
        assert "cannot be read" in result.err

    @pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"nothing"])
    @pytest.mark.parametrize("suffix", ["npy", "npz"])
    def test_damaged_arrays(self, content: bytes, suffix: str, dlcc: Dlcc, tmp_path: Path) -> None:
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(content)
        result = dlcc("run", "model.dlc", "-i", f"x={path}")
        assert result.code == 2, result.err

    def test_wrong_dtype_has_a_hint(self, dlcc: Dlcc, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", X.astype("float64"))
        result = dlcc("run", "model.dlc", "-i", f"x={tmp_path / 'x.npy'}")
        assert result.code == 2
        assert 'hint: x.astype("float32") converts it' in result.err

    def test_unreachable_device(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "model.dlc", "--random", 1, "--device", "rpc://127.0.0.1:9")
        assert result.code == 5
        assert "host on rpc://127.0.0.1:9" in result.err

    def test_the_order_of_targets(self, dlcc: Dlcc, tmp_path: Path) -> None:
        made = tmp_path / "both.dlc"
        assert dlcc("compile", "model.pbtxt", "-t", "arm,host", "-o", made).code == 0
        local = ["run", made, "--random", 1, "--device", "local"]
        result = dlcc(*local, "--order", "hexagon,host")
        assert result.code == 0
        assert "warning: hexagon: the container has no code for it" in result.err
        assert "host on local was chosen" in result.err
        quiet = dlcc(*local, "--order", "host,arm", "-q")
        assert (quiet.code, quiet.err) == (0, "")
        result = dlcc(*local, "--order", "host", "-t", "host")
        assert result.code == 2
        assert "--target and --order" in result.err

    def test_target_that_is_not_there(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "model.dlc", "--random", 1, "-t", "arm")
        assert result.code == 2
        assert "it holds code for: host" in result.err


class TestBench:
    def test_times(self, dlcc: Dlcc) -> None:
        result = dlcc("bench", "model.dlc", "--repeat", 5, "--json")
        assert result.code == 0
        cost = json.loads(result.out)
        assert cost["runs"] == 5
        assert 0 < cost["min_s"] <= cost["median_s"] <= cost["p95_s"]
        assert cost["counts"] == {}
        assert "median" in dlcc("bench", "model.dlc").out

    @pytest.mark.device("arm")
    def test_counts_on_an_emulated_device(self, dlcc: Dlcc, tmp_path: Path) -> None:
        made = tmp_path / "arm.dlc"
        assert dlcc("compile", "model.pbtxt", "-t", "arm", "-o", made).code == 0
        result = dlcc("bench", made, "--json")
        assert result.code == 0
        cost = json.loads(result.out)
        assert (cost["target"], cost["device"]) == ("arm cortex-a76", "emulator")
        assert cost["counts"]["instructions"] > 0
        assert cost["min_s"] is None


class TestProfile:
    def test_times(self, dlcc: Dlcc) -> None:
        result = dlcc("profile", "model.dlc", "--json")
        assert result.code == 0
        told = json.loads(result.out)
        (kernel,) = told["kernels"]
        assert (told["target"], told["device"], told["counts"]) == ("host", "local", {})
        assert (kernel["nodes"], kernel["placement"], kernel["share"]) == (["y"], "cpu", 1.0)
        assert 0 < kernel["time_s"] == told["time_s"] == told["placements"][0]["time_s"]
        shown = dlcc("profile", "model.dlc").out
        assert "placement" in shown
        assert "100.0%" in shown
        assert "copied" not in shown

    def test_by_node_against_a_saved_one_and_as_files(self, dlcc: Dlcc, tmp_path: Path) -> None:
        saved, page, trace = (tmp_path / name for name in ("s.json", "p.html", "t.json"))
        saved.write_text(dlcc("profile", "model.dlc", "--json").out)
        told = json.loads(dlcc("profile", "model.dlc", "--by", "node", "--json").out)
        (row,) = told["nodes"]
        assert (row["node"], row["share"], row["estimated"]) == ("y", 1.0, False)
        files = ["--html", page, "--trace", trace]
        result = dlcc("profile", "model.dlc", "--against", saved, *files, "--json")
        assert result.code == 0, result.err
        (pair,) = json.loads(result.out)["pairs"]
        assert (pair["nodes"], pair["only"]) == (["y"], "")
        assert pair["ratio"] == pytest.approx(pair["b_s"] / pair["a_s"])
        assert len(json.loads(trace.read_text())["traceEvents"]) == 2 * 3
        assert page.read_text().startswith("<!doctype html>")
        assert dlcc("profile", saved).code == 2
        assert dlcc("profile", saved, saved).code == 0
        assert dlcc("profile", saved, "--by", "node").code == 0

    @pytest.mark.device("arm")
    def test_instructions_on_an_emulated_device(self, dlcc: Dlcc, tmp_path: Path) -> None:
        made = tmp_path / "arm.dlc"
        assert dlcc("compile", "model.pbtxt", "-t", "arm", "-o", made).code == 0
        result = dlcc("profile", made, "--json")
        assert result.code == 0
        told = json.loads(result.out)
        assert (told["target"], told["device"]) == ("arm cortex-a76", "emulator")
        assert told["time_s"] is None
        assert (
            sum(k["counts"]["instructions"] for k in told["kernels"])
            == told["counts"]["instructions"]
        )


@pytest.fixture
def server() -> Iterator[str]:
    """`dlcc device serve` on a free port: its address."""
    yield from _served("serve", "is at ")


@pytest.fixture
def tracker() -> Iterator[str]:
    """`dlcc device tracker` on a free port: its address."""
    yield from _served("tracker", "tracker at ")


def _served(verb: str, mark: str) -> Iterator[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "dlcc.compiler.cli", "device", verb, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stderr is not None
        line = next(line for line in child.stderr if mark in line)
        yield line.partition(mark)[2].strip()
        child.terminate()
        assert child.wait(timeout=20) == 0
    finally:
        child.kill()
        child.wait()


class TestDevice:
    def test_local(self, dlcc: Dlcc) -> None:
        rows = json.loads(dlcc("device", "check", "local", "--json").out)
        fact = {"name": "can run", "value": "host", "good": True, "hint": ""}
        assert rows[0] == {**fact, "engine": "", "exit_code": None}
        assert {"processor", "features", "memory"} <= {row["name"] for row in rows}
        tested = {row["name"]: row["value"] for row in rows if row["engine"] == "host"}
        assert tested.keys() == {"runtime tvm", "runtime aot"}
        assert all(value.startswith("passed: int8 exact") for value in tested.values())

    def test_served(self, server: str, dlcc: Dlcc) -> None:
        assert server.startswith("rpc://127.0.0.1:")
        assert dlcc("device", "check", server, "--no-test").code == 0
        result = dlcc("run", "model.dlc", "-i", "x=x.npy", "--device", server, "--json")
        assert json.loads(result.out)[0]["max"] == 10.0

    def test_tracker(self, tracker: str, dlcc: Dlcc) -> None:
        result = dlcc("device", "list", tracker, "--json")
        assert (result.code, json.loads(result.out)) == (0, [])

    @pytest.mark.parametrize(
        ("args", "code"),
        [
            (["check", "rpc://127.0.0.1:9"], 5),
            (["check", "nowhere"], 2),
            (["check", "--target", "arm"], 2),
            (["list", "127.0.0.1:9"], 5),
            (["emulate", "toaster"], 2),
        ],
    )
    def test_failures(self, args: list[str], code: int, dlcc: Dlcc) -> None:
        result = dlcc("device", *args)
        assert (result.code, result.out) == (code, "")
        assert "error: " in result.err
