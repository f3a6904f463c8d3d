"""How the plug-in comes into a process: built, found, loaded, refused, and let go of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dlcc.targets.errors import ToolchainError
from dlcc.targets.opencl import plugin
from tests.opencl import raw

pytestmark = pytest.mark.device("opencl")


def python(program: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python with another environment, which names no OpenCL."""
    everything = os.environ | {"DLCC_OPENCL_LIBRARY": "", "DLCC_OPENCL_PRELOAD": ""} | env
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=everything, capture_output=True, text=True, check=False)


NONE = """
print(device.exist)
print(call("why_not"))
print(call("devices"))
try:
    on_device(np.zeros(3))
except RuntimeError as error:
    print(str(error).splitlines()[0])
"""


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"DLCC_OPENCL_LIBRARY": "/nonexistent/libOpenCL.so"}, "DLCC_OPENCL_LIBRARY: /nonexistent"),
        ({"DLCC_OPENCL_LIBRARY": "libm.so.6"}, "has no function clGetPlatformIDs"),
        ({"DLCC_OPENCL_PRELOAD": "/nonexistent/a.so"}, "DLCC_OPENCL_PRELOAD: /nonexistent"),
        ({"OCL_ICD_VENDORS": "/nonexistent/"}, "an OpenCL library is there, but no driver"),
        ({"DLCC_OPENCL_PLATFORM": "Acme"}, "(DLCC_OPENCL_PLATFORM is Acme)"),
    ],
)
def test_a_machine_without_a_device_is_told_why(env: dict[str, str], why: str) -> None:
    exists, said, devices, error = raw.checked(raw.run_program(NONE, env)).splitlines()
    assert (exists, devices) == ("False", "[]")
    assert why in said
    assert error == f"there is no OpenCL device 0: {said}"


LATER = """
assert not device.exist
from dlcc.targets.opencl.pocl import use_pocl
use_pocl()
print(device.exist)
"""


def test_pocl_can_be_taken_after_nothing_was_found() -> None:
    env = {"DLCC_OPENCL_LIBRARY": "/nonexistent"}
    assert raw.checked(raw.run_program(LATER, env, pocl=False)).split() == ["True"]


def test_every_fact_of_a_device_is_told() -> None:
    import json

    (facts,) = json.loads(raw.checked(raw.run_program('print(call("devices"))')))
    assert facts["platform"] == "Portable Computing Language"
    assert facts["type"] == "cpu"
    assert facts["compute_units"] > 0
    assert facts["global_bytes"] >= facts["max_alloc_bytes"] > facts["local_bytes"] > 0
    assert facts["max_work_item_sizes"][0] <= facts["max_work_group"]
    assert facts["preferred_vector_float"] >= 1
    assert facts["fp16"] == ("cl_khr_fp16" in facts["extensions"])
    assert facts["unified_memory"] is True


SEVERAL = """
other = tvm.opencl(1)
assert other.exist and not tvm.opencl(2).exist
kernel = raw.scale()
x = on_device(np.ones(4, "float32"))
y = tvm.runtime.tensor(np.ones(4, "float32"), other)
set_device = tvm_ffi.get_global_func("__tvm_set_device")
kernel(raw.pointer(x), 2.0, 4, 1, 4)
set_device(4, 1)
kernel(raw.pointer(y), 3.0, 4, 1, 4)
print(x.numpy(), y.numpy())
x.copyto(y)
print(y.numpy())
try:
    kernel(raw.pointer(x), 3.0, 4, 1, 4)
except ValueError as error:
    print(str(error).splitlines()[0])
"""


def test_several_devices_keep_apart() -> None:
    lines = raw.checked(raw.run_program(SEVERAL, {"POCL_DEVICES": "basic pthread"})).splitlines()
    assert lines == [
        "[2. 2. 2. 2.] [3. 3. 3. 3.]",
        "[2. 2. 2. 2.]",
        "kernel scale runs on OpenCL device 1, its argument 0 is on 0",
    ]


# What lives to the end: a module and a tensor in TVM's own tables, a kernel that is still running.
AT_THE_END = """
code = '''// Function: slow
__kernel void slow(__global float* x, int n) {
  float a = x[0];
  for (int i = 0; i < n; ++i) a = a * 0.999f + 1.0f;
  x[0] = a;
}
'''
kernel = raw.module(code, {"slow": [raw.POINTER, raw.INT32]})["slow"]
x = on_device(np.zeros(1, "float32"))
tvm.register_global_func("dlcc.test.kept", lambda kernel=kernel, x=x: (kernel, x))
import builtins
builtins.kept = [kernel, x, on_device(np.zeros(100))]
call("profile_start", 0)
kernel(raw.pointer(x), 1, 1, 1)
kernel(raw.pointer(x), 50_000_000, 1, 1)
print("end", flush=True)
"""


