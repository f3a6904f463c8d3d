"""Memory of a device: copies, views, the pool, and what is said when there is none left."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tests.opencl import raw

pytestmark = pytest.mark.device("opencl")


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (1 << 20,)])
@pytest.mark.parametrize("dtype", ["float32", "int8", "bool", "float64"])
def test_arrays_come_back_as_they_went(opencl: Any, shape: tuple[int, ...], dtype: str) -> None:
    import tvm

    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    np.testing.assert_array_equal(tvm.runtime.tensor(array, opencl).numpy(), array)


def test_copies_honour_the_offset_of_a_view(opencl: Any) -> None:
    """Both ways and on the device; the rest of the memory stays as it was."""
    import tvm

    whole = tvm.runtime.tensor(np.arange(16, dtype="float32"), opencl)
    view = whole._create_view((4,), "float32", relative_byte_offset=32)
    np.testing.assert_array_equal(view.numpy(), [8, 9, 10, 11])
    view.copyfrom(np.full(4, -1, "float32"))
    other = tvm.runtime.tensor(np.full(4, -2, "float32"), opencl)
    other.copyto(whole._create_view((4,), "float32", relative_byte_offset=0))
    expected = [-2, -2, -2, -2, 4, 5, 6, 7, -1, -1, -1, -1, 12, 13, 14, 15]
    np.testing.assert_array_equal(whole.numpy(), expected)


def test_copies_over_the_end_are_refused(opencl: Any) -> None:
    """Of tensors that say they have more than their memory."""
    import tvm

    small = tvm.runtime.tensor(np.zeros(4, "float32"), opencl)
    view = small._create_view((4,), "float32", relative_byte_offset=0)
    shifted = view._create_view((3,), "float32", relative_byte_offset=4)
    np.testing.assert_array_equal(shifted.numpy(), [0, 0, 0])
    with pytest.raises((ValueError, RuntimeError)):
        view._create_view((4,), "float32", relative_byte_offset=4).numpy()


def test_textures_are_refused_in_words(opencl: Any) -> None:
    import tvm

    with pytest.raises(ValueError, match="no textures"):
        tvm.runtime.empty((1, 2, 2, 4), "float32", opencl, mem_scope="global.texture")
    plain = tvm.runtime.empty((4,), "float32", opencl, mem_scope="global")
    assert plain.shape == (4,)


def test_one_allocation_over_the_limit_is_refused_with_the_figures(opencl: Any) -> None:
    import json

    import tvm
    import tvm_ffi

    facts = json.loads(tvm_ffi.get_global_func("dlcc.opencl.devices")())[0]
    most = facts["max_alloc_bytes"]
    with pytest.raises(RuntimeError, match=f"has no memory for {most + 1} bytes") as caught:
        tvm.runtime.empty((most + 1,), "int8", opencl)
    said = str(caught.value).splitlines()[0]
    assert facts["name"] in said
    assert f"largest single allocation {most}" in said
    assert f"total {facts['global_bytes']}" in said


# Leaves a process so many bytes more than it has. PoCL's memory is the process's own.
LEAVE = """
import resource
def leave(size_bytes):
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + size_bytes, -1))
"""

OUT_OF_MEMORY = (
    LEAVE
    + """
on_device(np.ones(3, "float32")).numpy()
leave(900 << 20)
held = []
try:
    for _ in range(100):
        held.append(tvm.runtime.empty((100 << 20,), "int8", device))
except RuntimeError as error:
    print(str(error).splitlines()[0])
print(len(held))
del held
print(on_device(np.ones(3, "float32")).numpy().sum())
"""
)


def test_running_out_of_memory_is_told_and_survived() -> None:
    said, held, total = raw.checked(raw.run_program(OUT_OF_MEMORY)).splitlines()
    assert f"has no memory for {100 << 20} bytes: CL_" in said
    assert f"allocated {int(held) * (100 << 20)}, of that unused in pools 0" in said
    assert 3 < int(held) < 10
    assert total == "3.0"


# Every run leaves a block of its own size in the pool; together they are more than there is.
POOL = (
    LEAVE
    + """
from tvm import relax
from tvm.s_tir import dlight as dl
bb = relax.BlockBuilder()
n = tvm.tirx.Var("n", "int64")
x = relax.Var("x", relax.TensorType((n,), "float32"))
with bb.function("main", [x]):
    bb.emit_func_output(bb.emit(relax.op.negative(x)))
target = tvm.target.Target("opencl", host="llvm")
with target:
    mod = relax.transform.LegalizeOps()(bb.get())
    mod = dl.ApplyDefaultSchedule(dl.gpu.Fallback())(mod)
vm = relax.VirtualMachine(tvm.compile(mod, target), device)
def run(mib):
    x = tvm.runtime.empty((mib << 18,), "float32", device)
    x._create_view((1,), "float32").copyfrom(np.ones(1, "float32"))
    y = vm["main"](x)
    assert y._create_view((1,), "float32").numpy() == -1
run(1)
leave(800 << 20)
for mib in (20, 60, 100, 140, 180, 220):
    run(mib)
print("ran")
"""
)


def test_the_pool_gives_back_what_nobody_uses() -> None:
    assert raw.checked(raw.run_program(POOL)).split() == ["ran"]


def test_threads_copy_at_once(opencl: Any) -> None:
    import tvm

    failures = []

    def work(number: int) -> None:
        try:
            for i in range(50):
                array = np.full(1000 + i, number, "int32")
                np.testing.assert_array_equal(tvm.runtime.tensor(array, opencl).numpy(), array)
        except Exception as error:  # noqa: BLE001  (shown below, in the main thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
