"""`dlcc tune --cluster`: a real scheduler, real workers, one killed in the middle."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from dlcc.compiler.cli.main import main
from dlcc.targets.rpc.serve import start_server, start_tracker_process
from dlcc.tuning.database import RECORDS, read
from dlcc.tuning.report.page import REPORT
from dlcc.tuning.workers import cluster as dask_cluster
from dlcc.tuning.workers.building import Builder
from dlcc.tuning.workers.cluster import ClusterBuilders
from dlcc.tuning.workers.jobs import Build, BuildSetup, Built, Failed
from tests.cli.test_cli_tune import MODEL
from tests.tuning.nets import HOST, one_product, trials_in
from tests.tuning.test_report import Page

distributed = pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 120.0


@dataclass
class Cluster:
    """A scheduler and its workers, with a thread each."""

    folder: Path
    port: int
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_workers(self, count: int) -> None:
        """Until so many are there."""
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        options += ["--local-directory", str(self.folder)]
        self.workers = [w for w in self.workers if w.poll() is None]
        while len(self.workers) < count:
            self.workers.append(start("dask_worker", self.address, *options))
        with distributed.Client(self.address, timeout=START_LIMIT_S, set_as_default=False) as c:
            c.wait_for_workers(count, timeout=START_LIMIT_S)


def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """`dask scheduler …` or `dask worker …`."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", f"distributed.cli.{name}", *arguments]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=env, start_new_session=True, **quiet)


