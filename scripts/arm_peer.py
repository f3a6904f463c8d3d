"""Counts the instructions of one inference of a runtime, inside the emulated Arm device.

    python arm_peer.py litert mobilenet_v1.tflite mobilenet_v1.npz COUNTERS

Started by scripts/bench_arm.py. Writes one line of JSON: {"difference": of the result to the
expected one, as a fraction of the largest, "instructions": of one inference}.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
from pathlib import Path

import numpy as np
from peers import RUNTIMES, Runtime

INFERENCES = 1  # and twice as many: what is not theirs is the same in both, and falls out


class Counter:
    """The count that the emulator keeps in a file."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def read(self) -> int:
        return int(struct.unpack_from("<Q", self._memory)[0])


def instructions(runtime: Runtime, counter: Counter) -> float:
    """Of one inference: (count(2N) - count(N)) / N."""

    def counted(inferences: int) -> int:
        before = counter.read()
        for _ in range(inferences):
            runtime.result()
        return counter.read() - before

    return (counted(2 * INFERENCES) - counted(INFERENCES)) / INFERENCES


def main(args: list[str]) -> int:
    name, model, data, counters = args
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a runtime prints is no answer
    arrays = np.load(data)
    runtime = RUNTIMES[name](Path(model), arrays["input"], 1)
    said, expected = runtime.result(), arrays["output"]
    difference = float("inf")
    if said.shape == expected.shape:
        difference = float(np.abs(said - expected).max() / np.abs(expected).max())
    counted = instructions(runtime, Counter(Path(counters)))
    answer = {"difference": difference, "instructions": round(counted)}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
