"""The DSP behind a device server: of this machine, and of the emulated Arm device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from dlcc.targets.check import check
from dlcc.targets.errors import DeviceError
from dlcc.targets.hexagon.device import open_device
from dlcc.targets.registry import DeviceOptions, kind
from dlcc.targets.rpc.dsp import Emulator
from dlcc.targets.rpc.process import ServerProcess
from dlcc.targets.rpc.serve import dsp_arguments, start_server, start_tracker_process
from tests.device_models import layer
from tests.hexagon.programs import artifact, expected, inputs, program


def address_of(server: ServerProcess) -> str:
    return f"rpc://127.0.0.1:{server.port}"


def check_dsp(address: str) -> None:
    with open_device(address, DeviceOptions(time_limit_s=30)) as device:
        model = device.load(artifact())
        for output, wanted in zip(model.run(inputs()), expected(inputs()), strict=True):
            np.testing.assert_array_equal(output, wanted)
        counts = model.bench(inputs(), repeat=1).counts
        with open_device("emulator", DeviceOptions()) as here:
            assert here.load(artifact()).bench(inputs(), repeat=1).counts == counts


@pytest.fixture(scope="module")
def arm_with_dsp(hexagon: Emulator) -> Iterator[ServerProcess]:
    """The emulated Arm device, which starts the DSP's emulator itself: qemu hands the call of a
    program of this machine on to the kernel."""
    from dlcc.targets.arm.emulator import start_emulator

    server = start_emulator(dsp_arguments(hexagon.command[-1]))
    yield server
    server.stop()


@pytest.mark.device("hexagon")
def test_a_server_of_this_machine_offers_it(hexagon: Emulator) -> None:
    server = start_server(dsp_arguments(hexagon.command[-1]))
    try:
        for _ in range(2):  # one session after another
            check_dsp(address_of(server))
        rows = {row.name: row for row in check(address_of(server), tests=False)}
        assert rows["can run"].value == "host, hexagon"
        assert rows["dsp"].value.startswith(f"qemu {hexagon.version} (v")
        artifact_, x, wanted = layer("host")  # and its CPU still runs models
        with kind("host").open_device(address_of(server), DeviceOptions()) as device:
            np.testing.assert_allclose(device.load(artifact_).run([x])[0], wanted[0], rtol=1e-4)
    finally:
        server.stop()


@pytest.mark.device("arm")
def test_the_emulated_arm_device_offers_it(arm_with_dsp: ServerProcess) -> None:
    address = address_of(arm_with_dsp)
    check_dsp(address)
    rows = {row.name: row for row in check(address, tests=False)}
    assert rows["can run"].value == "arm, hexagon"


@pytest.mark.device("arm")
def test_failures_cross_the_emulated_arm_device(arm_with_dsp: ServerProcess) -> None:
    with open_device(address_of(arm_with_dsp), DeviceOptions(time_limit_s=30)) as device:
        model = device.load(artifact(program("crash")))
        with pytest.raises(DeviceError, match="SIGSEGV"):
            model.run(inputs())
        model = device.load(artifact(program("float_hvx"), profile="hexagonv68"))
        with pytest.raises(DeviceError, match="the emulator gave up"):
            model.run(inputs())


@pytest.mark.device("hexagon")
def test_a_tracker_gives_it_out(hexagon: Emulator) -> None:
    tracker = start_tracker_process("127.0.0.1", 0)
    arguments = ["--tracker", f"127.0.0.1:{tracker.port}", "--key", "phone"]
    server = start_server([*arguments, *dsp_arguments(hexagon.command[-1])])
    try:
        check_dsp(f"rpc://127.0.0.1:{tracker.port}/phone")
    finally:
        server.stop()
        tracker.stop()


@pytest.mark.parametrize("arguments", [[], ["--dsp", "/nonexistent/qemu"], ["--dsp", "/bin/true"]])
def test_a_server_without_one_says_so(arguments: list[str]) -> None:
    server = start_server(arguments)
    try:
        with pytest.raises(DeviceError, match="offers no Hexagon DSP") as caught:
            open_device(address_of(server), DeviceOptions())
        assert "--dsp" in caught.value.hint
        assert ("no DSP is offered" in server.said()) == bool(arguments)
        rows = {row.name: row for row in check(address_of(server), tests=False)}
        assert rows["can run"].value == "host"
    finally:
        server.stop()