@pytest.mark.parametrize("end", ["", "sys.exit(0)\n"])
def test_a_process_ends_in_order_with_all_in_use(end: str) -> None:
    done = raw.run_program(AT_THE_END + end)
    assert raw.checked(done).split() == ["end"]
    assert done.stderr == ""


def test_a_second_copy_is_harmless(tmp_path: Path) -> None:
    copy = shutil.copy(plugin.library(), tmp_path / "again.so")
    program = f"import ctypes; ctypes.CDLL({str(copy)!r}); print(on_device(np.ones(2)).numpy())"
    assert raw.checked(raw.run_program(program)).split() == ["[1.", "1.]"]


LOADED = (
    'import tvm, tvm_ffi; print("dlcc.opencl.devices" in tvm_ffi.registry.list_global_func_names())'
)


def entry_point(folder: Path) -> str:
    """A folder for PYTHONPATH in which this checkout is installed as far as TVM looks."""
    info = folder / "dlcc_here-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dlcc-here\nVersion: 1.0\n")
    entry = "[tvm.backends]\ndlcc_here = dlcc.targets.opencl.autoload:register\n"
    (info / "entry_points.txt").write_text(entry)
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


def test_importing_tvm_loads_what_is_built_and_builds_nothing(tmp_path: Path) -> None:
    path = entry_point(tmp_path / "site")
    plugin.library()
    done = python(LOADED, PYTHONPATH=path)
    assert (done.stdout.split(), done.stderr) == (["True"], "")
    empty = tmp_path / "cache"
    done = python(LOADED, PYTHONPATH=path, DLCC_CACHE=str(empty), PATH="")
    assert (done.stdout.split(), done.stderr) == (["False"], "")
    assert list(empty.iterdir()) == []


def test_a_broken_library_does_not_keep_tvm_from_being_imported(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    library = cache / plugin.library().parent.name / plugin.NAME
    library.parent.mkdir(parents=True)
    library.write_bytes(b"no library")
    done = python(LOADED, PYTHONPATH=entry_point(tmp_path / "site"), DLCC_CACHE=str(cache))
    assert (done.stdout.split(), done.stderr) == (["False"], "")


BUILD = """
import logging
logging.basicConfig(level=logging.INFO)
from dlcc.targets.errors import ToolchainError
from dlcc.targets.opencl.plugin import library
try:
    print(library())
except ToolchainError as error:
    print(error.what)
    print("hint:", error.hint)
"""


def test_without_a_compiler_it_is_said_what_to_install(tmp_path: Path) -> None:
    done = python(BUILD, PATH="", DLCC_CACHE=str(tmp_path), CXX="", DLCC_CXX="")
    what, hint = done.stdout.strip().splitlines()
    assert "cannot be built: no C++ compiler on PATH" in what
    assert "apt-get install g++" in hint
    assert "DLCC_CXX" in hint
    assert not list(tmp_path.glob("*/*.so"))


def test_a_compiler_that_is_named_is_the_one_that_is_used(tmp_path: Path) -> None:
    done = python(BUILD, DLCC_CACHE=str(tmp_path), DLCC_CXX="/bin/false --now")
    assert done.stdout.startswith("/bin/false --now -std=c++17")
    assert not list(tmp_path.glob("*/*.so"))


@pytest.mark.slow
def test_the_clang_of_pocls_packages_builds_it(tmp_path: Path) -> None:
    """On a machine with neither compiler nor linker."""
    from dlcc.targets.opencl.pocl_files import pocl_folder

    (tmp_path / pocl_folder().name).symlink_to(pocl_folder())
    done = python(BUILD, PATH="", DLCC_CACHE=str(tmp_path), CXX="", DLCC_CXX="")
    assert done.stdout.strip() == str(next(tmp_path.glob("*/*.so"))), done.stderr
    assert "dlcc-c++" in done.stderr


def test_the_key_tells_what_the_library_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plugin.key()
    sources = shutil.copytree(plugin.SOURCES, tmp_path / "runtime")
    monkeypatch.setattr(plugin, "SOURCES", sources)
    assert plugin.key() == before
    (sources / "cl.h").write_text((sources / "cl.h").read_text() + "\n")
    assert plugin.key() != before


def test_a_library_in_the_wheel_serves_if_it_is_of_these_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "PREBUILT", tmp_path)
    monkeypatch.setenv("DLCC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "key").write_text("another")
    assert plugin.built_library() is None
    (tmp_path / "key").write_text(plugin.key() + "\n")
    assert plugin.built_library() == tmp_path / plugin.NAME


def test_other_compilers_errors_are_shown(tmp_path: Path) -> None:
    broken = plugin.Compiler((sys.executable, "-c", "import sys; sys.exit('no such header')"))
    with pytest.raises(ToolchainError, match="no such header") as caught:
        plugin.build(tmp_path, broken)
    assert "C++17" in caught.value.hint
