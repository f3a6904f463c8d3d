"""Kernels of odd sizes on PoCL, scheduled for a CPU and for a GPU, against TensorFlow."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
import pytest
from tvm import relax

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
pytest.importorskip("tensorflow")

from dlcc.compiler.frontend.load import load_all
from dlcc.compiler.frontend.translate import translate
from dlcc.compiler.passes.pipeline import optimize
from dlcc.targets.opencl.build import build, scheduled
from dlcc.targets.opencl.device import open_device
from dlcc.targets.opencl.engine import Engine
from dlcc.targets.opencl.schedule import schedule_kernel
from dlcc.targets.registry import DeviceOptions
from tests.opencl.engines import CHIPS, graph_of, random_feed, tensorflows


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def conv(x_shape: tuple[int, ...], w_shape: tuple[int, ...], **options: Any) -> Any:
    def make(tf: Any, x: Any) -> Any:
        y = tf.nn.conv2d(x, tf.constant(weights(*w_shape)), **options)
        return tf.nn.relu(y + tf.constant(weights(w_shape[-1])))

    return make, x_shape


def depthwise(x_shape: tuple[int, ...], w_shape: tuple[int, ...], **options: Any) -> Any:
    def make(tf: Any, x: Any) -> Any:
        y = tf.nn.depthwise_conv2d(x, tf.constant(weights(*w_shape)), **options)
        return tf.nn.relu6(y)

    return make, x_shape


def dense(rows: int, depth: int, columns: int) -> Any:
    def make(tf: Any, x: Any) -> Any:
        y = tf.matmul(x, tf.constant(weights(depth, columns)))
        return tf.nn.elu(y + tf.constant(weights(columns)))

    return make, (rows, depth)


CASES = {
    "first layer, asymmetric pads": conv((2, 15, 18, 3), (3, 3, 3, 24), strides=2, padding="SAME"),
    "stride and odd width": conv((1, 13, 17, 20), (5, 3, 20, 12), strides=(2, 3), padding="VALID"),
    "dilation": conv((3, 12, 11, 6), (3, 3, 6, 10), strides=1, padding="SAME", dilations=(2, 3)),
    "groups": conv((2, 9, 10, 8), (3, 3, 4, 16), strides=1, padding="SAME"),
    "explicit pads": conv(
        (1, 8, 9, 16), (3, 3, 16, 7), strides=1, padding=[[0, 0], [0, 2], [1, 0], [0, 0]]
    ),
    "pointwise": conv((2, 7, 5, 33), (1, 1, 33, 40), strides=1, padding="SAME"),
    "pointwise with stride": conv((1, 7, 9, 16), (1, 1, 16, 24), strides=2, padding="SAME"),
    "depthwise": depthwise((2, 11, 13, 24), (3, 3, 24, 1), strides=[1, 1, 1, 1], padding="SAME"),
    "depthwise, stride": depthwise(
        (1, 10, 14, 40), (5, 5, 40, 1), strides=[1, 2, 2, 1], padding="SAME"
    ),
    "depthwise, multiplier": depthwise(
        (2, 6, 7, 5), (3, 3, 5, 3), strides=[1, 1, 1, 1], padding="VALID"
    ),
    "one row": dense(1, 300, 1001),
    "few rows": dense(3, 257, 70),
    "many rows": dense(65, 48, 96),
    "max pool": (lambda tf, x: tf.nn.max_pool2d(x, 3, 2, "SAME"), (2, 9, 12, 20)),
    "mean pool": (lambda tf, x: tf.nn.avg_pool2d(x, (3, 2), (2, 1), "SAME"), (2, 9, 12, 7)),
    "global mean": (lambda tf, x: tf.reduce_mean(x, [1, 2]), (2, 7, 9, 130)),
    "whole sum": (lambda tf, x: tf.reduce_sum(x), (3, 50, 21)),
    "sum of a scalar's multiples": (
        lambda tf, x: tf.reduce_sum(x * tf.reduce_sum(x) + tf.sqrt(tf.reduce_max(x)), 0),
        (5, 3),
    ),
    "softmax": (lambda tf, x: tf.nn.softmax(x), (3, 1001)),
    "argmax": (lambda tf, x: tf.argmax(x, 1), (4, 130, 3)),
    "concat, pad, transpose": (
        lambda tf, x: tf.transpose(tf.pad(tf.concat([x, tf.tanh(x)], 2), [[0, 0], [1, 2], [0, 3]])),
        (2, 5, 6),
    ),
    "booleans": (lambda tf, x: tf.where((x > 0) & (x < 1), x, tf.zeros_like(x) - 2.0), (4, 8, 16)),
    "batched product": (lambda tf, x: tf.matmul(x, x, transpose_b=True), (3, 17, 24)),
}


def module_of(make: Any, shape: tuple[int, ...]) -> tuple[relax.expr.IRModule, Any, list[str]]:
    graph, outputs = graph_of(make, {"x": (shape, "float32")})
    (loaded,) = load_all(graph.as_graph_def(), None, outputs)
    return optimize(translate(loaded, "drop").module), graph, outputs


@cache
def module(case: str) -> relax.expr.IRModule:
    """The module of a case, which all tests share."""
    return module_of(*CASES[case])[0]


SHAPES = {f"x{i}": (shape, "float32") for i, (_, shape) in enumerate(CASES.values())}
FEED = random_feed(SHAPES)


@cache
def all_cases() -> tuple[relax.expr.IRModule, dict[str, np.ndarray]]:
    """All cases in one module, which is built and linked once, and TensorFlow's answers."""

    def make(tf: Any, *inputs: Any) -> list[Any]:
        return [made(tf, x) for (made, _), x in zip(CASES.values(), inputs, strict=True)]

    graph, outputs = graph_of(make, SHAPES)
    (loaded,) = load_all(graph.as_graph_def(), None, outputs)
    answers = tensorflows(graph, outputs, FEED)
    mod = optimize(translate(loaded, "drop").module)
    return mod, dict(zip(CASES, answers, strict=True))


