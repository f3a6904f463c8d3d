"""A runtime in a process of its own, which times blocks of inferences when it is told to.

Threads of most runtimes spin for a while after an inference, and slow down whoever runs next by
up to a third. So each runtime has a process, only one of them works at a time, and a process
answers when its threads have come to rest.

The child writes a line of JSON when its model is loaded, {"difference": largest, as a fraction of
the largest output}, and then for each line `go SECONDS` {"times_s": of each inference of a block
that takes about so long, "cores": that it used, "others": that other work took}. It ends at the
end of its input.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import psutil
from checkout import environment
from peers import RUNTIMES, Runtime

from dlcc.targets.closing import Closing

LEAST_RUNS = 5  # of a block
FIRST_RUNS = 3  # to see how many make a block
REST_S = 0.05  # threads rest when they use less than a tenth of so long
LONGEST_SPIN_S = 5.0
LONGEST_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Block:
    """times_s: of each inference.   cores: that the runtime used, to see that it has the threads it
    was given.   others: cores that other processes and machines took."""

    times_s: Sequence[float]
    cores: float
    others: float


class WorkerError(Exception):
    """The child failed; the text is the last that it said."""


class Worker(Closing):
    """The parent's end. Use it in a `with` block.

    difference: of the runtime's result to the expected one, as a fraction of the largest."""

    def __init__(self, runtime: str, model: Path, data: Path, threads: int) -> None:
        """Starts the child and waits until its model is loaded; raises WorkerError."""
        command = [sys.executable, __file__, runtime, str(model), str(data), str(threads)]
        self._stack = ExitStack()
        # a file, for a pipe that nobody reads fills up
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  `close` closes it
        self._stack.callback(self._said.close)
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment(),
            text=True,
        )
        self._stack.callback(self._end)
        try:
            self.difference = float(json.loads(self._answer())["difference"])
        except BaseException:
            self.close()
            raise

    def block(self, seconds: float) -> Block:
        """A block of inferences that takes about `seconds`; raises WorkerError."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(f"go {seconds}\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        return Block(**json.loads(self._answer()))

    def close(self) -> None:
        """End the child. Closing twice is fine."""
        self._stack.close()

    def _end(self) -> None:
        try:
            self._child.communicate(timeout=LONGEST_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()

    def _answer(self) -> str:
        assert self._child.stdout is not None
        if line := self._child.stdout.readline():
            return line
        raise WorkerError(self._last_words())

    def _last_words(self) -> str:
        code = self._child.wait()
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {code}"


def come_to_rest() -> None:
    """Wait until no thread of this process works; raises RuntimeError where one goes on."""
    end_s = time.monotonic() + LONGEST_SPIN_S
    while time.monotonic() < end_s:
        before_s = time.process_time()
        time.sleep(REST_S)
        if time.process_time() - before_s < REST_S / 10:
            return
    raise RuntimeError(f"threads still work {LONGEST_SPIN_S:g} s after the last inference")


def watched(runtime: Runtime, count: int) -> Block:
    """Time inferences, and see what else the machine does meanwhile."""

    def elsewhere_s() -> float:
        busy = psutil.cpu_times()
        spent = (busy.user, busy.nice, busy.system, busy.irq, busy.softirq, busy.steal)
        return float(sum(spent)) - time.process_time()

    began_s, own_s, other_s = time.monotonic(), time.process_time(), elsewhere_s()
    times_s = runtime.seconds(count)
    own_s, other_s = time.process_time() - own_s, elsewhere_s() - other_s
    wall_s = time.monotonic() - began_s
    return Block(times_s, own_s / wall_s, max(0.0, other_s / wall_s))


def difference(said: np.ndarray, expected: np.ndarray) -> float:
    """The largest, as a fraction of the largest expected; infinite for another shape."""
    if said.shape != expected.shape:
        return float("inf")
    return float(np.abs(said - expected).max() / np.abs(expected).max())


def serve(runtime: Runtime, expected: np.ndarray, asked: IO[str], answers: IO[str]) -> None:
    """The child's end: compare once, then time a block for each line."""

    def answer(content: object) -> None:
        come_to_rest()
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    said = runtime.result()
    typical_s = statistics.median(runtime.seconds(FIRST_RUNS))
    answer({"difference": difference(said, expected)})
    for line in asked:
        word, seconds = line.split()
        assert word == "go", line
        block = watched(runtime, max(LEAST_RUNS, round(float(seconds) / typical_s)))
        typical_s = statistics.median(block.times_s)
        answer(dataclasses.asdict(block))


def main(args: Sequence[str]) -> int:
    name, model, data, threads = args
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a runtime prints is no answer
    arrays = np.load(data)
    runtime = RUNTIMES[name](Path(model), arrays["input"], int(threads))
    serve(runtime, arrays["output"], sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
