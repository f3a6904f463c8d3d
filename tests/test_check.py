"""`dlcc device check`: what is told of an engine, and how it shows that one computes wrongly."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlcc.compiler.cli.main import main
from dlcc.targets import probe
from dlcc.targets.check import _engine, _tools, check
from dlcc.targets.opencl.found import notable
from dlcc.targets.probe import Probed, chip_for
from dlcc.targets.registry import DeviceOptions, find_chip, kind
from dlcc.targets.rpc import processor


def right() -> list[np.ndarray]:
    x, w, p, q = probe._operands()
    return [np.maximum(x @ w, 0), p.astype("int32") @ q.astype("int32")]


class TestJudgement:
    def test_right(self) -> None:
        assert probe._judged(right()) == Probed(True, "passed: int8 exact, float32 within 0")

    def test_wrong_floats(self) -> None:
        floats, integers = right()
        for bad in (floats + np.eye(*floats.shape), floats * np.float32("nan")):
            judged = probe._judged([bad, integers])
            assert not judged.good
            assert judged.said.startswith("wrong numbers: float32 products differ by")
            assert judged.hint

    def test_one_wrong_integer(self) -> None:
        floats, integers = right()
        integers[0, 0] += 1
        judged = probe._judged([floats, integers])
        assert judged.said == "wrong numbers: 1 of 512 sums of int8 products"

    def test_too_few_results(self) -> None:
        assert probe._judged(right()[:1]).said == "wrong numbers: 1 results of 2"

    def test_code_that_does_not_load(self) -> None:
        """Code for another runtime: the reason and the hint are those of the device."""
        with kind("host").open_device("local", DeviceOptions()) as device:
            judged = probe.probe(device, "host", "aot")
        assert not judged.good
        assert "runtime aot" in judged.said
        assert judged.hint


class TestChips:
    @pytest.mark.parametrize(
        ("name", "facts", "chip"),
        [
            ("arm", {"features": "fp16, dotprod"}, "arm"),
            ("arm", {"features": ""}, "cortex-a53"),
            ("arm", {}, "arm"),
            ("host", {"features": ""}, "host"),
            ("opencl", {"architecture": platform.machine()}, "opencl"),
        ],
    )
    def test_code_that_surely_runs(self, name: str, facts: dict[str, str], chip: str) -> None:
        assert chip_for(name, facts) == chip

    def test_a_gpu_beside_another_cpu(self) -> None:
        if platform.machine() == "aarch64":
            pytest.skip("this machine is such a CPU")
        chip = find_chip(chip_for("opencl", {"architecture": "aarch64"}))
        assert chip.gpu is not None
        assert str(chip.gpu.host["mtriple"]).startswith("aarch64")


class TestEngines:
    @pytest.mark.device("hexagon")
    def test_one_that_is_there(self) -> None:
        rows = list(_engine("hexagon", DeviceOptions(), tests=True))
        assert all(row.good for row in rows), rows
        assert {row.engine for row in rows} == {"hexagon"}
        values = {row.name: row.value for row in rows}
        assert values["can run"] == "hexagon"
        assert values["runtime aot"].startswith("passed: int8 exact")

    def test_one_that_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DLCC_QEMU_HEXAGON", "/nonexistent/qemu-hexagon")
        (row,) = _engine("hexagon", DeviceOptions(), tests=True)
        assert (row.good, row.engine, row.exit_code) == (False, "hexagon", 4)
        assert row.value.startswith("nothing: ")
        assert "DLCC_QEMU_HEXAGON" in row.hint

    def test_a_device_alone_is_not_tested_when_asked_not_to(self) -> None:
        assert not [row for row in check("local", tests=False) if row.engine]

    @pytest.mark.slow
    def test_all_of_this_machine(self) -> None:
        """In a process of its own: PoCL is one device for all that a process does."""
        command = [sys.executable, "-m", "dlcc.compiler.cli", "device", "check", "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        rows = json.loads(done.stdout)
        tested = {(row["engine"], row["name"]) for row in rows if row["name"][:7] == "runtime"}
        assert tested == {
            *(("host", "runtime tvm"), ("host", "runtime aot"), ("arm", "runtime tvm")),
            *(("arm", "runtime aot"), ("opencl", "runtime tvm"), ("hexagon", "runtime aot")),
        }
        assert done.returncode == 0, done.stderr


class TestTools:
    def test_what_is_there(self) -> None:
        rows = {row.name: row for row in _tools()}
        assert all(row.good for row in rows.values())
        assert {"linker for aarch64", "C compiler", "tensorflow", "xgboost-cpu"} <= rows.keys()

    def test_what_is_not(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("DLCC_CLANG", raising=False)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        rows = {row.name: row for row in _tools()}
        assert (rows["C compiler"].good, rows["C compiler"].exit_code) == (False, 4)
        assert "dlcc[cross]" in rows["C compiler"].hint


class TestProcessor:
    def test_of_this_machine(self) -> None:
        facts = processor.facts()
        assert facts.keys() == {"processor", "features", "memory"}
        assert processor.memory_bytes() > 1 << 28
        known = {*processor.X86.values(), *(name for _, _, name in processor.ARM)}
        assert set(processor.features()) <= known

    def test_flags_become_features(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
        told = "model name\t: Some CPU\nflags\t\t: fpu fma avx_vnni avx2\n\nflags\t: no"
        (tmp_path / "cpuinfo").write_text(told)
        assert processor.processor() == "Some CPU"
        assert processor.features() == ["avx2", "fma", "vnni"]
        (tmp_path / "cpuinfo").unlink()
        assert (processor.processor(), processor.features()) == ("", [])

    def test_it_needs_nothing_of_dlcc(self) -> None:
        program = f"import runpy, sys; runpy.run_path({processor.__file__!r}); "
        program += "print([m for m in sys.modules if m.split('.')[0] in ('dlcc', 'tvm')])"
        done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_extensions_that_matter() -> None:
    assert notable(["cl_khr_icd", "cl_khr_fp16", "cl_qcom_perf_hint"]) == [
        "cl_khr_fp16",
        "cl_qcom_perf_hint",
    ]


def test_a_target_needs_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "check", "-t", "arm"]) == 2
    assert "needs an address" in capsys.readouterr().err