@cache
def found_on(engine: str) -> dict[str, np.ndarray]:
    """What PoCL computes of all cases."""
    mod, _ = all_cases()
    inputs = [FEED[str(p.name)] for p in mod["main"].params]
    with open_device("emulator", DeviceOptions()) as device:
        found = device.load(build(mod, CHIPS[engine])).run(inputs)
    return dict(zip(CASES, found, strict=True))


@pytest.mark.device("opencl")
@pytest.mark.parametrize("engine", CHIPS)
@pytest.mark.parametrize("case", CASES)
def test_matches_tensorflow(case: str, engine: str) -> None:
    value, wanted = found_on(engine)[case], all_cases()[1][case]
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("engine", CHIPS)
@pytest.mark.parametrize(
    ("case", "rule"),
    [
        ("first layer, asymmetric pads", "conv2d"),
        ("dilation", "conv2d"),
        ("pointwise", "matmul"),
        ("depthwise, stride", "depthwise"),
        ("one row", "matmul"),
        ("softmax", "stages"),
    ],
)
def test_kernels_get_the_rule_that_they_are_made_for(case: str, rule: str, engine: str) -> None:
    from dlcc.targets.cpu.fuse import fuse
    from dlcc.targets.cpu.legalize import legalize
    from dlcc.targets.opencl.target import host_target

    chip = CHIPS[engine]
    host = host_target(chip)
    mod = fuse(legalize(module(case), chip, host), host)
    kernels = {str(v.name_hint): mod[v] for v in mod.get_global_vars() if v.name_hint != "main"}
    rules = {schedule_kernel(k, name, Engine.of(chip))[1].rule for name, k in kernels.items()}
    assert rule in rules
    assert "" not in rules


@pytest.mark.parametrize("engine", CHIPS)
@pytest.mark.parametrize("case", ["pointwise", "depthwise", "one row", "max pool", "softmax"])
def test_every_kernel_is_work_items_of_groups(case: str, engine: str) -> None:
    text = scheduled(module(case), CHIPS[engine])
    gpu = CHIPS[engine].gpu
    assert gpu is not None
    for kernel in text.split("@T.prim_func")[1:]:
        assert "blockIdx.x" in kernel
        assert "threadIdx.x" in kernel


def test_a_gpu_shares_long_sums_among_work_items() -> None:
    assert "threadIdx.y" in scheduled(module("one row"), CHIPS["gpu"])
    assert "threadIdx.y" not in scheduled(module("one row"), CHIPS["cpu"])


@pytest.mark.parametrize(
    ("engine", "axis", "lanes"),
    [("cpu", 0, 8), ("cpu", 1, 8), ("gpu", 0, 4), ("gpu", 1, None)],
)
def test_sums_are_vectors_in_registers(engine: str, axis: int, lanes: int | None) -> None:
    """On a GPU only of numbers side by side: along axis 1 each of a vector would be a load."""
    shape = (40960, 16) if axis else (16, 40960)  # results enough for no group to share one
    mod, _, _ = module_of(lambda tf, x: tf.reduce_sum(x, axis), shape)
    text = scheduled(mod, CHIPS[engine])
    assert 'scope="local"' in text
    assert ("T.vectorized" in text) == (lanes is not None)
    assert lanes is None or f"T.vectorized(T.int64({lanes}))" in text
