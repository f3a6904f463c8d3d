"""Builders of other machines, through a Dask scheduler: `tcp://HOST:PORT`.

Each process of the cluster keeps a builder of its own for each of its threads, as this machine
does, so that a candidate that crashes or hangs ends that and not the cluster's process. Code comes
back to this process, which alone has it measured and writes records. Whoever reaches a Dask
scheduler can run code on its workers: it belongs on a trusted network.
"""

from __future__ import annotations

import importlib.metadata
import logging
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dlcc.targets.chips import Chip
from dlcc.targets.closing import Closing
from dlcc.targets.errors import DeviceError, ToolchainError, UsageError
from dlcc.tuning.workers.building import building
from dlcc.tuning.workers.jobs import Build, BuildSetup, Built, Failed
from dlcc.tuning.workers.process import Worker

log = logging.getLogger("dlcc")

CONNECT_LIMIT_S = 15.0
EMPTY_LIMIT_S = 120.0  # without any worker, before the cluster counts as lost
LOOK_EVERY_S = 2.0  # at whether the cluster is there
PACKAGES = ("dlcc", "apache-tvm", "apache-tvm-ffi")

_own = threading.local()  # in a process of the cluster: the builder of each thread


class ClusterBuilders(Closing):
    """The processes of a cluster as builders: each job runs on one that is free.

    A job whose process is killed runs again on another; one that takes several with it fails."""

    here = False

    def __init__(self, setup: BuildSetup, address: str) -> None:
        """Raises UsageError, ToolchainError where Dask is not installed, and DeviceError where no
        scheduler answers or its workers have other versions than this machine."""
        self._folder = Path(setup.folder)
        self.address = address
        self._client = connect(address)
        try:
            require_same_versions(self._client)
            self._setup = self._shared(setup)
        except BaseException:
            self._client.close()
            raise
        self._jobs: dict[Any, Build] = {}
        self._threads = 0
        self._looked_s = self._seen_s = time.monotonic()
        self._look()

    @property
    def capacity(self) -> int:
        """Threads of all processes; a job more than none waits for the first to come."""
        return max(1, self._threads)

    def submit(self, job: Build, limit_s: float) -> None:
        future = self._client.submit(perform, self._setup, job, limit_s, pure=False, retries=0)
        self._jobs[future] = job

    def answers(self) -> Iterator[tuple[Build, Built | Failed]]:
        """Raises DeviceError where the cluster is lost."""
        if time.monotonic() - self._looked_s > LOOK_EVERY_S:
            self._look()
        for future in [future for future in self._jobs if future.done()]:
            job = self._jobs.pop(future)
            yield job, self._answer(job, future)

    def talking(self) -> Iterable[Worker]:
        return ()

    def close(self) -> None:
        """Leave the cluster; its processes, and their builders, stay for the next."""
        if self._client.status == "running":
            self._client.cancel(list(self._jobs))
        self._client.close()

    def _shared(self, setup: BuildSetup) -> Any:
        """The model, as a job whose result all others take: where it is lost with a process, the
        cluster makes it again."""
        import dask

        model = Path(setup.module).read_bytes()
        about = setup.kind, setup.chip
        with dask.config.set({"admin.large-graph-warning-threshold": "1 TiB"}):
            return self._client.submit(Shared, uuid.uuid4().hex, *about, model, pure=False)

    def _look(self) -> None:
        """Whether the cluster is there, and how many can build."""
        now_s = self._looked_s = time.monotonic()
        if self._client.status != "running":
            raise _lost(self.address, "its scheduler is gone")
        try:
            rows = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError) as error:
            raise _lost(self.address, "its scheduler does not answer") from error
        self._threads = sum(int(row["nthreads"]) for row in rows.values())
        if rows:
            self._seen_s = now_s
        elif now_s - self._seen_s > EMPTY_LIMIT_S:
            raise _lost(self.address, f"it has had no worker for {EMPTY_LIMIT_S:.0f} s")

    def _answer(self, job: Build, future: Any) -> Built | Failed:
        if future.status == "cancelled":
            raise _lost(self.address, "it dropped a job")
        if future.status != "finished":
            return Failed(f"the cluster gave it up: {future.exception()}")
        code = future.result()
        if isinstance(code, Failed):
            return code
        path = self._folder / job.name
        path.write_bytes(code)
        return Built(str(path))


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


@dataclass(frozen=True, slots=True)
class Shared:
    """What all jobs of a session share.   kind, chip: as of `BuildSetup`. model: pickled."""

    session: str
    kind: str
    chip: Chip
    model: bytes


def perform(shared: Shared, job: Build, limit_s: float) -> bytes | Failed:
    """Build in a process of the cluster, by the worker of the thread: the content of the file."""
    import distributed

    if getattr(_own, "session", "") != shared.session:
        _leave()
        get_worker: Any = distributed.get_worker
        _own.folder = tempfile.mkdtemp(prefix="dlcc-tune-", dir=get_worker().local_directory)
        model = Path(_own.folder) / "model"
        model.write_bytes(shared.model)
        setup = BuildSetup(str(model), shared.kind, shared.chip, _own.folder)
        _own.worker = Worker(partial(building, setup))
        _own.session = shared.session
    made = _own.worker.ask(job, limit_s)
    if not isinstance(made, Built):
        assert isinstance(made, Failed)
        return made
    code = Path(made.path).read_bytes()
    Path(made.path).unlink()
    return code


def _leave() -> None:
    """End the builder of another session."""
    if getattr(_own, "session", ""):
        _own.session = ""
        _own.worker.close()
        shutil.rmtree(_own.folder)


def _lost(address: str, why: str) -> DeviceError:
    return DeviceError(
        f"{address} was lost: {why}",
        hint="start it again; the same command goes on where this one stopped",
    )
