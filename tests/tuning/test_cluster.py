"""A cluster of Dask processes: a real scheduler, real workers, one killed in the middle."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from dlcc.targets.errors import DeviceError, UsageError
from dlcc.targets.registry import find_chip, kind
from dlcc.targets.tuned import UNTUNED
from dlcc.tuning.cluster import ClusterWorkers
from dlcc.tuning.kernels import kernels_of
from dlcc.tuning.metaschedule.search import Effort
from dlcc.tuning.trials import KernelTrials, Place
from dlcc.tuning.workers.pool import Job, Workers
from tests.networks.small import conv_model

pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 120.0


@dataclass(frozen=True)
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """`dask scheduler …` or `dask worker …`."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=env, start_new_session=True, **quiet)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two workers with a thread each."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    at = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    scheduler = start("dask_scheduler", *at, "--no-show")
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
    options += ["--local-directory", str(tmp_path)]
    workers = [start("dask_worker", address, *options) for _ in range(2)]
    try:
        yield Cluster(address, scheduler, workers)
    finally:
        for process in (*workers, scheduler):
            running = process.poll() is None
            found = psutil.Process(process.pid).children(recursive=True) if running else []
            process.kill()
            process.wait()
            gone, alive = psutil.wait_procs(found, timeout=60)  # they see that they are alone
            assert (len(gone), alive) == (len(found), [])


def joined(cluster: Cluster, most: int = 0) -> ClusterWorkers:
    """Once both workers are there."""
    end_s = time.monotonic() + START_LIMIT_S
    while True:
        try:
            found = ClusterWorkers(cluster.address, most)
        except DeviceError:
            assert time.monotonic() < end_s
            continue
        found._client.wait_for_workers(2, timeout=START_LIMIT_S)
        return found


def build_jobs(count: int) -> list[Job]:
    """Builds of a kernel by our rules."""
    import tvm

    from dlcc.tuning.workers.jobs import chip_fields

    host = find_chip("host")
    kernel = kernels_of(kind("host").unscheduled(conv_model(), host, UNTUNED))[0]
    model = tvm.ir.save_json(kernel.alone()).encode()
    fields = {"chip": chip_fields(host), "trace": None, "key": kernel.key}
    return [Job("build", fields, (model,), 120.0)] * count


def test_trials_through_a_cluster(cluster: Cluster) -> None:
    """Built by the cluster, measured here."""
    host = find_chip("host")
    kernel = kernels_of(kind("host").unscheduled(conv_model(), host, UNTUNED))[0]
    effort = Effort(population=12, generations=1, threads=1)
    place = Place("local", 1, run_limit_s=120.0, build_limit_s=120.0)
    with joined(cluster) as builders, Workers(1) as runners:
        trials = KernelTrials(kernel, host, place, builders, runners, effort)
        rows = trials.batch(4)
    assert [row.verified for row in rows] == [True] * 4, [row.error for row in rows]


@pytest.mark.device("arm")
def test_a_cluster_measures_on_a_device(cluster: Cluster, arm_address: str) -> None:
    """Each job has a session of its own, since the next may run in another process."""
    arm = find_chip("arm")
    kernel = kernels_of(kind("arm").unscheduled(conv_model(), arm, UNTUNED))[0]
    effort = Effort(population=12, generations=1, threads=1)
    place = Place(arm_address, 1, run_limit_s=240.0, build_limit_s=240.0)
    with joined(cluster, most=1) as crew:
        rows = KernelTrials(kernel, arm, place, crew, crew, effort).batch(3)
    assert {row.reward for row in rows if row.cost} == {"instructions"}
    assert rows[0].verified is True, rows[0].error


def test_a_process_that_is_killed_in_the_middle_loses_nothing(cluster: Cluster) -> None:
    with joined(cluster) as crew:
        crew.run(build_jobs(2))  # so that workers are there
        victim = cluster.workers[0]
        timer = threading.Timer(1.0, victim.send_signal, (signal.SIGKILL,))
        timer.start()
        done = crew.run(build_jobs(12))
        timer.join()
        assert victim.wait(10) == -signal.SIGKILL
    assert [outcome.failed for outcome in done] == [""] * 12
    assert len({outcome.pieces[0] for outcome in done}) == 1


def test_a_failed_job_says_why(cluster: Cluster) -> None:
    with joined(cluster) as crew:
        (late, unknown) = crew.run(
            [Job("build", build_jobs(1)[0].fields, build_jobs(1)[0].pieces, 0.001), Job("no", {})]
        )
    assert late.error == "TimeLimit"
    assert "KeyError" in unknown.failed


def test_a_lost_cluster_is_an_error(cluster: Cluster) -> None:
    with joined(cluster) as crew:
        timer = threading.Timer(1.0, cluster.scheduler.send_signal, (signal.SIGKILL,))
        timer.start()
        with pytest.raises(DeviceError, match="lost"):
            crew.run(build_jobs(200))
        timer.join()


@pytest.mark.parametrize(
    ("address", "error"),
    [("127.0.0.1:8786", UsageError), ("tcp://127.0.0.1:9", DeviceError)],
)
def test_addresses_without_a_cluster(
    address: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlcc.tuning.cluster.CONNECT_LIMIT_S", 2.0)
    with pytest.raises(error):
        ClusterWorkers(address)
