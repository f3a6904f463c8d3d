"""Suites of measurements: what a file may say, what is measured again, what a failure leaves."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dlcc.compiler.bench.cells import Cell, cells
from dlcc.compiler.bench.jobs import Child, Job, JobError
from dlcc.compiler.bench.journal import Journal, Result
from dlcc.compiler.bench.run import run_suite
from dlcc.compiler.bench.suite import Suite, read_suite
from dlcc.compiler.bench.table import percentile, rows_of
from dlcc.compiler.cli.main import main
from dlcc.compiler.errors import BadRecords, UsageError

MODEL = """
node { name: "x" op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "shape" value { shape { dim { size: 2 } dim { size: 3 } } } } }
node { name: "y" op: "Neg" input: "x" attr { key: "T" value { type: DT_FLOAT } } }
"""
SUITE = """
runs = 3
threads = [1, 2]
[[model]]
path = "m.pbtxt"
[[target]]
target = "host"
"""


def written(folder: Path, text: str = SUITE) -> Path:
    (folder / "m.pbtxt").write_text(MODEL)
    (folder / "s.toml").write_text(text)
    return folder / "s.toml"


def suite_of(folder: Path, text: str = SUITE) -> Suite:
    return read_suite(written(folder, text))


def result(cell: Cell, *times_s: float, **more: Any) -> Result:
    return Result(cell.key, cell.name, "host", "local", times_s, **more)


class TestFile:
    def test_defaults(self, tmp_path: Path) -> None:
        suite = suite_of(tmp_path)
        (model,), (target,) = suite.models, suite.targets
        assert (model.name, model.path) == ("m", tmp_path / "m.pbtxt")
        assert (target.name, target.devices, suite.baseline) == ("host", (None,), "host")
        assert [cell.name for cell in cells(suite)] == ["m/host/default/1", "m/host/default/2"]
        assert suite.results == tmp_path / "s.results.jsonl"

    def test_all_that_can_be_said(self, tmp_path: Path) -> None:
        text = """
