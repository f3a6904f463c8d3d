"""Modules and launches: TVM's blob, the types of arguments, what a device cannot do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.opencl import raw

pytestmark = pytest.mark.device("opencl")


def test_code_of_tvm_agrees_with_numpy(opencl: Any) -> None:
    import tvm

    built = raw.vector_module()
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 1000), dtype="float32")
    c = tvm.runtime.empty((1000,), "float32", opencl)
    built["main"](tvm.runtime.tensor(a, opencl), tvm.runtime.tensor(b, opencl), 0.5, c)
    np.testing.assert_allclose(c.numpy(), a * b + np.float32(0.5), rtol=1e-6)


def test_modules_are_saved_as_tvm_saves_them_where_it_has_no_runtime(tmp_path: Path) -> None:
    """Byte by byte as we know the form: ours, and that of TVM without the plug-in."""
    expected = raw.blob(
        raw.vector_module().mod.imports[0].inspect_source(),
        {"main_kernel": [raw.POINTER, raw.POINTER, raw.POINTER, raw.FLOAT32]},
    )
    program = """
import sys
from tests.opencl import raw
import tvm
assert not tvm.opencl(0).exist
open(sys.argv[1], "wb").write(raw.saved(raw.vector_module()))
"""
    path = tmp_path / "saved"
    env = os.environ | {"TVM_DEVICE_BACKEND_AUTOLOAD": "0"}
    env["PYTHONPATH"] = os.pathsep.join([str(raw.ROOT), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", program, str(path)], env=env, check=True)
    assert expected in path.read_bytes()
    assert expected in raw.saved(raw.vector_module())


@pytest.mark.parametrize("cut", [0, 3, 11, 40, 90])
def test_a_damaged_blob_is_refused(opencl: Any, cut: int) -> None:
    whole = raw.blob(raw.SCALE, {"scale": [raw.POINTER, raw.FLOAT32, raw.INT32]})
    with pytest.raises(ValueError, match="damaged"):
        raw.load(whole[:cut])
    with pytest.raises(ValueError, match="damaged"):
        raw.load(whole[:cut] + b"\xff" * 8 + whole[cut + 8 :])


def test_binaries_are_refused(opencl: Any) -> None:
    with pytest.raises(ValueError, match="only OpenCL C"):
        raw.load(raw.blob("x", {}, form="spv"))


TYPES = """\
// Function: types
__kernel void types(__global double* y, int a, long b, uchar c, char d, float e, double f) {
  y[0] = a; y[1] = b; y[2] = c; y[3] = d; y[4] = e; y[5] = f;
}
"""


def test_scalars_of_every_type_arrive(opencl: Any) -> None:
    import tvm

    kinds = [raw.INT32, raw.INT64, raw.UINT8, raw.BOOL, raw.FLOAT32, raw.FLOAT64]
    kernel = raw.module(TYPES, {"types": [raw.POINTER, *kinds]})["types"]
    y = tvm.runtime.tensor(np.zeros(6), opencl)
    kernel(raw.pointer(y), -7, -(2**40), 200, True, 1.5, 1e-300, 1, 1)
    assert y.numpy().tolist() == [-7, -(2.0**40), 200, 1, 1.5, 1e-300]


HALVES = [0, -0.0, 1, -2.5, 65504, 65519.9, 65520, 1e9, 6.1e-5, 6e-8, 2.9e-8, 3e-8, 1 / 3, 1e-5]
HALF = """\
// Function: half_bits
__kernel void half_bits(__global ushort* y, ushort a, int i) { y[i] = a; }
"""


def test_float16_scalars_are_rounded_as_numpy_rounds_them(opencl: Any) -> None:
    """PoCL has no float16, so the kernel takes the bits."""
    import tvm

    kernel = raw.module(HALF, {"half_bits": [raw.POINTER, raw.FLOAT16, raw.INT32]})["half_bits"]
    rng = np.random.default_rng(0)
    values = [
        *HALVES,
        np.inf,
        -np.inf,
        *np.ldexp(rng.standard_normal(200), rng.integers(-26, 17, 200)),
    ]
    y = tvm.runtime.tensor(np.zeros(len(values), "uint16"), opencl)
    for i, value in enumerate(values):
        kernel(raw.pointer(y), float(value), i, 1, 1)
    with np.errstate(over="ignore"):
        expected = np.array(values, "float32").astype("float16")
    np.testing.assert_array_equal(y.numpy().view("float16"), expected)


def test_types_that_no_kernel_takes_are_named(opencl: Any) -> None:
    kernel = raw.module(HALF, {"half_bits": [raw.POINTER, raw.BFLOAT16, raw.INT32]})["half_bits"]
    with pytest.raises(TypeError, match="half_bits: argument 1 has a type"):
        kernel(None, 1.0, 0, 1, 1)


def test_an_empty_grid_runs_nothing(opencl: Any) -> None:
    import tvm

    x = tvm.runtime.tensor(np.ones(4, "float32"), opencl)
    raw.scale()(raw.pointer(x), 3.0, 4, 0, 4)
    assert x.numpy().tolist() == [1, 1, 1, 1]


def test_work_groups_over_the_limit_are_refused(opencl: Any) -> None:
    limit = opencl.max_threads_per_block
    with pytest.raises(
        RuntimeError, match=rf"scale has work-groups of \({limit * 2}, 1, 1\)"
    ) as caught:
        raw.scale()(None, 1.0, 0, 1, limit * 2)
    assert f"at most {limit} of this kernel" in str(caught.value)


def test_launches_that_opencl_has_no_form_for_are_refused(opencl: Any) -> None:
    tags = ("blockIdx.x", "tirx.use_dyn_shared_memory")
    module = raw.module(raw.SCALE, {"scale": [raw.POINTER, raw.FLOAT32, raw.INT32]}, tags)
    with pytest.raises(ValueError, match=r"scale needs tirx\.use_dyn_shared_memory"):
        module["scale"]
    with pytest.raises(ValueError, match="takes 3 arguments and 2 extents, not 1"):
        raw.scale()(1)


BROKEN = "// Function: broken\n__kernel void broken(__global float* x) { x[0] = no_such_name; }\n"


def test_a_kernel_that_does_not_build_is_shown_with_the_compilers_words(opencl: Any) -> None:
    module = raw.module(
        BROKEN + raw.SCALE,
        {"broken": [raw.POINTER], "scale": [raw.POINTER, raw.FLOAT32, raw.INT32]},
    )
    with pytest.raises(RuntimeError, match="kernel broken does not build") as caught:
        module["broken"](None, 1, 1)
    first, *rest = str(caught.value).splitlines()
    assert opencl.device_name in first
    assert "CL_BUILD_PROGRAM_FAILURE" in first
    assert "no_such_name" in "\n".join(rest)
    module["scale"](None, 1.0, 0, 1, 1)  # one bad kernel leaves the others alone


def test_many_threads_launch_the_same_kernel(opencl: Any) -> None:
    """Each with its own tensor and factor: mixed arguments would show."""
    import tvm

    kernel, failures = raw.scale(), []

    def work(number: int) -> None:
        try:
            x = tvm.runtime.tensor(np.ones(64, "float32"), opencl)
            for _ in range(200):
                kernel(raw.pointer(x), -1.0 if number % 2 else 1.0, 16 + number, 4, 16)
            kernel(raw.pointer(x), float(number), 64, 4, 16)
            np.testing.assert_array_equal(x.numpy(), np.full(64, number, "float32"))
        except Exception as error:  # noqa: BLE001  (shown below, in the main thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
