"""A container for a phone, in the emulated Arm device: code for arm64 and OpenCL C inside it.

PoCL compiles kernels there under emulation: ten seconds each, the first time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
pytest.importorskip("tensorflow")

from dlcc.compiler import compile
from dlcc.compiler.container import Container
from dlcc.targets.arm.emulator import start_emulator
from dlcc.targets.check import check
from dlcc.targets.device import CallTime
from tests.opencl.engines import graph_of, random_feed, tensorflows
from tests.opencl.test_schedules import weights

pytestmark = [pytest.mark.device("arm"), pytest.mark.slow]

SHAPES = {"x": ((2, 8, 8, 8), "float32")}
FEED = random_feed(SHAPES)


def network(tf: Any, x: Any) -> Any:
    """A convolution, a maximum, a product with sums in it, and what each class is likely."""
    y = tf.nn.relu(tf.nn.conv2d(x, tf.constant(weights(3, 3, 8, 16)), 1, "SAME"))
    y = tf.nn.max_pool2d(y, 2, 2, "SAME")
    return tf.nn.softmax(tf.matmul(tf.reshape(y, [2, -1]), tf.constant(weights(256, 10) / 100)))


@cache
def container(fp16: bool = False) -> tuple[Container, np.ndarray]:
    """The network for a phone, and TensorFlow's answer."""
    graph, outputs = graph_of(network, SHAPES)
    (wanted,) = tensorflows(graph, outputs, FEED)
    return compile(graph.as_graph_def(), "adreno-640,arm", outputs=outputs, fp16=fp16), wanted


@pytest.fixture(scope="module")
def phone() -> Iterator[str]:
    """The address of the device."""
    server = start_emulator(opencl=True)
    yield f"rpc://127.0.0.1:{server.port}"
    server.stop()


def test_the_device_has_opencl(phone: str) -> None:
    rows = {row.name: row for row in check(phone)}
    assert rows["can run"].value == "arm, opencl"
    assert rows["architecture"].value == "aarch64"
    assert "PoCL" in rows["opencl"].value
    assert "aarch64" in rows["opencl"].value
    assert all(row.good for row in rows.values())


@pytest.mark.parametrize("target", ["adreno-640", "arm"])
def test_matches_tensorflow(phone: str, target: str) -> None:
    made, wanted = container()
    with made.session(device=phone, target=target) as session:
        (found,) = session.run(FEED).values()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_kernels_are_counted_until_the_device_is_done(phone: str) -> None:
    made, _ = container()
    with made.session(device=phone, target="adreno-640") as session:
        whole = session.bench(FEED, repeat=1).counts
        rows = session.profile(FEED)
    assert [row.placement for row in rows if isinstance(row, CallTime)][1:-1] == ["gpu"] * 4
    assert whole is not None
    counts = [row.counts["instructions"] for row in rows if row.counts]
    assert len(counts) == len(rows)
    assert whole["instructions"] / 2 < sum(counts) < 2 * whole["instructions"]


def test_its_cpu_runs_what_its_gpu_refuses(phone: str) -> None:
    made, wanted = container(fp16=True)
    with made.session(device=phone, target="adreno-640,arm") as session:
        assert session.target == "arm cortex-a76"
        assert "has no half precision" in session.passed_over[0]
        (found,) = session.run(FEED).values()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
