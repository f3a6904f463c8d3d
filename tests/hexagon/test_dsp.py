"""The emulated DSP: what a program computes and costs, and every way in which one can fail.

The programs are compiled from `model.c`, so that nothing here needs the compiler.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from dlcc.targets.device import Device
from dlcc.targets.errors import BadFeed, DeviceError, DeviceTimeout
from dlcc.targets.hexagon.device import open_device
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.dsp import Emulator
from dlcc.targets.rpc.process import ServerProcess
from dlcc.targets.rpc.serve import dsp_arguments, start_server
from tests.hexagon.programs import N, artifact, expected, inputs, program

pytestmark = pytest.mark.device("hexagon")
LARGE = 3 * 224 * 224


@pytest.fixture(scope="module")
def server(hexagon: Emulator) -> Iterator[ServerProcess]:
    """A device server of this machine with a DSP behind it."""
    started = start_server(dsp_arguments(hexagon.command[-1]))
    yield started
    started.stop()


@pytest.fixture(params=["emulator", "rpc"])
def address(request: pytest.FixtureRequest) -> str:
    if request.param == "emulator":
        return "emulator"
    return f"rpc://127.0.0.1:{request.getfixturevalue('server').port}"


def opened(address: str = "emulator", limit_s: float = 30.0) -> Device:
    return open_device(address, DeviceOptions(time_limit_s=limit_s))


def emulators() -> set[psutil.Process]:
    """Running emulators among this process's descendants."""
    children = psutil.Process().children(recursive=True)
    return {c for c in children if c.is_running() and "qemu-hexagon" in name_of(c)}


def name_of(process: psutil.Process) -> str:
    try:
        return str(process.name()) if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.NoSuchProcess:
        return ""


def none_is_left(limit_s: float = 5.0) -> bool:
    """Whether all emulators of this process end: at once, or a server's soon after its client."""
    end_s = time.monotonic() + limit_s
    while emulators() and time.monotonic() < end_s:
        time.sleep(0.05)
    return not emulators()


