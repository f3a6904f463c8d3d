"""What is measured in a process of its own: a model that crashes or hangs costs its cell alone."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any

from dlcc.compiler.errors import DlccError
from dlcc.targets.closing import Closing

MODULE = "dlcc.compiler.bench.child"
SAID_BYTES = 4000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Job:
    """What a child does with a container, or with a model that it compiles into one.

    do: "compile" model -> container; "measure" it `runs` times; "load": run it as often as it can
        until it is told to end.   feeds: files as of `--input`.   place: as of `Container.session`.
    how: as of `compile`."""

    do: str
    container: str
    model: str = ""
    how: Mapping[str, Any] | None = None
    signature: str | None = None
    place: tuple[str | None, str | None, int | None, float] = (None, None, None, 60.0)
    feeds: tuple[str, ...] = ()
    raw_dtype: str | None = None
    seed: int = 0
    runs: int = 0


class JobError(DlccError):
    """What a child's job ended with; the exit code is the one that the job's error has."""

    def __init__(self, what: str, hint: str, exit_code: int) -> None:
        super().__init__(what, hint=hint)
        self.exit_code = exit_code


class Child(Closing):
    """A process that does one job and answers by lines of JSON. It ends with this process, however
    that ends."""

    def __init__(self, job: Job) -> None:
        parent = os.getpid()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self._child = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C is for this process, which ends it in order
            preexec_fn=lambda: _die_with(parent),
        )
        self._rest = b""
        self.tell(asdict(job))

    def tell(self, what: Mapping[str, Any]) -> None:
        """Say something to it; of a child that has ended, `answer` tells why."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(what).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            return

    def answer(self, limit_s: float) -> dict[str, Any]:
        """Its next answer.   Raises JobError for what it ends with, and where it is late."""
        line = self._line(limit_s)
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise JobError(told["error"], told["hint"], told["exit_code"])
        return told

    def close(self) -> None:
        """End it. Closing twice is fine."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._said):
            if pipe is not None:
                pipe.close()

    def _line(self, limit_s: float) -> bytes:
        assert self._child.stdout is not None
        end_s = time.monotonic() + limit_s
        while b"\n" not in self._rest:
            left_s = end_s - time.monotonic()
            ready, _, _ = select.select([self._child.stdout], [], [], max(0.0, left_s))
            if not ready:
                raise JobError(
                    f"no answer in {limit_s:g} s", "raise cell_limit_s, or leave the cell out", 5
                )
            part = os.read(self._child.stdout.fileno(), 1 << 16)
            if not part:
                raise self._ended()
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _ended(self) -> JobError:
        status = self._child.wait()
        how = f"status {status}" if status >= 0 else signal.Signals(-status).name
        said = os.pread(self._said.fileno(), SAID_BYTES, max(0, self._size() - SAID_BYTES))
        lines = said.decode("utf-8", "replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        return JobError(f"the process ended by itself ({how}){last}", "run it by itself", 70)

    def _size(self) -> int:
        return os.fstat(self._said.fileno()).st_size


def _die_with(parent: int) -> None:
    """Between fork and exec: die with the parent."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
