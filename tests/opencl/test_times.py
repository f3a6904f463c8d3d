"""TVM's timer and profiles of a device."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest

from tests.opencl import raw

pytestmark = pytest.mark.device("opencl")

LOOP = """\
// Function: work
__kernel void work(__global float* x, int n) {
  float a = x[0];
  for (int i = 0; i < n; ++i) a = a * 0.999f + 1.0f;
  x[0] = a;
}
"""


def call(name: str, *given: Any) -> Any:
    import tvm_ffi

    return tvm_ffi.get_global_func(f"dlcc.opencl.{name}")(*given)


def worker(opencl: Any) -> Any:
    """Call it with a number of steps, whose time is that of the kernel."""
    import tvm

    kernel = raw.module(LOOP, {"work": [raw.POINTER, raw.INT32]})["work"]
    x = tvm.runtime.tensor(np.zeros(1, "float32"), opencl)

    def work(steps: int) -> None:
        kernel(raw.pointer(x), steps, 1, 1)

    work(1)
    return work


def test_a_profile_has_every_command_in_order(opencl: Any) -> None:
    import tvm

    work = worker(opencl)
    call("profile_start", 0)
    x = tvm.runtime.tensor(np.zeros(100, "float32"), opencl)
    work(1000)
    y = tvm.runtime.empty((100,), "float32", opencl)
    x.copyto(y)
    work(1_000_000)
    y.numpy()
    rows = json.loads(call("profile_stop", 0))
    assert [(row["name"], row.get("bytes")) for row in rows] == [
        ("copy to device", 400),
        ("work", None),
        ("copy", 400),
        ("work", None),
        ("copy to host", 400),
    ]
    times = [(row["start_ns"], row["end_ns"]) for row in rows]
    assert all(0 < start <= end for start, end in times)
    assert times == sorted(times)
    spent = {row["end_ns"] - row["start_ns"] for row in rows if row["name"] == "work"}
    assert max(spent) > 10 * min(spent)


def test_one_profile_at_a_time(opencl: Any) -> None:
    with pytest.raises(RuntimeError, match="is not being profiled"):
        call("profile_stop", 0)
    call("profile_start", 0)
    with pytest.raises(RuntimeError, match="is being profiled already"):
        call("profile_start", 0)
    assert json.loads(call("profile_stop", 0)) == []


def test_the_timer_gives_the_sum_of_the_kernels_times(opencl: Any) -> None:
    """A profile around it sees the same commands: the last ten are those that were timed."""
    import tvm

    a, b, c = (tvm.runtime.tensor(np.ones(1000, "float32"), opencl) for _ in range(3))
    built = raw.vector_module()
    call("profile_start", 0)
    result = built.mod.time_evaluator("main", opencl, number=10, repeat=1)(a, b, 0.5, c)
    rows = json.loads(call("profile_stop", 0))
    assert {row["name"] for row in rows} == {"main_kernel"}
    spent = [row["end_ns"] - row["start_ns"] for row in rows[-10:]]
    assert result.mean == pytest.approx(sum(spent) / 10 / 1e9, rel=1e-6)


def test_many_commands_are_recorded(opencl: Any) -> None:
    """More than the events that are kept open."""
    work = worker(opencl)
    call("profile_start", 0)
    for _ in range(3000):
        work(1)
    rows = json.loads(call("profile_stop", 0))
    assert len(rows) == 3000
    assert all(0 < row["start_ns"] <= row["end_ns"] for row in rows)


def test_profiles_start_and_stop_while_threads_launch(opencl: Any) -> None:
    """Nothing is lost of what was enqueued between start and stop, nothing hangs."""
    work, done = worker(opencl), threading.Event()
    failures = []

    def launch() -> None:
        try:
            while not done.is_set():
                work(100)
        except Exception as error:  # noqa: BLE001  (shown below, in the main thread)
            failures.append(error)

    threads = [threading.Thread(target=launch) for _ in range(3)]
    for thread in threads:
        thread.start()
    counts = []
    for _ in range(20):
        call("profile_start", 0)
        for _ in range(5):
            work(100)
        counts.append(len(json.loads(call("profile_stop", 0))))
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert min(counts) >= 5
