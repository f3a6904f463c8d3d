"""`dlcc tune` as a process: what it says, its exit codes, and what kills it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from dlcc.compiler import compile, open_container
from dlcc.targets import registry
from dlcc.targets.kernels import kernels_in
from dlcc.tuning.database import RECORDS, read, writing

MODEL = """
node { name: "x" op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "shape" value { shape { dim { size: 32 } dim { size: 64 } } } } }
node { name: "w" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT
    tensor_shape { dim { size: 64 } dim { size: 48 } } float_val: 0.5 } } } }
node { name: "y" op: "MatMul" input: "x" input: "w" attr { key: "T" value { type: DT_FLOAT } } }
"""
ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tune") / "net.pbtxt"
    path.write_text(MODEL)
    return path


@pytest.fixture(scope="module")
def tuned(model: Path) -> Path:
    """A database of some trials."""
    database = model.parent / "tuned"
    assert finished(tune(model, "--trials", "12", "--database", str(database)))[0] == 0
    return database


def tune(model: Path, *options: str, **more) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dlcc.compiler.cli", "tune", str(model), "--threads", "1"]
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        cwd=model.parent,
        **more,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def pairs(database: Path) -> list[tuple[str, str]]:
    found = [r for r in read(database) if not r.final]
    return [(r.workload, json.dumps(r.choice, sort_keys=True)) for r in found]


def test_rows_on_stdout_and_talk_on_stderr(model: Path) -> None:
    code, out, err = finished(tune(model, "--trials", "6", "--json"))
    assert code == 0, err
    said = json.loads(out)
    assert said["trials"] == 6
    assert said["reward"] == "seconds"
    assert said["tasks"][0]["workload"] == "matmul m32 k64 n48 float32 packed"
    assert "records are kept in net.tuning" in err
    assert "`dlcc compile --database net.tuning` uses the records" in err
    code, out, err = finished(tune(model, "--trials", "6"))
    assert code == 0
    assert "continuing: 6 trials" in err
    assert "matmul m32 k64 n48" in out


def test_killed_at_random_moments(model: Path, tmp_path: Path) -> None:
    killed_again_and_again(model, tmp_path / "db", trials=16, kills=4, longest_s=6.0)


@pytest.mark.slow
def test_a_network_killed_at_random_moments(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "zoo.py"
    make = [sys.executable, str(script), "mobilenet_v2", "--out", str(tmp_path)]
    subprocess.run(make, check=True, capture_output=True)
    network = tmp_path / "mobilenet_v2.pb"
    killed_again_and_again(network, tmp_path / "db", trials=200, kills=5, longest_s=40.0)


def killed_again_and_again(
    model: Path, database: Path, trials: int, kills: int, longest_s: float
) -> None:
    """The same command reaches the same number of trials, and no record is lost or there twice."""
    rng = random.Random(6)
    before: list[tuple[str, str]] = []
    for _ in range(kills):
        process = tune(model, "--trials", str(trials), "--database", str(database))
        wait_for(database.is_dir)
        time.sleep(rng.uniform(0.0, longest_s))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (database / RECORDS).exists():
            now = pairs(database)
            assert now[: len(before)] == before, "a record was lost"
            before = now
    code, _, err = finished(tune(model, "--trials", str(trials), "--database", str(database)))
    assert code == 0, err
    found = pairs(database)
    assert found[: len(before)] == before
    assert len(found) == len(set(found)) == trials
    assert any(r.final for r in read(database))


def wait_for(happened: Callable[[], bool], limit_s: float = 300.0) -> None:
    end_s = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.05)


def test_ctrl_c_loses_nothing_and_says_how_to_go_on(model: Path, tmp_path: Path) -> None:
    database = tmp_path / "db"
    process = tune(model, "--database", str(database))
    wait_for(lambda: (database / RECORDS).exists() and len(pairs(database)) > 1)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    code, _, err = finished(process)
    assert code == 130
    assert "nothing is lost" in err
    assert "the same command goes on from there" in err
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    assert len(pairs(database)) == len(set(pairs(database)))


def test_a_killed_session_leaves_no_process(model: Path, tmp_path: Path) -> None:
    process = tune(model, "--database", str(tmp_path / "db"))
    wait_for(lambda: bool(psutil.Process(process.pid).children()))
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_a_full_disk(model: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it: the batch that does not fit is not there."""
    database = tmp_path / "db"
    options = ("--trials", "14", "--database", str(database))
    assert finished(tune(model, "--trials", "3", "--database", str(database)))[0] == 0
    before = pairs(database)
    script = (
        "import resource, signal, sys\n"
        "from dlcc.tuning import database\n"
        "plain = database.Database.append\n"
        "def append(self, records):\n"
        "    size = (self.folder / 'records.jsonl').stat().st_size\n"
        "    limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))\n"
        "    try: plain(self, records)\n"
        "    finally: resource.setrlimit(resource.RLIMIT_FSIZE, limits)\n"
        "database.Database.append = append\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from dlcc.compiler.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", script, "tune", str(model), "--threads", "1", *options]
    full = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=600)
    assert full.returncode == 2, full.stderr
    assert "cannot add records" in full.stderr
    assert "give the same command again" in full.stderr
    assert pairs(database) == before
    code, _, err = finished(tune(model, *options))
    assert code == 0, err
    assert len(pairs(database)) == 14


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["-t", "abacus"], 2, "no target named 'abacus'"),
        (["-t", "host,arm"], 2, "names several targets"),
        (["--trials", "0"], 2, "0 is not in the range"),
        (["--trials", "5", "--hours", "1"], 2, "both say when to stop"),
        (["--hours", "-1"], 2, "is not in the range"),
        (["--device", "rpc://127.0.0.1:1"], 5, "127.0.0.1:1"),
        (["--device", "emulator"], 5, "no emulator of this machine"),
        (["--device", "somewhere"], 2, "is no address"),
        (["--database", "{model}"], 2, "is a file"),
        (["--database", "/proc/db"], 2, "cannot make the folder"),
        (["--input", "nope=1,2"], 2, "nope"),
    ],
)
def test_bad_input(
    dlcc: Callable[..., Any],
    model: Path,
    tmp_path: Path,
    options: list[str],
    code: int,
    said: str,
) -> None:
    given = [o.replace("{model}", str(model)) for o in options]
    if "--database" not in given:
        given += ["--database", str(tmp_path / "db")]
    got, out, err = dlcc("tune", model, "--threads", "1", *given)
    assert got == code, err
    assert said in err
    assert out == ""


