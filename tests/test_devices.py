"""Running models on this machine and on the emulated Arm device."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest

from dlcc.targets.cache import build_once
from dlcc.targets.device import Device
from dlcc.targets.errors import DeviceError, ToolchainError
from dlcc.targets.registry import DeviceOptions, kind
from dlcc.targets.rpc.process import ServerProcess
from dlcc.targets.unpack import Distribution, _keep_links_within, _merge_usr, mirror
from dlcc.targets.wheels import _unzip
from tests.device_models import layer, slow


def check_layer(device: Device, kind_name: str) -> None:
    artifact, x, expected = layer(kind_name)
    outputs = device.load(artifact).run([x])
    assert [(o.dtype, o.shape) for o in outputs] == [(e.dtype, e.shape) for e in expected]
    for output, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-4)


def open_local(**options: int) -> Device:
    return kind("host").open_device("local", DeviceOptions(**options))


def test_local_agrees_with_numpy() -> None:
    with open_local() as device:
        check_layer(device, "host")


def test_local_takes_mapped_weights_without_a_copy() -> None:
    from dlcc.targets.local import weight_tensor

    memory = np.zeros(64 * 4, "uint8")
    offset = -memory.ctypes.data % 64
    weight = memory[offset : offset + 64].view("f")
    weight.flags.writeable = False
    tensor = weight_tensor(weight)
    memory[offset : offset + 4].view("f")[0] = 5
    assert np.from_dlpack(tensor)[0] == 5
    shifted = memory[offset + 4 : offset + 68].view("f")
    np.testing.assert_array_equal(weight_tensor(shifted).numpy(), shifted)


def test_local_bench_gives_one_time_an_inference() -> None:
    artifact, x, _ = layer("host")
    with open_local(threads=1) as device:
        bench = device.load(artifact).bench([x], repeat=5)
    assert len(bench.times_s) == 5
    assert all(0 < t < 10 for t in bench.times_s)
    assert not bench.counts


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="has one core")
def test_local_uses_the_threads_asked_for() -> None:
    program = """
from dlcc.targets.local import LocalDevice, use_threads
from dlcc.targets.registry import DeviceOptions
import tvm, tvm_ffi
with LocalDevice(DeviceOptions(threads=2)) as device:
    for threads in (2, 1):
        use_threads(threads)
        print(tvm_ffi.get_global_func("runtime.NumThreads")())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["2", "1"], done.stderr


def test_code_for_another_machine_is_refused() -> None:
    if os.uname().machine == "aarch64":
        pytest.skip("this machine runs code for Arm")
    artifact, _, _ = layer("arm")
    with open_local() as device, pytest.raises(DeviceError, match="cannot load code for arm"):
        device.load(artifact)
    with pytest.raises(DeviceError, match="cannot run code for 64-bit Arm") as caught:
        kind("arm").open_device("local", DeviceOptions())
    assert "emulator" in caught.value.hint


def test_the_host_has_no_emulator() -> None:
    with pytest.raises(DeviceError, match="no emulator") as caught:
        kind("host").open_device("emulator", DeviceOptions())
    assert "local" in caught.value.hint


@pytest.mark.device("arm")
def test_emulated_arm_agrees_with_numpy(arm_address: str) -> None:
    with kind("arm").open_device(arm_address, DeviceOptions()) as device:
        check_layer(device, "arm")
        assert device.describe()["architecture"] == "aarch64"


@pytest.mark.device("arm")
def test_counts_are_reproducible(arm_address: str) -> None:
    """Within a session and from one session to another."""
    artifact, x, _ = layer("arm")
    counts = []
    for _ in range(2):
        with kind("arm").open_device(arm_address, DeviceOptions()) as device:
            program = device.load(artifact)
            benches = [program.bench([x], repeat=3) for _ in range(2)]
        assert not any(bench.times_s for bench in benches)
        counts += [bench.counts["instructions"] for bench in benches]
    assert min(counts) > 10_000
    assert max(counts) - min(counts) <= 1e-4 * min(counts), counts


@pytest.mark.device("arm")
def test_emulator_leaves_no_child_and_gives_no_times() -> None:
    """With two threads it does not count, and its seconds would say nothing."""
    before = set(psutil.Process().children(recursive=True))
    artifact, x, _ = layer("arm")
    with kind("arm").open_device("emulator", DeviceOptions(threads=2)) as device:
        check_layer(device, "arm")
        with pytest.raises(DeviceError, match="cannot measure"):
            device.load(artifact).bench([x], repeat=3)
        assert set(psutil.Process().children(recursive=True)) - before
    assert not set(psutil.Process().children(recursive=True)) - before