def start_scheduler() -> tuple[int, subprocess.Popen[bytes]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    at = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
    return port, start("dask_scheduler", *at)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers; a test that kills one starts another."""
    made = Cluster(tmp_path_factory.mktemp("dask"), *start_scheduler())
    try:
        made.start_workers(2)
        yield made
    finally:
        for process in (*made.workers, made.scheduler):
            running = process.poll() is None
            found = psutil.Process(process.pid).children(recursive=True) if running else []
            process.kill()
            process.wait()
            gone, alive = psutil.wait_procs(found, timeout=60)  # they see that they are alone
            assert (len(gone), alive) == (len(found), [])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.pbtxt"
    path.write_text(MODEL)
    return path


def tune(model: Path, address: str, *options: str) -> int:
    database = str(model.parent / "db")
    command = ["tune", str(model), "--cluster", address, "--threads", "1", "--json"]
    return main([*command, "--database", database, *options])


def test_a_process_that_is_killed_in_the_middle_loses_nothing(
    cluster: Cluster, model: Path, capsys: Any
) -> None:
    """Built by the cluster, measured here."""
    folder = model.parent / "db"
    children: list[psutil.Process] = []
    victims = []

    def trouble() -> None:
        while not (folder / RECORDS).exists() or len(list(read(folder))) < 4:
            time.sleep(0.05)
        for worker in cluster.workers:  # one that has built
            if found := psutil.Process(worker.pid).children(recursive=True):
                children.extend(found)
                victims.append(worker)
                worker.send_signal(signal.SIGKILL)
                return

    thread = threading.Thread(target=trouble)
    thread.start()
    assert tune(model, cluster.address, "--trials", "10") == 0
    thread.join()
    (victim,) = victims
    assert victim.wait(10) == -signal.SIGKILL
    outcome = json.loads(capsys.readouterr().out)
    assert (outcome["trials"], outcome["failed"]) == (10, 0)
    assert len(trials_in(folder)) == 10
    assert psutil.wait_procs(children, timeout=30)[1] == []
    (shown,) = (t for t in Page((folder / REPORT).read_text("utf-8")).tables if "device" in t[0])
    assert shown[1][:4] == ["local", "9", "0", "0"]
    cluster.start_workers(2)


def test_built_by_a_cluster_measured_by_a_trackers_devices(cluster: Cluster, model: Path) -> None:
    tracker = start_tracker_process("127.0.0.1", 0)
    where = f"127.0.0.1:{tracker.port}"
    options = ["--host", "127.0.0.1", "--port", "0", "--tracker", where, "--key", "here"]
    devices = [start_server(options) for _ in range(2)]
    try:
        assert tune(model, cluster.address, "--trials", "5", "--device", f"rpc://{where}/here") == 0
    finally:
        for server in (*devices, tracker):
            server.stop()
    records = trials_in(model.parent / "db")
    assert len(records) == 5
    assert {(r.device, r.verified) for r in records} == {("rpc", True)}


def setup_in(folder: Path, kind: str = "tests.tuning.odd_kind") -> BuildSetup:
    (folder / "model").write_bytes(pickle.dumps(one_product()))
    return BuildSetup(str(folder / "model"), kind, HOST, str(folder))


def answered(builders: ClusterBuilders, jobs: list[Build], limit_s: float) -> dict[str, object]:
    for job in jobs:
        builders.submit(job, limit_s)
    found: dict[str, object] = {}
    while len(found) < len(jobs):
        found |= {job.name: answer for job, answer in builders.answers()}
        time.sleep(0.05)
    return found


def test_what_goes_wrong_in_a_build_says_why(cluster: Cluster, tmp_path: Path) -> None:
    """And what goes right is what this machine would have built."""
    work = "matmul m32 k64 n48 float32 packed"
    jobs = [Build({work: {"odd": odd}}, False, odd) for odd in ("refused", "crash")]
    with ClusterBuilders(setup_in(tmp_path), cluster.address) as builders:
        assert builders.capacity == 2
        found = answered(builders, [*jobs, Build({}, False, "good")], 60.0)
        (late,) = answered(builders, [Build({work: {"odd": "hang"}}, False, "late")], 2.0).values()
    assert found["refused"] == Failed("ValueError: this schedule cannot be")
    assert found["crash"] == Failed("it crashed: SIGSEGV")
    assert late == Failed("it took more than its time limit")
    assert found["good"] == Built(str(tmp_path / "good"))
    Builder(setup_in(tmp_path)).do(Build({}, False, "here"))
    there, here = (pickle.loads((tmp_path / name).read_bytes()) for name in ("good", "here"))
    assert there.files.keys() == here.files.keys()
    np.testing.assert_array_equal(there.weights, here.weights)


def test_a_cluster_with_another_dlcc_is_refused(
    cluster: Cluster, model: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(dask_cluster, "PACKAGES", ("dlcc",))
    assert tune(model, cluster.address) == 5
    assert "install the same dlcc on every machine" in capsys.readouterr().err


def test_a_lost_scheduler_ends_the_session(model: Path, capsys: Any) -> None:
    """Without any worker yet; nothing of it is a choice's fault."""
    port, scheduler = start_scheduler()
    address = f"tcp://127.0.0.1:{port}"
    with distributed.Client(address, timeout=START_LIMIT_S, set_as_default=False):
        pass

    def trouble() -> None:
        while not (model.parent / "db" / RECORDS).exists():
            time.sleep(0.05)
        scheduler.kill()

    thread = threading.Thread(target=trouble)
    thread.start()
    assert tune(model, address) == 5
    thread.join()
    scheduler.wait()
    assert "the same command goes on where this one stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [("127.0.0.1:8786", 2, "tcp://HOST:PORT"), ("tcp://127.0.0.1:9", 5, "`dask scheduler` there")],
)
def test_addresses_without_a_cluster(
    model: Path,
    address: str,
    code: int,
    said: str,
    capsys: Any,
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_LIMIT_S", 2.0)
    assert tune(model, address) == code
    assert said in capsys.readouterr().err
    assert not (model.parent / "db" / RECORDS).exists()


def test_without_dask_there_is_a_hint(model: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert tune(model, "tcp://127.0.0.1:8786") == 4
    assert "pip install 'dlcc[cluster]'" in capsys.readouterr().err