def test_open_shapes_are_asked_for(dlcc: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "open.pbtxt"
    path.write_text(MODEL.replace("dim { size: 32 }", "dim { size: -1 }"))
    code, _, err = dlcc("tune", path, "--threads", "1")
    assert code == 3
    assert "--input x=N,64" in err


def decided(tuned: Path, folder: Path) -> Path:
    """The records of a session, with a decision for one choice."""
    records = list(read(tuned))
    trial = next(r for r in records if r.usable and r.choice)
    with writing(folder) as database:
        database.append([*records, trial._replace(final=True, session="b", cost=trial.cost / 9)])
    return folder


def test_compile_uses_the_records(
    model: Path, tuned: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = decided(tuned, tmp_path / "db")
    caplog.set_level("INFO", "dlcc")
    path = compile(str(model), "host", database=database).save(tmp_path / "net.dlc")
    count = len(list(read(database)))
    assert f"host: {count} records apply, with choices for 1 kernels" in caplog.text
    container = open_container(path)
    assert container.manifest.options["tuned"] == "host 1"
    (kernel,) = (k for k in kernels_in(container.artifact(container.targets[0])).values())
    assert kernel.knobs == next(r.choice for r in read(database) if r.session == "b")
    with container.session() as session:
        found = session.run({"x": np.ones((32, 64), "float32")})["y"]
    np.testing.assert_allclose(found, np.full((32, 48), 32.0))
    plain = compile(str(model), "host").save(tmp_path / "plain.dlc")
    assert "tuned" not in open_container(plain).manifest.options


def test_records_of_other_rules_are_stale(
    model: Path, tuned: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from dataclasses import replace

    from dlcc.targets import host

    newer = replace(host.KIND, schedules=host.KIND.schedules + 1)
    monkeypatch.setattr(host, "KIND", newer)
    assert registry.kind("host") is newer
    caplog.set_level("INFO", "dlcc")
    made = compile(str(model), "host", database=tuned)
    assert "stale records, made with rules" in caplog.text
    assert "tuned" not in made.manifest.options


def test_without_a_database_there_is_an_error(model: Path, tmp_path: Path) -> None:
    from dlcc.compiler.errors import UsageError

    with pytest.raises(UsageError):
        compile(str(model), "host", database=tmp_path / "nothing")
