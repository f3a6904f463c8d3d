"""Half precision: what lies in memory as float16, and how far its results are off."""

from __future__ import annotations

import json
import logging
import os
from functools import cache
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
pytest.importorskip("tensorflow")

from dlcc.compiler import compile
from dlcc.compiler.errors import UsageError
from dlcc.targets.artifact import Artifact
from dlcc.targets.opencl.build import assembly, build, scheduled
from dlcc.targets.opencl.half_error import half_error
from tests.opencl.engines import HALF
from tests.opencl.test_schedules import module, module_of, weights


def two_layers(tf: Any, x: Any) -> Any:
    y = tf.nn.relu(tf.nn.conv2d(x, tf.constant(weights(3, 3, 8, 16)), 1, "SAME"))
    y = tf.nn.max_pool2d(y, 2, 2, "SAME")
    return tf.nn.softmax(tf.matmul(tf.reshape(y, [2, -1]), tf.constant(weights(256, 10))))


SHAPE = (2, 8, 8, 8)


@cache
def halved() -> Artifact:
    """`two_layers` in half precision."""
    return build(module_of(two_layers, SHAPE)[0], HALF)


def test_kernels_read_and_write_half_and_add_up_in_float32() -> None:
    mod, _, _ = module_of(two_layers, SHAPE)
    text = scheduled(mod, HALF)
    kernels = text.split("@T.prim_func")[1:]
    conv = next(k for k in kernels if "conv2d" in k)
    signature = conv.split("):")[0]
    assert '"float16"' in signature
    assert '"float32"' not in signature
    assert "windows_local = T.sblock_alloc_buffer" in conv
    local = next(line for line in conv.splitlines() if "windows_local = T.sblock_alloc" in line)
    assert "float16" not in local  # the sums
    assert "cl_khr_fp16 : enable" in assembly(mod, HALF)


def test_weights_are_half_and_results_float32() -> None:
    artifact = halved()
    assert {str(w.dtype) for w in artifact.weights} == {"float16"}
    assert artifact.processor == "float16"
    error = json.loads(artifact.files["placement.json"])["half_error"]
    assert 0 < error < 5e-2


@pytest.mark.parametrize("case", ["first layer, asymmetric pads", "depthwise", "softmax"])
def test_the_error_is_that_of_rounding_to_half(case: str) -> None:
    artifact = build(module(case), HALF)
    error = json.loads(artifact.files["placement.json"])["half_error"]
    assert 1e-6 < error < 4e-3  # eleven bits, a few times over


def test_a_weight_too_large_for_half_stays_float32() -> None:
    def make(tf: Any, x: Any) -> Any:
        large = weights(256, 4)
        large[3, 2] = 1e6
        return tf.matmul(x, tf.constant(large)), tf.matmul(x, tf.constant(weights(256, 6)))

    mod, _, _ = module_of(make, (2, 256))
    artifact = build(mod, HALF)
    assert {str(w.dtype) for w in artifact.weights} == {"float16", "float32"}


def test_error_of_equal_modules_is_nothing() -> None:
    from dlcc.targets.cpu.fuse import fuse
    from dlcc.targets.cpu.legalize import legalize
    from dlcc.targets.cpu.weights import lift_weights
    from dlcc.targets.opencl.target import host_target

    host = host_target(HALF)
    mod, _, _ = module_of(two_layers, SHAPE)
    lifted, kept = lift_weights(fuse(legalize(mod, HALF, host), host), least_bytes=1)
    assert half_error(lifted, kept, lifted, kept) == 0.0


def test_other_targets_cannot_be_asked() -> None:
    from tests.opencl.engines import graph_of

    graph, outputs = graph_of(two_layers, {"x": (SHAPE, "float32")})
    with pytest.raises(UsageError, match="half precision"):
        compile(graph.as_graph_def(), "host,hexagon", outputs=outputs, fp16=True)


def test_a_phone_gets_half_and_its_cpu_float32(caplog: pytest.LogCaptureFixture) -> None:
    from tests.opencl.engines import graph_of

    graph, outputs = graph_of(two_layers, {"x": (SHAPE, "float32")})
    caplog.set_level(logging.INFO, logger="dlcc")
    container = compile(graph.as_graph_def(), "adreno-640,arm", outputs=outputs, fp16=True)
    assert [row.processor for row in container.targets] == ["float16", ""]
    said = [record.getMessage() for record in caplog.records]
    assert any("half precision is off by" in line for line in said)
    assert "cortex-a76: float32" in said
    code = container.artifact(container.targets[0]).files["module.so"]
    assert np.frombuffer(code, np.uint8)[18] == 0xB7  # EM_AARCH64


@pytest.mark.device("opencl")
def test_a_device_without_half_refuses_the_code() -> None:
    from dlcc.targets.errors import DeviceError
    from dlcc.targets.opencl.device import open_device
    from dlcc.targets.registry import DeviceOptions

    artifact = halved()
    with open_device("emulator", DeviceOptions()) as device:
        if device.describe()["opencl fp16"] == "yes":
            pytest.skip("this PoCL has half precision")
        with pytest.raises(DeviceError, match="no half precision") as caught:
            device.load(artifact)
        assert "--fp16" in caught.value.hint