seed = 3
time_limit_s = 9
cell_limit_s = 90
baseline = "big@local"
[[model]]
name = "one"
path = "m.pbtxt"
inputs = { x = [2, 3] }
outputs = ["y"]
[[target]]
name = "big"
target = "host"
devices = ["local", "rpc://127.0.0.1:9"]
threads = 4
runtime = "aot"
fp16 = false
database = "none"
"""
        suite = suite_of(tmp_path, text)
        found = list(cells(suite))
        assert [c.name for c in found] == ["one/big/local/4", "one/big/rpc://127.0.0.1:9/4"]
        assert found[0].build == found[1].build
        assert found[0].key != found[1].key
        assert suite.models[0].inputs == {"x": (2, 3)}

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "there is no [[target]]"),
            ("[[target]]\ntarget = 'host'", "there is no [[model]]"),
            (SUITE + "devicess = ['local']", "unknown key 'devicess'|did you mean 'devices'"),
            ("rusn = 1" + SUITE, "unknown key 'rusn'|did you mean 'runs'"),
            (SUITE.replace("runs = 3", "runs = 0"), "runs is 0, it must be a number from 1 on"),
            (SUITE.replace("[1, 2]", '["1"]'), "threads is ['1'], it must be"),
            (SUITE.replace('"m.pbtxt"', '"n.pbtxt"'), "there is no"),
            (SUITE.replace('path = "m.pbtxt"', "name = 'a'"), "path is missing"),
            (SUITE + "name = 'a/b'", "without / and @"),
            (SUITE + "[[target]]\ntarget = 'host'", "two of [[target]] are named 'host'"),
            ("baseline = 'hsot'" + SUITE, "no target is the baseline 'hsot'|did you mean 'host'"),
            ("baseline = 'host@local'" + SUITE, "no target is the baseline"),
            ("model = 3\n[[target]]\ntarget = 'host'", "model is 3, it must be tables"),
            (SUITE + "devices = []", "devices is [], it must be a list of texts"),
            ("x = ", "is no TOML file"),
        ],
    )
    def test_what_cannot_be_meant(self, text: str, words: str, tmp_path: Path) -> None:
        path = written(tmp_path, text)
        with pytest.raises(UsageError) as caught:
            read_suite(path)
        what, _, hint = words.partition("|")
        assert what in caught.value.what
        assert hint in caught.value.hint
        assert caught.value.hint

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            read_suite(tmp_path / "none.toml")


class TestKeys:
    def keys(self, folder: Path, text: str = SUITE) -> list[str]:
        from dlcc.compiler.bench.cells import content_digest

        content_digest.cache_clear()
        return [cell.key for cell in cells(suite_of(folder, text))]

    def test_the_same_again(self, tmp_path: Path) -> None:
        assert self.keys(tmp_path) == self.keys(tmp_path)

    @pytest.mark.parametrize(
        "text",
        [
            SUITE.replace("runs = 3", "runs = 4"),
            SUITE + "runtime = 'aot'",
            SUITE + "database = 'none'",
            SUITE.replace('path = "m.pbtxt"', 'path = "m.pbtxt"\noutputs = ["y"]'),
            "seed = 1" + SUITE,
        ],
    )
    def test_what_a_result_depends_on(self, text: str, tmp_path: Path) -> None:
        assert not set(self.keys(tmp_path)) & set(self.keys(tmp_path, text))

    def test_the_content_of_the_model(self, tmp_path: Path, monkeypatch: Any) -> None:
        before = self.keys(tmp_path)
        monkeypatch.setattr(sys.modules[__name__], "MODEL", MODEL.replace("Neg", "Abs"))
        assert not set(before) & set(self.keys(tmp_path))

    def test_names_are_not(self, tmp_path: Path) -> None:
        """A target may be renamed, or a suite get more of them, without measuring again."""
        assert self.keys(tmp_path) == self.keys(tmp_path, SUITE + "name = 'other'")


class TestJournal:
    def test_a_line_that_a_crash_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "r.jsonl"
        first, second = (Result(key, "c", "host", "local", (0.5,)) for key in "ab")
        with Journal(path) as journal:
            journal.add(first)
        with path.open("ab") as file:
            file.write(b'{"format": 1, "key": "hal')
        with Journal(path) as journal:
            assert journal.results == {"a": first}
            journal.add(second)
        with Journal(path) as journal:
            assert journal.results == {"a": first, "b": second}

    @pytest.mark.parametrize("line", ["{}", "3", "no JSON", '{"format": 9}'])
    def test_a_file_of_something_else(self, line: str, tmp_path: Path) -> None:
        (tmp_path / "r.jsonl").write_text(line + "\n")
        with pytest.raises(BadRecords, match="line 1") as caught:
            Journal(tmp_path / "r.jsonl")
        assert "-o" in caught.value.hint

    def test_one_writer(self, tmp_path: Path) -> None:
        with Journal(tmp_path / "r.jsonl"), pytest.raises(UsageError, match="another"):
            Journal(tmp_path / "r.jsonl")
        Journal(tmp_path / "r.jsonl").close()

    def test_a_child_of_a_killed_writer_is_waited_for(self, tmp_path: Path) -> None:
        """It has the lock until it runs a program of its own."""
        file = os.open(tmp_path / "r.jsonl", os.O_RDWR | os.O_CREAT)
        fcntl.flock(file, fcntl.LOCK_EX)
        with subprocess.Popen(["sleep", "0.5"], pass_fds=[file]) as child:
            os.close(file)
            assert child.poll() is None
            Journal(tmp_path / "r.jsonl").close()

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be opened"):
            Journal(tmp_path)


class TestRows:
    TWO = SUITE + "[[target]]\nname = 'b'\ntarget = 'host'\nruntime = 'aot'\n"

    def rows(self, folder: Path, text: str, *times_s: float) -> list[Any]:
        suite = suite_of(folder, text)
        found = list(cells(suite))
        results = {c.key: result(c, t) for c, t in zip(found, times_s, strict=False)}
        return [(r.target, r.threads, r.ratio, r.state) for r in rows_of(suite, found, results)]

    def test_ratios_are_of_the_same_threads(self, tmp_path: Path) -> None:
        assert self.rows(tmp_path, self.TWO, 4, 2, 6, 1) == [
            ("host", 1, 1, "measured"),
            ("host", 2, 1, "measured"),
            ("b", 1, 1.5, "measured"),
            ("b", 2, 0.5, "measured"),
        ]

    def test_what_is_not_measured_yet(self, tmp_path: Path) -> None:
        rows = self.rows(tmp_path, "baseline = 'b'" + self.TWO, 4, 2)
        assert [row[2:] for row in rows] == [(None, "measured")] * 2 + [(None, "to do")] * 2

    def test_counts(self, tmp_path: Path) -> None:
        suite = suite_of(tmp_path, self.TWO)
        found = list(cells(suite))
        counts = [{"packets": 10}, {"packets": 10}, {"packets": 25}, {"instructions": 5}]
        results = {c.key: result(c, counts=count) for c, count in zip(found, counts, strict=True)}
        assert [row.ratio for row in rows_of(suite, found, results)] == [1, 1, 2.5, None]

    def test_percentiles(self) -> None:
        times_s = [float(n) for n in range(1, 101)]
        assert (percentile(times_s, 95), percentile(times_s, 99)) == (95.0, 99.0)
        assert percentile([7.0], 95) == 7.0


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a suite that has run once: one cell with a result, one that fails."""
    folder = tmp_path_factory.mktemp("suite")
    text = SUITE.replace("threads = [1, 2]", "threads = 1")
    text += "[[target]]\nname = 'broken'\ntarget = 'host'\ndevices = ['rpc://127.0.0.1:9']\n"
    path = written(folder, text)
    assert main(["bench", "-q", str(path), "--csv", str(folder / "r.csv")]) == 1
    return path


