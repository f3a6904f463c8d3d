"""Devices for tests. They are real: what a device cannot do is not tested without it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dlcc.targets.errors import DlccError
from dlcc.targets.rpc.dsp import Emulator
from dlcc.targets.rpc.process import ServerProcess
from tests.golden import Golden

DEVICES = {"arm": "arm_server", "hexagon": "hexagon", "opencl": "opencl"}


# Files that take longest, by seconds of the processor. A worker takes whole files: one of these at
# the end would leave the other workers idle.
LONGEST = (
    "tests/cli/test_cli_tune.py",
    "tests/test_zoo.py",
    "tests/netron/test_netron.py",
    "tests/hexagon/test_kernels.py",
    "tests/test_arm_scalable.py",
    "tests/control/test_control.py",
    "tests/frontend/test_forms.py",
    "tests/fuzz/test_fuzz_models.py",
    "tests/hexagon/test_dsp.py",
    "tests/ops/test_complex.py",
    "tests/tuning/test_session.py",
    "tests/tuning/test_tuned_devices.py",
    "tests/test_cpu_knobs.py",
    "tests/ops/test_dtypes.py",
    "tests/test_cpu_kernels.py",
    "tests/hexagon/test_build.py",
    "tests/ops/test_computed.py",
    "tests/ops/test_matrix_functions.py",
    "tests/hexagon/test_knobs.py",
    "tests/test_rpc.py",
    "tests/frontend/test_forms_errors.py",
    "tests/networks/test_networks.py",
    "tests/opencl/test_schedules.py",
    "tests/opencl/test_knobs.py",
)

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they were; `--no-loadscope-reorder` keeps this."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.split("::")[0], len(LONGEST)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """A function: (name, text) -> fails where `tests/golden/NAME` is another text."""
    return Golden(request.config.getoption("--update-golden"))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A function: name -> the script as a module, which is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    for path in SCRIPTS.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module


@pytest.fixture(autouse=True)
def _device_of_the_mark(request: pytest.FixtureRequest) -> None:
    """`@pytest.mark.device("arm")`: skip where it cannot be had.

    With DLCC_REQUIRE_DEVICES=1 that is an error."""
    if mark := request.node.get_closest_marker("device"):
        request.getfixturevalue(DEVICES[mark.args[0]])


@pytest.fixture(scope="session")
def arm_server() -> Iterator[ServerProcess]:
    """One emulated Arm device for all tests; it serves one session after another."""
    from dlcc.targets.arm.emulator import start_emulator

    try:
        server = start_emulator()
    except DlccError as error:
        if os.environ.get("DLCC_REQUIRE_DEVICES") == "1":
            raise
        pytest.skip(f"no emulated Arm device: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def arm_address(arm_server: ServerProcess) -> str:
    """Where the emulated Arm device is, for `--device`."""
    return f"rpc://127.0.0.1:{arm_server.port}"


@pytest.fixture(scope="session")
def hexagon() -> Emulator:
    """The emulator of the DSP, which runs one process for each model."""
    from dlcc.targets.hexagon.qemu import find_qemu

    try:
        return find_qemu()
    except DlccError as error:
        if os.environ.get("DLCC_REQUIRE_DEVICES") == "1":
            raise
        pytest.skip(f"no emulated DSP: {error}")


@pytest.fixture(scope="session")
def opencl() -> Any:
    """TVM's name of the emulated OpenCL device, which runs kernels in this process."""
    from dlcc.targets.opencl.plugin import load_plugin
    from dlcc.targets.opencl.pocl import use_pocl

    try:
        use_pocl()
        load_plugin()
    except DlccError as error:
        if os.environ.get("DLCC_REQUIRE_DEVICES") == "1":
            raise
        pytest.skip(f"no emulated OpenCL device: {error}")
    import tvm

    device = tvm.opencl(0)
    assert device.exist
    return device
