"""The scripts: what can go wrong in setting up is said clearly, and nothing is done twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.conftest import LONGEST, pytest_collection_modifyitems

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a project that needs nothing, so that setting up is a matter of seconds."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "tiny"\nversion = "1"\n[project.optional-dependencies]\ndemo = []\n'
    )
    return tmp_path


def setup(checkout: Path, *extras: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "scripts" / "setup"), *extras],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | env,
    )


def stub_pip(script, monkeypatch: pytest.MonkeyPatch, place: Path, fail: str = "") -> list[str]:
    """install.py in `place` with nothing executed; returns the steps that it takes."""
    install = script("install")
    steps: list[str] = []

    def run(command, why: str, hint: str) -> None:
        steps.append(why)
        if why == fail:
            raise install.SetupError(f"{why} failed", hint)
        if why == "making .venv":
            (place / "bin").mkdir(parents=True, exist_ok=True)
            (place / "bin/python").touch()

    monkeypatch.setattr(install, "run", run)
    monkeypatch.setattr(install, "VENV", place)
    monkeypatch.setattr(install, "PYTHON", place / "bin/python")
    monkeypatch.setattr(install, "STAMP", place / "stamp.json")
    return steps


def test_setting_up_twice_does_it_once(script, monkeypatch, tmp_path: Path) -> None:
    steps = stub_pip(script, monkeypatch, tmp_path / "v")
    install = sys.modules["install"]
    assert install.main(["demo"]) == 0
    assert steps == ["making .venv", "pip install"]
    assert install.main(["demo"]) == 0
    assert steps == ["making .venv", "pip install"]


def test_more_extras_keep_those_there(script, monkeypatch, tmp_path: Path) -> None:
    steps = stub_pip(script, monkeypatch, tmp_path / "v")
    install = sys.modules["install"]
    install.main(["demo"])
    install.main(["dev"])
    assert steps == ["making .venv", "pip install", "pip install"]
    held = json.loads((tmp_path / "v/stamp.json").read_text())["extras"]
    assert {"demo", "dev", "tensorflow"} <= set(held), "dev names the others"
    install.main(["demo"])
    install.main(["tensorflow"])
    assert len(steps) == 3


def test_a_failed_step_is_taken_up_again(script, monkeypatch, tmp_path: Path, capsys) -> None:
    steps = stub_pip(script, monkeypatch, tmp_path / "v", fail="pip install")
    install = sys.modules["install"]
    assert install.main(["demo"]) == 4
    assert "hint: check network and disk" in capsys.readouterr().err
    assert install.main(["demo"]) == 4
    assert steps == ["making .venv", "pip install", "pip install"], "the venv is kept"


def test_another_python_makes_the_venv_anew(script, monkeypatch, tmp_path: Path) -> None:
    steps = stub_pip(script, monkeypatch, tmp_path / "v")
    install = sys.modules["install"]
    install.main(["demo"])
    monkeypatch.setattr(sys, "version", "3.99")
    install.main(["demo"])
    assert steps == ["making .venv", "pip install"] * 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"extras": ["demo"]}'])
def test_a_damaged_stamp_counts_as_none(script, monkeypatch, tmp_path, content: str) -> None:
    steps = stub_pip(script, monkeypatch, tmp_path / "v")
    (tmp_path / "v/bin").mkdir(parents=True)
    (tmp_path / "v/bin/python").touch()
    (tmp_path / "v/stamp.json").write_text(content)
    assert sys.modules["install"].main(["demo"]) == 0
    assert steps == ["making .venv", "pip install"]


def test_without_ensurepip_pip_comes_from_the_distribution(script, monkeypatch, tmp_path) -> None:
    steps = stub_pip(script, monkeypatch, tmp_path / "v")
    install = sys.modules["install"]
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(install, "pip_wheel", lambda: Path("pip-1-py3-none-any.whl"))
    install.main(["demo"])
    assert steps == ["making .venv", "pip", "pip install"]


def test_setup_names_the_extras_that_there_are(checkout: Path) -> None:
    done = setup(checkout, "dmeo")
    assert done.returncode == 4
    assert done.stderr == "setup: no extra named dmeo\n  hint: extras: demo\n"
    assert not (checkout / ".venv").exists()


def test_setup_without_a_python_says_so(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    done = setup(checkout, PATH=str(tmp_path / "bin"))
    assert done.returncode == 4
    assert "no Python 3.11 or newer" in done.stderr
    assert "DLCC_PYTHON" in done.stderr


def test_the_cache_is_in_the_checkout_where_home_cannot_be_written(script, monkeypatch) -> None:
    module = script("checkout")
    for name in ("DLCC_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    assert module.cache_folder() == ROOT / ".cache" / "dlcc"
    monkeypatch.setenv("DLCC_CACHE", "/elsewhere")
    assert module.cache_folder() == Path("/elsewhere")


EVERYTHING = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "25"]


def test_the_longest_files_are_there_and_come_first() -> None:
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []
    names = ["tests/test_names.py::a", f"{LONGEST[1]}::b", "tests/aot/test_pack.py::c",
             f"{LONGEST[0]}::d[x::y]", f"{LONGEST[1]}::e"]  # fmt: skip
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in names]
    pytest_collection_modifyitems(items)
    assert [item.nodeid[-1] for item in items] == ["]", "b", "e", "a", "c"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["pytest", "-m", "not slow", *EVERYTHING]),
        (["--slow"], ["pytest", *EVERYTHING]),
        (["-k", "cli"], ["pytest", "-m", "not slow", "-k", "cli"]),
        (["-m", "slow"], ["pytest", "-m", "slow"]),
    ],
)
def test_slow_tests_run_only_when_asked_for(
    script, monkeypatch, given: list[str], expected: list[str]
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert script("checks").pytest_command(given) == expected


def test_a_failed_check_ends_the_run_and_says_how_to_repeat_it(script, capsys) -> None:
    checks = script("checks")
    command = [sys.executable, "-c", "print('what is wrong'); exit(3)"]
    with pytest.raises(SystemExit) as left:
        checks.run("lies", command)
    assert left.value.code == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].split()[:2] == ["lies", "failed"]
    assert said[1:] == ["what is wrong", f"repeat with: {checks.repeat(command)}"]


def test_an_outside_corpus_is_one_more_check(script, monkeypatch) -> None:
    checks = script("checks")
    monkeypatch.delenv("DLCC_CORPUS", raising=False)
    assert "corpus" not in checks.checks()
    monkeypatch.setenv("DLCC_CORPUS", "/some/folder")
    assert checks.checks()["corpus"][1] == "/some/folder/run.py"


def test_the_images_of_the_zoo_differ_as_a_whole(script) -> None:
    """Their averages must differ, or global pooling makes all of them alike."""
    images = script("zoo").images(4, 64, np.random.default_rng(0))
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1
    assert images.mean(axis=(1, 2)).std(axis=0).min() > 0.05


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ([[0.5, np.nan], [0.5, 0.5]], "not finite"),
        ([[0.99, 0.01], [0.5, 0.5]], "saturated"),
        ([[0.6, 0.4], [0.6, 0.4]], "two images differ by 0.0% only"),
    ],
)
def test_a_reference_that_could_not_tell_is_refused(script, output, why: str) -> None:
    with pytest.raises(SystemExit, match=why):
        script("zoo").check_lively("net", np.asarray(output))


def test_parts_of_compiling_are_read_off_what_compile_says(script) -> None:
    said = "compiling m.pb for host\nimport    0.306 s\ncodegen   2.021 s\nwrote m.dlc (1.2 s)\n"
    assert script("bench_compile").parts(said) == {"import": 0.306, "codegen": 2.021}


def test_importing_is_measured_in_a_process_of_its_own(script, tmp_path: Path) -> None:
    bench = script("bench_import")
    row = bench.in_child(200, 0, tmp_path)
    assert row.nodes == 200
    assert set(row.parts_s) == {"load", "translate", "optimize"}
    assert row.peak_bytes >= row.start_bytes > 0
    asked = bench.verdicts([row], row)
    assert asked["time grows as nodes do"]
    assert len(asked) == 3


def test_the_list_of_ops_is_up_to_date(script) -> None:
    written = (ROOT / "docs" / "ops.md").read_text("utf-8")
    assert written == script("ops_doc").document(), "run scripts/ops_doc.py"
