"""Verbs about models: compile, info, check, target."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcc.targets import registry

Dlcc = Callable[..., Any]


class TestCompile:
    def test_stdout_is_the_path(self, dlcc: Dlcc, tmp_path: Path) -> None:
        result = dlcc("compile", "model.pbtxt", "-o", tmp_path / "m.dlc")
        assert result.code == 0
        assert result.out == f"{tmp_path / 'm.dlc'}\n"
        assert "wrote" in result.err

    def test_default_output_and_json(
        self, dlcc: Dlcc, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        result = dlcc("compile", folder / "model.pbtxt", "--json")
        said = json.loads(result.out)
        assert said["path"] == "model.dlc"
        assert said["size_bytes"] == (tmp_path / "model.dlc").stat().st_size

    def test_equal_models_give_equal_files(self, dlcc: Dlcc, folder: Path, tmp_path: Path) -> None:
        dlcc("compile", "model.pbtxt", "-o", tmp_path / "again.dlc", "--output", "y")
        assert (tmp_path / "again.dlc").read_bytes() == (folder / "model.dlc").read_bytes()

    def test_shapes_and_outputs(self, dlcc: Dlcc, tmp_path: Path) -> None:
        made = tmp_path / "m.dlc"
        args = ["-i", "x:0=5,3", "--output", "z", "--output", "y:0"]
        assert dlcc("compile", "open.pbtxt", "-o", made, *args).code == 0
        shown = json.loads(dlcc("info", made, "--json").out)
        assert shown["inputs"] == [{"name": "x:0", "dtype": "float32", "shape": [5, 3]}]
        assert [o["name"] for o in shown["outputs"]] == ["z", "y:0"]

    @pytest.mark.parametrize(
        ("form", "mark"), [("relax", "R.function"), ("tir", "T.prim_func"), ("asm", "ret")]
    )
    def test_listings(self, form: str, mark: str, dlcc: Dlcc, folder: Path) -> None:
        before = set(folder.iterdir())
        result = dlcc("compile", "model.pbtxt", "--emit", form)
        assert result.code == 0
        assert mark in result.out
        assert set(folder.iterdir()) == before

    @pytest.mark.parametrize(("form", "mark"), [("tir", "T.prim_func"), ("asm", "jumpr r31")])
    def test_listings_of_a_dsp(self, form: str, mark: str, dlcc: Dlcc) -> None:
        result = dlcc("compile", "model.pbtxt", "-t", "hexagon", "--emit", form)
        assert result.code == 0
        assert mark in result.out

    @pytest.mark.parametrize("target", ["v66", "host", "arm"])
    def test_c_library(self, target: str, dlcc: Dlcc, tmp_path: Path) -> None:
        args = ["compile", "model.pbtxt", "-t", target, "--emit", "c", "-o", tmp_path / "made"]
        assert dlcc(*args).code == 0
        names = {path.name for path in (tmp_path / "made").iterdir()}
        assert names >= {"dlcc_aot.h", "dlcc_driver.c", "kernels.o", "parameters.o", "Makefile"}
        assert 'dlcc_inputs[] = {\n    {"x"' in (tmp_path / "made/dlcc_driver.c").read_text()
        units = {name for name in names if name.endswith(".c")}
        made = (tmp_path / "made/Makefile").read_text()
        assert all(name.replace(".c", ".o") in made for name in units)

    def test_a_c_library_is_for_one_target(self, dlcc: Dlcc) -> None:
        result = dlcc("compile", "model.pbtxt", "-t", "host,arm", "--emit", "c")
        assert result.code == 2
        assert "for one target" in result.err
        result = dlcc("compile", "model.pbtxt", "--runtime", "tvm", "--emit", "c")
        assert result.code == 2
        assert "runtime aot" in result.err

    def test_runtime(self, dlcc: Dlcc, tmp_path: Path) -> None:
        made = dlcc("compile", "model.pbtxt", "--runtime", "aot", "-o", tmp_path / "m.dlc")
        assert made.code == 0, made.err
        (row,) = json.loads(dlcc("info", tmp_path / "m.dlc", "--json").out)["targets"]
        assert row["runtime"] == "aot"
        assert dlcc("run", tmp_path / "m.dlc", "--random", "1").code == 0

    def test_a_dsp_needs_fixed_shapes(self, dlcc: Dlcc) -> None:
        result = dlcc("compile", "open.pbtxt", "-t", "hexagon")
        assert result.code in (2, 3)
        assert "--input x=" in result.err

    @pytest.mark.parametrize(
        ("args", "code"),
        [
            (["absent.pb"], 3),
            (["x.npy"], 3),
            (["model.pbtxt", "--output", "zz"], 2),
            (["model.pbtxt", "-o", "absent/m.dlc"], 2),
        ],
    )
    def test_failures_leave_nothing(
        self, args: list[str], code: int, dlcc: Dlcc, folder: Path
    ) -> None:
        before = set(folder.iterdir())
        result = dlcc("compile", *args)
        assert (result.code, result.out) == (code, "")
        assert result.err.splitlines()[-2 if "hint:" in result.err else -1].startswith("error: ")
        assert set(folder.iterdir()) == before


class TestInfo:
    def test_container(self, dlcc: Dlcc, folder: Path) -> None:
        shown = json.loads(dlcc("info", "model.dlc", "--json").out)
        assert shown["form"] == "container"
        assert shown["size_bytes"] == (folder / "model.dlc").stat().st_size
        assert [t["kind"] for t in shown["targets"]] == ["host"]
        assert "ElementWiseMultiply" in dlcc("info", "model.dlc").out

    def test_model(self, dlcc: Dlcc) -> None:
        shown = json.loads(dlcc("info", "model.pbtxt", "--json").out)
        assert shown["form"] == "TensorFlow graph"
        counts = {row["op"]: row["count"] for row in shown["ops"]}
        assert (counts["Mul"], counts["Neg"], shown["parameters"]) == (1, 1, 1)

    def test_damaged_container(self, dlcc: Dlcc, folder: Path, tmp_path: Path) -> None:
        data = bytearray((folder / "model.dlc").read_bytes())
        data[data.index(b"\x7fELF") + 20] ^= 1
        (tmp_path / "m.dlc").write_bytes(data)
        result = dlcc("info", tmp_path / "m.dlc")
        assert result.code == 3
        assert "module.so' has changed" in result.err

    def test_control_characters_are_shown_as_such(
        self, dlcc: Dlcc, model_text: str, tmp_path: Path
    ) -> None:
        (tmp_path / "m.pbtxt").write_text(model_text.replace('"z"', r'"z\033[2J"'))
        result = dlcc("info", tmp_path / "m.pbtxt")
        assert "\x1b" not in result.out


class TestCheck:
    def test_all_converted(self, dlcc: Dlcc) -> None:
        rows = json.loads(dlcc("check", "model.pbtxt", "--json").out)
        assert {row["op"] for row in rows} >= {"Mul", "Neg"}
        assert all(row["converter"] for row in rows)
        assert rows[0]["targets"] == dict.fromkeys(registry.KINDS, "yes")

    def test_one_target(self, dlcc: Dlcc) -> None:
        rows = json.loads(dlcc("check", "model.pbtxt", "-t", "arm", "--json").out)
        assert {tuple(row["targets"]) for row in rows} == {("arm",)}

    def test_what_a_target_lacks(self, dlcc: Dlcc, monkeypatch: pytest.MonkeyPatch) -> None:
        arm = registry.kind("arm")
        lacking = dataclasses.replace(arm, lacks={"Neg": "no negation there"})
        monkeypatch.setattr("dlcc.targets.arm.KIND", lacking)
        assert dlcc("check", "model.pbtxt").code == 0
        result = dlcc("check", "model.pbtxt", "-t", "arm")
        assert result.code == 1
        assert "no negation there" in result.out
        assert "Neg cannot run there" in result.err

    def test_gaps_are_named_all_at_once(self, dlcc: Dlcc, model_text: str, tmp_path: Path) -> None:
        text = model_text.replace('"Mul"', '"NoSuchOp"').replace('"Neg"', '"NorThis"')
        (tmp_path / "m.pbtxt").write_text(text)
        result = dlcc("check", tmp_path / "m.pbtxt")
        assert result.code == 1
        assert "NoSuchOp (1), NorThis (1)" in result.err
        assert "NoSuchOp" in result.out.splitlines()[1]


class TestTarget:
    def test_list(self, dlcc: Dlcc) -> None:
        rows = json.loads(dlcc("target", "list", "--json").out)
        assert {"host", "arm", "hexagon"} <= {row["kind"] for row in rows}

    def test_show(self, dlcc: Dlcc) -> None:
        assert json.loads(dlcc("target", "show", "arm", "--json").out)["kind"] == "arm"
        assert dlcc("target", "show", "arn").code == 2
