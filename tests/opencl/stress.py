"""Uses all of the OpenCL plug-in from several threads: `stress.py LIBRARY`, under a sanitizer."""

from __future__ import annotations

import ctypes
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
import tvm_ffi

from tests.opencl import raw

ROUNDS = 40
SUM = """\
// Function: sum
__kernel void sum(__global float* y, __global const float* x, int n) {
  float a = 0.0f;
  for (int i = 0; i < n; ++i) a += x[i];
  y[get_global_id(0)] = a;
}
"""
BROKEN = "// Function: broken\n__kernel void broken() { no such thing }\n"


def call(name: str, *given: Any) -> Any:
    return tvm_ffi.get_global_func(f"dlcc.opencl.{name}")(*given)


def launches(device: Any, number: int) -> None:
    """Kernels of a module that all threads share, and of one that is built anew each time."""
    for turn in range(ROUNDS):
        x = tvm.runtime.tensor(np.ones(64 + turn, "float32"), device)
        SHARED(raw.pointer(x), float(number), 64 + turn, 8, 16)
        if turn % 8 == 0:
            own = raw.module(SUM + f"// {turn}\n", {"sum": [raw.POINTER, raw.POINTER, raw.INT32]})
            y = tvm.runtime.tensor(np.zeros(1, "float32"), device)
            own["sum"](raw.pointer(y), raw.pointer(x), 64, 1, 1)
            assert y.numpy()[0] == 64 * number
        assert (x.numpy() == number).all()


def copies(device: Any, number: int) -> None:
    for turn in range(ROUNDS):
        whole = tvm.runtime.tensor(np.arange(256, dtype="int32"), device)
        view = whole._create_view((16,), "int32", relative_byte_offset=4 * turn)
        other = tvm.runtime.empty((16,), "int32", device)
        view.copyto(other)
        assert other.numpy()[0] == turn


def profiles(device: Any, number: int) -> None:
    x = tvm.runtime.tensor(np.ones(4, "float32"), device)
    for _ in range(ROUNDS):
        call("profile_start", 0)
        SHARED(raw.pointer(x), 1.0, 4, 1, 4)
        assert any(row["name"] == "scale" for row in json.loads(call("profile_stop", 0)))


def timers(device: Any, number: int) -> None:
    a, b, c = (tvm.runtime.tensor(np.ones(1000, "float32"), device) for _ in range(3))
    for _ in range(ROUNDS // 4):
        assert VECTOR.mod.time_evaluator("main", device, number=3)(a, b, 0.5, c).mean > 0


def errors(device: Any, number: int) -> None:
    broken = raw.module(BROKEN, {"broken": []})["broken"]
    attempts: list[Callable[[], Any]] = [
        lambda: broken(1, 1),
        lambda: SHARED(None, 1.0, 0, 1, 1 << 20),
        lambda: raw.load(b"junk"),
        lambda: tvm.runtime.empty((1 << 50,), "int8", device),
    ]
    for attempt in attempts * (ROUNDS // 8):
        try:
            attempt()
        except (RuntimeError, ValueError):
            continue
        raise AssertionError("an error was expected")


def facts(device: Any, number: int) -> None:
    for _ in range(ROUNDS):
        assert json.loads(call("devices"))[0]["name"] == device.device_name
        assert call("why_not") == ""


def main() -> int:
    device, failures = tvm.opencl(0), []

    def work(task: Callable[[Any, int], None], number: int) -> None:
        try:
            task(device, number)
        except Exception as error:  # noqa: BLE001  (told by the main thread)
            failures.append(f"{task.__name__}: {error!r}")

    tasks = [launches, launches, launches, copies, copies, profiles, timers, errors, facts]
    threads = [threading.Thread(target=work, args=(t, i)) for i, t in enumerate(tasks, start=2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stderr.writelines(f"{failure}\n" for failure in failures)
    return 1 if failures else 0


if __name__ == "__main__":
    ctypes.CDLL(sys.argv[1])
    SHARED = raw.scale()
    VECTOR = raw.vector_module()
    sys.exit(main())
