"""This machine as a device: the model runs in this process."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dlcc.targets.artifact import Artifact
from dlcc.targets.closing import Closing
from dlcc.targets.device import Bench, CallTime, Device, require_tvm
from dlcc.targets.errors import DeviceError
from dlcc.targets.kernels import PROFILED_RUNS, call_times, calls_of, kernels_in, typical
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc import processor
from dlcc.targets.rpc.vectors import sve_bits
from dlcc.targets.said import said
from dlcc.targets.scalable import require_width

log = logging.getLogger("dlcc")

ALIGNMENT_BYTES = 64  # what TVM's kernels take for granted
BIG_CORES = 1  # TVM's thread pool: fastest cores first
WARM_UP_RUNS = 3

_pool = threading.local()  # TVM has a pool of threads for each thread that runs models


def open_device(address: str, options: DeviceOptions) -> Device:
    """Open `local`, or a machine of the same kind at `rpc://…`; raises DeviceError."""
    if address == "local":
        return LocalDevice(options)
    if address == "emulator":
        raise DeviceError(
            "there is no emulator of this machine: it runs the model itself",
            hint="use --device local",
        )
    from dlcc.targets.rpc.client import connect

    return connect(address, options)


def physical_cores() -> int:
    """Cores without hyper-threads, of those that this process may use."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(psutil.cpu_count(logical=False) or 1, allowed or 1)


class LocalDevice(Closing):
    """This machine. Threads: as asked, else one for each physical core."""

    address = "local"

    def __init__(self, options: DeviceOptions) -> None:
        self.threads = options.threads or physical_cores()
        # TVM reads both when its pool starts, at the first run, and would use half of the logical
        # cores. Binding threads to cores is left to the kernel: TVM binds the calling thread too,
        # so everything this process starts later would share that one core.
        os.environ.setdefault("TVM_NUM_THREADS", str(max(self.threads, os.cpu_count() or 1)))
        os.environ.setdefault("TVM_BIND_THREADS", "0")
        self._programs: list[LocalProgram] = []

    def load(self, artifact: Artifact) -> LocalProgram:
        """Load the code; raises DeviceError when it is not for this machine."""
        require_tvm(artifact)
        require_width(artifact, self.describe)
        program = LocalProgram(artifact, self.threads)
        self._programs.append(program)
        return program

    def describe(self) -> Mapping[str, str]:
        return {
            "address": "local",
            "architecture": platform.machine(),
            "sve_bits": str(sve_bits()),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "apache-tvm": importlib.metadata.version("apache-tvm"),
            "apache-tvm-ffi": importlib.metadata.version("apache-tvm-ffi"),
            "cores": str(physical_cores()),
            "threads": str(self.threads),
            **processor.facts(),
        }

    def close(self) -> None:
        for program in self._programs:
            program.drop()
        self._programs.clear()


@contextmanager
def _stopping() -> Iterator[None]:
    """Raises DeviceError where the code stops: memory that is not there, sizes that do not fit."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise DeviceError(f"the model stopped while running: {said(error)}") from error


class LocalProgram:
    """A model loaded into this process."""

    def __init__(self, artifact: Artifact, threads: int, accelerator: Any = None) -> None:
        """accelerator: TVM's device that runs a part of the code, None: the CPU runs all."""
        import tvm
        from tvm.runtime.vm import VirtualMachine

        self._threads = threads
        # Loaded code is mapped, so its file can go at once and a crash leaves nothing behind.
        with tempfile.TemporaryDirectory(prefix="dlcc-run-") as folder:
            path = Path(folder) / "module.so"
            path.write_bytes(artifact.files["module.so"])
            try:
                module = tvm.runtime.load_module(str(path))
            except (OSError, RuntimeError) as error:
                raise DeviceError(
                    f"this {platform.machine()} machine cannot load code for {artifact.chip}: "
                    f"{str(error).strip().splitlines()[-1]}",
                    hint="compile for the target `host`, or name a device with --device",
                ) from error
        devices = [tvm.cpu()] if accelerator is None else [accelerator, tvm.cpu()]
        self._vm: Any = VirtualMachine(module, devices)
        self._main: Any = self._vm["main"]
        self._weights = [
            tvm.runtime.tensor(np.asarray(weight, order="C"), accelerator)
            if accelerated
            else weight_tensor(weight)
            for weight, accelerated in zip(artifact.weights, artifact.accelerated(), strict=True)
        ]
        self._kernels = kernels_in(artifact)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        use_threads(self._threads)
        with _stopping():
            outputs = self._main(*self._arguments(inputs))
        fields = [outputs] if hasattr(outputs, "numpy") else list(outputs)
        return [np.asarray(field.numpy()) for field in fields]

    def bench(self, inputs: Sequence[np.ndarray], repeat: int) -> Bench:
        """Seconds of each of `repeat` inferences, after some that warm up."""
        use_threads(self._threads)
        arguments = self._arguments(inputs)
        for _ in range(WARM_UP_RUNS):
            self._main(*arguments)
        times_s = []
        for _ in range(repeat):
            began_s = time.perf_counter()
            self._main(*arguments)
            times_s.append(time.perf_counter() - began_s)
        return Bench(times_s=times_s)

    def profile(self, inputs: Sequence[np.ndarray]) -> list[CallTime]:
        """Seconds of each call of a kernel: the median of some runs, after one that warms up."""
        use_threads(self._threads)
        arguments = self._arguments(inputs)
        with _stopping():
            self._main(*arguments)
            runs = [calls_of(self._vm, arguments) for _ in range(PROFILED_RUNS)]
        return call_times(typical(runs), self._kernels)

    def drop(self) -> None:
        """Let go of code and weights."""
        self._vm = self._main = None
        self._weights = []

    def _arguments(self, inputs: Sequence[np.ndarray]) -> list[Any]:
        from tvm.runtime import tensor

        return [*(tensor(np.asarray(x, order="C")) for x in inputs), *self._weights]


def weight_tensor(weight: np.ndarray) -> Any:
    """A weight as TVM takes it: the same memory if that is contiguous and aligned, else a copy."""
    import tvm_ffi
    from tvm.runtime import tensor

    plain = weight.dtype.kind in "iuf" and weight.dtype.isnative
    if plain and weight.flags.c_contiguous and weight.ctypes.data % ALIGNMENT_BYTES == 0:
        return tvm_ffi.from_dlpack(np.asarray(_Writeable(weight)))
    return tensor(np.asarray(weight, order="C"))


class _Writeable:
    """The memory of an array, said to be writeable: numpy gives no other to TVM, and weights out
    of a mapped file are read-only. No kernel writes to its weights."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array  # lives as long as the array that is made of this

    @property
    def __array_interface__(self) -> dict[str, Any]:
        address, _ = self._array.__array_interface__["data"]
        return {**self._array.__array_interface__, "data": (address, False)}


def use_threads(threads: int) -> None:
    """Set how many threads TVM's pool of the calling thread uses."""
    import tvm_ffi

    if getattr(_pool, "threads", None) == threads:
        return
    tvm_ffi.get_global_func("runtime.config_threadpool")(BIG_CORES, threads)
    _pool.threads = threads
    used = tvm_ffi.get_global_func("runtime.NumThreads")()
    if used < threads:
        log.warning("TVM started with %d threads in this process and cannot use %d", used, threads)