class TestRun:
    def test_a_failing_cell_is_a_row(self, measured: Path) -> None:
        good, bad = run_suite(read_suite(measured), dry=True)
        assert (good.state, good.device, good.runs, good.ratio) == ("measured", "local", 3, 1)
        assert bad.state == "failed"
        assert "127.0.0.1:9" in str(bad.error)
        assert bad.hint
        with (measured.parent / "r.csv").open(newline="") as file:
            first, second = csv.DictReader(file)
        assert (first["median_s"], second["state"]) == (str(good.median_s), "failed")

    def test_only_what_has_no_result_is_measured_again(self, measured: Path) -> None:
        path = read_suite(measured).results
        before = path.read_text().splitlines()
        (row,) = run_suite(read_suite(measured), only=["host"])
        assert row.state == "measured"
        assert path.read_text().splitlines() == before
        assert [json.loads(line)["error"] == "" for line in before] == [True, False]

    def test_compiled_models_are_kept(self, measured: Path) -> None:
        """Two targets that are the same are one container."""
        assert len(list(read_suite(measured).cache.glob("*.dlc"))) == 1

    def test_a_dry_run_writes_nothing(self, tmp_path: Path) -> None:
        suite = suite_of(tmp_path)
        assert [row.state for row in run_suite(suite, dry=True)] == ["to do", "to do"]
        assert {p.name for p in tmp_path.iterdir()} == {"m.pbtxt", "s.toml"}

    def test_no_cell_of_that_name(self, measured: Path) -> None:
        with pytest.raises(UsageError, match="no cell fits --only hsot") as caught:
            run_suite(read_suite(measured), only=["hsot"])
        assert "host" in caught.value.hint

    def test_a_kill_loses_the_cell_under_way(self, measured: Path, tmp_path: Path) -> None:
        """Killed as soon as the first result is there, which counts."""
        path = written(tmp_path)
        shutil.copytree(read_suite(measured).cache, path.with_suffix(".cache"))
        results = path.with_suffix(".results.jsonl")
        command = [sys.executable, "-m", "dlcc.compiler.cli", "bench", "-q", str(path)]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while running.poll() is None and not (results.exists() and results.read_bytes()):
                time.sleep(0.005)
        finally:
            running.send_signal(signal.SIGKILL)
            running.wait()
        with Journal(results) as journal:
            assert len(journal.results) >= 1
            first = next(iter(journal.results.values()))
        rows = run_suite(read_suite(path))
        assert [row.state for row in rows] == ["measured", "measured"]
        with Journal(results) as journal:
            assert journal.results[first.key] == first


class TestChild:
    def test_a_child_that_crashes(self, tmp_path: Path) -> None:
        """It ends with a word on stderr and no answer."""
        with Child(Job("measure", str(tmp_path / "m.dlc"))) as child:
            os.kill(child._child.pid, signal.SIGSEGV)
            with pytest.raises(JobError, match="SIGSEGV"):
                child.answer(60)

    def test_a_child_that_is_late(self, tmp_path: Path) -> None:
        with Child(Job("load", str(tmp_path / "m.dlc"))) as child:
            os.kill(child._child.pid, signal.SIGSTOP)
            with pytest.raises(JobError, match=r"no answer in 0.01 s") as caught:
                child.answer(0.01)
        assert caught.value.exit_code == 5

    def test_a_job_that_cannot_be_done(self, tmp_path: Path) -> None:
        job = Job("measure", str(tmp_path / "none.dlc"))
        with Child(job) as child, pytest.raises(JobError, match=r"none\.dlc") as caught:
            child.answer(60)
        assert caught.value.exit_code == 3


class TestSessions:
    def test_two_at_once(self, measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (container,) = read_suite(measured).cache.glob("*.dlc")
        arguments = ["bench", str(container), "--sessions", "2", "--seconds", "0.2", "--json"]
        assert main(["-q", *arguments]) == 0
        one, two = json.loads(capsys.readouterr().out)
        assert (one["sessions"], one["speed_up"], two["sessions"]) == (1, None, 2)
        assert two["speed_up"] == pytest.approx(two["per_second"] / one["per_second"])
        for row in (one, two):
            assert row["inferences"] >= row["sessions"]
            assert 0 < row["min_s"] <= row["median_s"] <= row["p95_s"] <= row["p99_s"]

    @pytest.mark.device("hexagon")
    def test_a_device_that_counts(self, tmp_path: Path, capsys: Any) -> None:
        written(tmp_path)
        made = tmp_path / "m.dlc"
        model = str(tmp_path / "m.pbtxt")
        assert main(["compile", "-q", model, "-t", "hexagon", "-o", str(made)]) == 0
        capsys.readouterr()
        assert main(["bench", "-q", str(made), "--sessions", "2"]) == 2
        assert "counts events" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--only", "a"], "--only is for suites"),
            (["--dry-run"], "--dry-run is for suites"),
        ],
    )
    def test_options_of_the_other_kind(
        self, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["bench", "m.dlc", *arguments]) == 2
        assert words in capsys.readouterr().err
        assert main(["bench", "s.toml", "--sessions", "2"]) == 2
        assert "--sessions is for containers" in capsys.readouterr().err
