"""Workers of other machines, through a Dask scheduler: `tcp://HOST:PORT`.

Each process of the cluster keeps a worker of its own for each of its threads, as this machine does,
so that a candidate that crashes or hangs ends that and not the cluster's process. Candidates and
results go through this process, which alone writes records. Whoever reaches a Dask scheduler can
run code on its workers: it belongs on a trusted network.
"""

from __future__ import annotations

import importlib.metadata
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from dlcc.targets.closing import Closing
from dlcc.targets.errors import DeviceError, ToolchainError, UsageError
from dlcc.tuning.workers.pool import Job, Outcome, Workers

log = logging.getLogger("dlcc")

CONNECT_LIMIT_S = 15.0
EMPTY_LIMIT_S = 120.0  # without any worker, before the cluster counts as lost
POLL_S = 2.0
PACKAGES = ("dlcc", "apache-tvm", "apache-tvm-ffi")

_own = threading.local()  # in a process of the cluster: the worker of each thread


class ClusterWorkers(Closing):
    """The processes of a cluster as workers: each job runs on one that is free.

    A job whose process is killed runs again on another; one that takes several with it fails."""

    keeps_devices = False  # nobody knows where the next job runs, and others may want the device

    def __init__(self, address: str, most: int = 0) -> None:
        """most: jobs at once, 0: as many as the cluster takes. As many as there are devices, where
        jobs measure.

        Raises UsageError, ToolchainError where Dask is not installed, and DeviceError where no
        scheduler answers or its workers have other versions than this machine."""
        self._client = connect(address)
        self.address, self.most = address, most
        try:
            require_same_versions(self._client)
        except BaseException:
            self._client.close()
            raise

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run jobs; outcomes in their order. Raises DeviceError where the cluster is lost."""
        at_once = self.most or len(jobs) or 1
        done: dict[int, Outcome] = {}
        running: dict[Any, int] = {}
        todo = list(range(len(jobs)))[::-1]
        try:
            while len(done) < len(jobs):
                while todo and len(running) < at_once:
                    number = todo.pop()
                    running[self._submit(jobs[number])] = number
                for future in self._finished(list(running)):
                    done[running.pop(future)] = _outcome(future)
        finally:
            if running:
                self._client.cancel(list(running))
        return [done[number] for number in range(len(jobs))]

    def close(self) -> None:
        """Leave the cluster; its processes, and their workers, stay for the next."""
        self._client.close()

    def _submit(self, job: Job) -> Any:
        told = (job.name, dict(job.fields), list(job.pieces), job.limit_s)
        return self._client.submit(perform, *told, pure=False, retries=0)

    def _finished(self, futures: Sequence[Any]) -> list[Any]:
        """Wait until at least one is done."""
        end_s = time.monotonic() + EMPTY_LIMIT_S
        while True:
            found = [future for future in futures if future.done()]
            if found:
                return found
            self._wait(futures)
            if self._client.status != "running":
                raise _lost(self.address, "its scheduler is gone")
            if self._client.scheduler_info(n_workers=-1)["workers"]:
                end_s = time.monotonic() + EMPTY_LIMIT_S
            elif time.monotonic() > end_s:
                raise _lost(self.address, f"it has had no worker for {EMPTY_LIMIT_S:.0f} s")

    def _wait(self, futures: Sequence[Any]) -> None:
        import distributed

        wait: Any = distributed.wait
        try:
            with self._client.as_current():
                wait(futures, timeout=POLL_S, return_when="FIRST_COMPLETED")
        except TimeoutError:
            log.debug("the cluster is still at work")
        except CancelledError as error:
            raise _lost(self.address, "its scheduler was restarted") from error


def connect(address: str) -> Any:
    """Dask's client of a scheduler."""
    if not address.startswith(("tcp://", "tls://")):
        raise UsageError(
            f"{address!r} is no address of a cluster",
            hint="start one with `dask scheduler`, and name it as tcp://HOST:PORT",
        )
    try:
        import distributed
    except ImportError as error:
        raise ToolchainError(
            "a cluster needs Dask, which is not installed", hint="pip install 'dlcc[cluster]'"
        ) from error
    try:
        client: Any = distributed.Client
        return client(address, timeout=CONNECT_LIMIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DeviceError(
            f"no cluster at {address}: {lines[-1]}",
            hint="start it with `dask scheduler` there, and `dask worker` on each machine",
        ) from error


def require_same_versions(client: Any) -> None:
    """Raises DeviceError where a worker has other versions than this machine, or no dlcc."""
    here = versions()
    for name, there in client.run(versions, on_error="return").items():
        if there != here:
            told = there if isinstance(there, dict) else f"an error: {there}"
            raise DeviceError(
                f"the worker {name} of the cluster has {told} and not {here}",
                hint="install the same dlcc on every machine of the cluster",
            )


def versions() -> dict[str, str]:
    """Of what makes the code of a candidate."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def perform(
    name: str, fields: Mapping[str, Any], pieces: Sequence[bytes], limit_s: float
) -> tuple[dict[str, Any], list[bytes], str, str, str, float]:
    """Run a job in a process of the cluster, by the worker of the thread."""
    if not hasattr(_own, "workers"):
        _own.workers = Workers(1)
    (done,) = _own.workers.run([Job(name, fields, pieces, limit_s)])
    return (
        *(dict(done.fields), list(done.pieces), done.failed, done.error, done.hint),
        done.took_s,
    )


def _outcome(future: Any) -> Outcome:
    if future.status == "finished":
        fields, pieces, failed, error, hint, took_s = future.result()
        return Outcome(fields, pieces, failed, error, hint, took_s)
    if future.status == "cancelled":
        raise _lost("the cluster", "it dropped a job")
    error = future.exception()
    return Outcome(failed=f"the cluster gave it up: {error}", error=type(error).__name__)


def _lost(address: str, why: str) -> DeviceError:
    return DeviceError(
        f"{address} was lost: {why}",
        hint="start it again; the same command goes on where this one stopped",
    )