def same(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    assert [(f.dtype, f.shape) for f in found] == [(w.dtype, w.shape) for w in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_agrees_with_numpy_in_one_process_run_after_run(address: str) -> None:
    with opened(address) as device:
        model = device.load(artifact())
        running = emulators()
        for seed in range(20):
            x = inputs(seed)
            same(model.run(x), expected(x))
        assert emulators() == running
        assert len(running) == 1
    assert none_is_left()


def test_outputs_can_be_written_to() -> None:
    with opened() as device:
        for output in device.load(artifact()).run(inputs()):
            output[...] = 0


def test_tensors_larger_than_a_pipe_pass(address: str) -> None:
    """602 kB each, two in and two out."""
    x = inputs(1, LARGE)
    with opened(address) as device:
        model = device.load(artifact(program(elements=LARGE), elements=LARGE))
        for _ in range(2):
            same(model.run(x), expected(x))


def test_several_models_at_once(address: str) -> None:
    x, y = inputs(1), inputs(2)
    with opened(address) as device:
        one, other = device.load(artifact()), device.load(artifact())
        same(one.run(x), expected(x))
        same(other.run(y), expected(y))
        same(one.run(y), expected(y))


def test_counts_are_the_same_in_every_session(address: str) -> None:
    counts = []
    for seed in (1, 2):
        with opened(address) as device:
            model = device.load(artifact())
            counts += [model.bench(inputs(seed), repeat=3).counts for _ in range(2)]
    assert all(c == counts[0] for c in counts)
    # an element is at least a load, an addition and a store, and no packet holds two of a loop
    assert counts[0]["instructions"] > 2 * 3 * N
    assert 2 * N <= counts[0]["packets"] < counts[0]["instructions"]
    assert counts[0]["hvx"] == 0


def test_vector_instructions_are_counted() -> None:
    """Three for each element in the second call, two of them in one packet."""
    with opened() as device:
        plain = device.load(artifact()).profile(inputs())
        vectors = device.load(artifact(program("vectors"))).profile(inputs())
    assert [row.hvx for row in plain] == [0, 0]
    assert [row.hvx for row in vectors] == [0, 3 * N]
    assert vectors[1].instructions - plain[1].instructions == 3 * N
    assert vectors[1].packets - plain[1].packets == 2 * N


def test_a_profile_has_a_row_for_each_call(address: str) -> None:
    with opened(address) as device:
        model = device.load(artifact())
        total = model.bench(inputs(), repeat=1).counts
        rows = model.profile(inputs())
    assert [(r.name, r.sources, r.macs) for r in rows] == [
        ("add", ("sum",), None),
        ("scale", ("twice", "shift"), N),
    ]
    for name in ("packets", "instructions", "hvx"):
        assert sum(getattr(r, name) for r in rows) == total[name]
    assert sum(r.share for r in rows) == pytest.approx(1)
    assert rows[0].macs_per_packet is None
    assert rows[1].macs_per_packet == pytest.approx(N / rows[1].packets)


@pytest.mark.parametrize(
    ("behaviour", "status", "error", "said"),
    [
        ("crash", 0, DeviceError, r"crashed there \(SIGSEGV\) while running the model"),
        ("float_hvx", 0, DeviceError, "the emulator gave up while running the model: .*decode"),
        ("leave", 0, DeviceError, r"ended by itself \(status 9\)"),
        ("status", 3, DeviceError, r"temporary memory than the arena holds \(status 3\)"),
        ("status", 4, DeviceError, r"a kernel gave up \(status 4\)"),
        ("status", 77, DeviceError, r"it failed \(status 77\)"),
        ("wrong_sizes", 0, DeviceError, "answers nonsense.* 12 bytes of outputs"),
        ("spin", 0, DeviceTimeout, "no answer in .* s while running the model"),
    ],
)
def test_each_failure_of_a_run_is_an_error_of_its_own(
    address: str, behaviour: str, status: int, error: type[DeviceError], said: str
) -> None:
    profile = "hexagonv68" if behaviour == "float_hvx" else "hexagonv66"
    with opened(address, limit_s=1.5 if behaviour == "spin" else 30) as device:
        model = device.load(artifact(program(behaviour, status), profile=profile))
        with pytest.raises(error, match=said) as caught:
            model.run(inputs())
        assert caught.value.hint
        assert none_is_left()
        with pytest.raises(DeviceError, match="has ended before"):
            model.run(inputs())
        good = device.load(artifact())  # the device itself is well
        same(good.run(inputs()), expected(inputs()))


def test_a_model_with_much_to_do_has_more_time() -> None:
    kernels = [{"name": "add", "macs": None}, {"name": "scale", "macs": 2_000_000}]
    began_s = time.monotonic()
    with opened(limit_s=0.5) as device:
        model = device.load(artifact(program("spin"), kernels=kernels))
        with pytest.raises(DeviceTimeout, match=r"no answer in 2\.5 s"):
            model.run(inputs())
    assert time.monotonic() - began_s > 2.5


def test_float_vectors_are_explained(address: str) -> None:
    with opened(address) as device:
        model = device.load(artifact(program("float_hvx"), profile="hexagonv68"))
        with pytest.raises(DeviceError) as caught:
            model.bench(inputs(), repeat=1)
    assert "floating-point vector code" in caught.value.hint


@pytest.mark.parametrize(
    ("behaviour", "error", "said"),
    [
        ("wrong_magic", DeviceError, "no model of dlcc: it begins with 7f454c46"),
        ("late_start", DeviceTimeout, "no answer in .* s while starting"),
    ],
)
def test_each_failure_of_a_start_is_an_error_of_its_own(
    address: str, behaviour: str, error: type[DeviceError], said: str
) -> None:
    with opened(address, limit_s=1.5) as device:
        with pytest.raises(error, match=said):
            device.load(artifact(program(behaviour)))
        assert none_is_left()


def test_much_work_may_take_longer(address: str) -> None:
    """A second a million multiply-accumulates beyond the limit, here and behind a server."""
    kernels = [{"name": name, "sources": [], "macs": 1_000_000} for name in ("add", "scale")]
    with opened(address, limit_s=1.0) as device:
        model = device.load(artifact(program("spin"), kernels=kernels))
        start_s = time.monotonic()
        with pytest.raises(DeviceTimeout):
            model.run(inputs())
        assert 2.5 < time.monotonic() - start_s < 10


def test_a_program_that_says_too_much_is_not_believed(address: str) -> None:
    with opened(address) as device:
        model = device.load(artifact(program("chatter")))
        same(model.run(inputs()), expected(inputs()))
        time.sleep(0.2)
        with pytest.raises(DeviceError, match="nonsense: more than it was asked"):
            model.run(inputs())


@pytest.mark.parametrize("changed", [{"arena_bytes": 1 << 20}, {"kernels": []}])
def test_a_program_of_another_model_is_refused(changed: dict[str, object]) -> None:
    with opened() as device, pytest.raises(DeviceError, match=r"model\.json tells of"):
        device.load(artifact(**changed))
    assert none_is_left()


def test_inputs_must_be_those_of_the_model() -> None:
    a, b = inputs()
    with opened() as device:
        model = device.load(artifact())
        for wrong in ([a], [a, b.astype("int64")], [a, b.reshape(-1)]):
            with pytest.raises(BadFeed, match="takes"):
                model.run(wrong)
        same(model.run([a, b]), expected([a, b]))


def test_a_killed_emulator_is_noticed() -> None:
    with opened() as device:
        model = device.load(artifact())
        for emulator in emulators():
            emulator.kill()
        with pytest.raises(DeviceError, match="SIGKILL"):
            model.run(inputs())


def test_a_model_can_be_run_in_another_thread() -> None:
    found: list[list[np.ndarray]] = []

    def work() -> None:
        with opened() as device:
            found.append(device.load(artifact()).run(inputs()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    same(found[0], expected(inputs()))
    assert none_is_left()


def test_a_dropped_device_leaves_no_process() -> None:
    device = opened()
    device.load(artifact())
    assert emulators()
    del device
    assert none_is_left()


SPINNING = """
import sys
from dlcc.targets.hexagon.device import open_device
from dlcc.targets.registry import DeviceOptions
from tests.hexagon.programs import artifact, inputs, program
with open_device(sys.argv[1], DeviceOptions(time_limit_s=60)) as device:
    model = device.load(artifact(program("spin")))
    print("READY", flush=True)
    model.run(inputs())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_process(
    hexagon: Emulator, address: str, number: signal.Signals
) -> None:
    program("spin")  # compiled here, so that zig is no child of the one below
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    user = subprocess.Popen(
        [sys.executable, "-c", SPINNING, address], stdout=subprocess.PIPE, env=env
    )
    assert user.stdout is not None
    assert user.stdout.readline() == b"READY\n"
    time.sleep(0.5)
    running = emulators()  # the program's own children are descendants too
    assert running
    user.send_signal(number)
    assert user.wait(20) != 0
    user.stdout.close()
    end_s = time.monotonic() + 5
    while (left := [p for p in running if name_of(p)]) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert not left
