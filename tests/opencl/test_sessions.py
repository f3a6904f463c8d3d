"""Sessions on OpenCL devices: which is taken, what a client needs, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
pytest.importorskip("tensorflow")

from dlcc.compiler import compile, open_container
from dlcc.compiler.errors import DeviceError
from dlcc.targets.rpc.process import ServerProcess
from dlcc.targets.rpc.serve import opencl_arguments, start_server
from tests.opencl.engines import graph_of, random_feed, tensorflows
from tests.opencl.test_schedules import weights

pytestmark = pytest.mark.device("opencl")

SHAPES = {"x": ((2, 7, 9, 3), "float32")}
# A client as on a machine where dlcc was just installed: nothing loads the plug-in.
CLIENT = """
import sys
import numpy as np, tvm_ffi
from dlcc.compiler import open_container
path, address, data = sys.argv[1:]
given = dict(np.load(data))
with open_container(path).session(device=address) as session:
    (found,) = session.run({"x": given["x"]}).values()
    again, = session.run({"x": given["x"]}).values()
    rows = session.profile({"x": given["x"]})
assert tvm_ffi.get_global_func("device_api.opencl", allow_missing=True) is None
np.testing.assert_array_equal(found, again)
np.testing.assert_allclose(found, given["y"], rtol=1e-4, atol=1e-5)
print([row.placement for row in rows])
"""


def net(tf: Any, x: Any) -> Any:
    y = tf.nn.relu(tf.nn.conv2d(x, tf.constant(weights(3, 3, 3, 16)), 2, "SAME"))
    return tf.nn.softmax(tf.matmul(tf.reshape(y, [2, -1]), tf.constant(weights(320, 10))))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A container for opencl and arm, an input, and TensorFlow's answer."""
    graph, outputs = graph_of(net, SHAPES)
    feed = random_feed(SHAPES)
    (wanted,) = tensorflows(graph, outputs, feed)
    path = tmp_path_factory.mktemp("sessions") / "net.dlc"
    compile(graph.as_graph_def(), "opencl,arm", outputs=outputs).save(path)
    return path, feed["x"], wanted


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A device server that offers PoCL."""
    arguments, env = opencl_arguments("emulator")
    started = start_server(arguments, env=env)
    yield started
    started.stop()


def test_a_client_needs_no_plug_in(
    made: tuple[Path, np.ndarray, np.ndarray], server: ServerProcess, tmp_path: Path
) -> None:
    path, x, wanted = made
    np.savez(tmp_path / "data.npz", x=x, y=wanted)
    address = f"rpc://127.0.0.1:{server.port}"
    command = [sys.executable, "-c", CLIENT, str(path), address, str(tmp_path / "data.npz")]
    env = {**os.environ, "TVM_DEVICE_BACKEND_AUTOLOAD": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == str(["copy", *["gpu"] * 3, "copy"]).split()


def test_order_decides_where_both_could_run(
    made: tuple[Path, np.ndarray, np.ndarray], server: ServerProcess
) -> None:
    path, x, wanted = made
    address = f"rpc://127.0.0.1:{server.port}"
    with open_container(path).session(device=address, target="opencl,arm") as session:
        assert session.target == "opencl"
        assert session.passed_over == ()
        (found,) = session.run({"x": x}).values()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.device("arm")
def test_a_device_without_opencl_runs_the_second(
    made: tuple[Path, np.ndarray, np.ndarray], arm_address: str
) -> None:
    path, x, wanted = made
    with open_container(path).session(device=arm_address, target="opencl,arm") as session:
        assert session.target == "arm cortex-a76"
        (reason,) = session.passed_over
        assert "offers no OpenCL device" in reason
        (found,) = session.run({"x": x}).values()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_machine_without_opencl_says_what_to_do(
    made: tuple[Path, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _, _ = made
    monkeypatch.setattr("dlcc.targets.opencl.found.LIBRARIES", ("libNoSuchOpenCL.so",))
    monkeypatch.delenv("DLCC_OPENCL_LIBRARY", raising=False)
    with pytest.raises(DeviceError, match="no OpenCL device") as caught:
        open_container(path).session(device="local", target="opencl")
    assert "--device emulator" in caught.value.hint


def test_the_runtime_tries_the_libraries_that_are_looked_for() -> None:
    from dlcc.targets.opencl.found import LIBRARIES
    from dlcc.targets.opencl.plugin import SOURCES

    listed = (SOURCES / "loader.cc").read_text().split("kNames[] = {")[1].split("};")[0]
    assert tuple(re.findall(r'"(.+?)"', listed)) == LIBRARIES


def test_memory_that_is_not_there_is_told_in_bytes(tmp_path: Path) -> None:
    graph, outputs = graph_of(
        lambda tf, x: tf.reduce_max(tf.sort(tf.broadcast_to(x, (20000, 15000)) * 2.0)),
        {"x": ((1, 15000), "float32")},
    )
    path = tmp_path / "large.dlc"
    compile(graph.as_graph_def(), "opencl", outputs=outputs).save(path)
    command = [sys.executable, "-m", "dlcc.compiler.cli", "run", str(path), "--random", "0"]
    command += ["--device", "emulator"]
    env = {**os.environ, "POCL_MEMORY_LIMIT": "1"}  # GiB, of the device in all
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    told = r"OpenCL device \S.* has no memory for 1200\d{6} bytes: .*largest single allocation \d+"
    assert re.search(told, done.stderr)


def test_placement_is_readable(made: tuple[Path, np.ndarray, np.ndarray]) -> None:
    container = open_container(made[0])
    row = next(row for row in container.targets if row.kind == "opencl")
    files = container.artifact(row).files
    assert sorted(files) == ["kernels.json", "memory.json", "module.so", "placement.json"]
    assert set(json.loads(files["placement.json"])) == {
        *("weights_on_gpu", "kernels", "reasons", "half_error")
    }