@pytest.mark.device("arm")
def test_an_emulated_device_killed_in_a_run_is_lost_not_hung(
    arm_server: ServerProcess, arm_address: str
) -> None:
    artifact, x = slow("arm")
    with kind("arm").open_device(arm_address, DeviceOptions(time_limit_s=30)) as device:
        program = device.load(artifact)
        killer = subprocess.Popen([sys.executable, "-c", KILL_CHILDREN, str(arm_server.pid)])
        with pytest.raises(DeviceError, match="lost"):
            program.run([x])
        killer.wait()
    with kind("arm").open_device(arm_address, DeviceOptions()) as device:
        check_layer(device, "arm")


KILL_CHILDREN = """
import psutil, sys, time
time.sleep(1)
server = psutil.Process(int(sys.argv[1]))
for child in server.children(): child.kill()
"""


def build_slowly(mark: Path, folder: Path) -> None:
    with mark.open("a") as file:
        file.write("built\n")
    (folder / "half").write_text("half")
    time.sleep(0.5)
    (folder / "whole").write_text("whole")


def build_in_a_process(mark: Path) -> None:
    build_once("thing", lambda folder: build_slowly(mark, folder))


def test_two_processes_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCC_CACHE", str(tmp_path / "cache"))
    spawn = multiprocessing.get_context("spawn")
    mark = tmp_path / "mark"
    workers = [spawn.Process(target=build_in_a_process, args=(mark,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert mark.read_text() == "built\n"
    assert (tmp_path / "cache/thing/whole").is_file()


def test_a_build_killed_half_way_is_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLCC_CACHE", str(tmp_path))
    started = tmp_path / "started"
    worker = multiprocessing.get_context("fork").Process(
        target=build_once, args=("thing", lambda _: (started.touch(), time.sleep(60)))
    )
    worker.start()
    while not started.exists():
        time.sleep(0.01)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert not (tmp_path / "thing").exists()
    folder = build_once("thing", lambda part: (part / "whole").touch())
    assert (folder / "whole").is_file()
    assert not list(tmp_path.glob("thing.part-*"))


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCC_CACHE", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ToolchainError("no network")

    with pytest.raises(ToolchainError):
        build_once("thing", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]


def test_a_wheel_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    wheel = tmp_path / "bad.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("../outside", "x")
    with pytest.raises(ToolchainError, match="outside"):
        _unzip(wheel, tmp_path / "in", lambda _: True)
    assert not (tmp_path / "outside").exists()


SOURCES = {
    "sources.list": "# deb http://old.example/x jammy main\n"
    "deb [a=b] http://in.mirror.example/u jammy main\n",
    "sources.list.d/d.sources": "Types: deb\nURIs: http://d.example/debian\n"
    "Suites: bookworm bookworm-updates\nComponents: main\n",
}


@pytest.mark.parametrize(
    ("variables", "system", "architecture", "expected"),
    [
        ({}, Distribution("ubuntu", "jammy"), "amd64", "http://in.mirror.example/u"),
        ({}, Distribution("ubuntu", "jammy"), "arm64", "http://ports.mirror.example/ubuntu-ports"),
        ({}, Distribution("debian", "bookworm"), "arm64", "http://d.example/debian"),
        ({"DLCC_APT_MIRROR": "http://a/"}, Distribution("debian", "x"), "arm64", "http://a/"),
        (
            {"DLCC_APT_MIRROR": "http://a/", "DLCC_APT_MIRROR_ARM64": "http://b/"},
            *(Distribution("ubuntu", "jammy"), "arm64", "http://b/"),
        ),
    ],
)
def test_mirrors(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    system: Distribution,
    architecture: str,
    expected: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert mirror(system, architecture, tmp_path) == expected


def test_a_machine_without_a_mirror_is_told_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="name no mirror") as caught:
        mirror(Distribution("debian", "no-such-release"), "arm64", tmp_path)
    assert "DLCC_APT_MIRROR" in caught.value.hint


def test_old_folders_are_merged_into_usr(tmp_path: Path) -> None:
    (tmp_path / "lib/arch").mkdir(parents=True)
    (tmp_path / "lib/arch/a.so").touch()
    (tmp_path / "usr/lib/arch").mkdir(parents=True)
    (tmp_path / "usr/lib/arch/b.so").touch()
    _merge_usr(tmp_path)
    assert sorted(p.name for p in (tmp_path / "lib/arch").iterdir()) == ["a.so", "b.so"]
    assert (tmp_path / "lib").is_symlink()


def test_absolute_links_lead_into_the_folder(tmp_path: Path) -> None:
    library = tmp_path / "usr/lib/arch/libm.so"
    library.parent.mkdir(parents=True)
    library.with_name("libm.so.6").write_text("here")
    library.symlink_to("/lib/arch/libm.so.6")
    library.with_name("relative.so").symlink_to("libm.so.6")
    (tmp_path / "lib").symlink_to("/usr/lib")
    _keep_links_within(tmp_path)
    assert library.read_text() == "here"
    assert os.readlink(library.with_name("relative.so")) == "libm.so.6"
    assert os.readlink(tmp_path / "lib") == "usr/lib"
