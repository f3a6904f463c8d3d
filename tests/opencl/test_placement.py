"""Which kernels run on the GPU, which on the CPU, and what is copied between them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
pytest.importorskip("tensorflow")

from dlcc.compiler import compile
from dlcc.compiler.errors import DeviceError
from dlcc.compiler.why import why
from dlcc.targets.artifact import Artifact
from dlcc.targets.device import CallTime
from tests.opencl.engines import graph_of, random_feed, tensorflows

pytestmark = pytest.mark.device("opencl")
Shapes = Mapping[str, tuple[Sequence[int], str]]


def run(make: Any, shapes: Shapes) -> tuple[dict[str, Any], list[CallTime]]:
    """What `placement.json` says of a graph, and its profile; its results are TensorFlow's."""
    graph, outputs = graph_of(make, shapes)
    container = compile(graph.as_graph_def(), "opencl", outputs=outputs)
    feed = random_feed(shapes)
    with container.session(device="emulator") as session:
        found = session.run(feed)
        rows = session.profile(feed)
    for name, wanted in zip(outputs, tensorflows(graph, outputs, feed), strict=True):
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5)
        assert found[name].dtype == wanted.dtype
    (target,) = container.targets
    placement = json.loads(container.artifact(target).files["placement.json"])
    return placement, [row for row in rows if isinstance(row, CallTime)]


def places(rows: Sequence[CallTime]) -> list[str]:
    return [row.placement for row in rows]


def test_floats_run_on_the_gpu_between_two_copies() -> None:
    _, rows = run(lambda tf, x: tf.nn.relu(x * 2.0 + 1.0), {"x": ((3, 5, 7), "float32")})
    assert places(rows) == ["copy", "gpu", "copy"]
    assert [row.bytes for row in rows if row.placement == "copy"] == [420, 420]


def test_what_opencl_lacks_runs_on_the_cpu_and_says_why() -> None:
    def make(tf: Any, x: Any) -> Any:
        wide = tf.exp(tf.cast(x, tf.float64))
        return tf.nn.relu(tf.cast(wide, tf.float32) - 1.0), tf.math.lgamma(tf.abs(x) + 1.0)

    placement, rows = run(make, {"x": ((4, 9), "float32")})
    assert "cpu" in places(rows)
    assert any("float64" in reason for reason in placement["reasons"].values())
    assert set(placement["kernels"].values()) <= {"gpu", "cpu"}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"weights_on_gpu": [true, false]}', b'{"weights_on_gpu": [1]}']
)
def test_a_damaged_placement_is_refused(content: bytes) -> None:
    artifact = Artifact("opencl", "opencl", {"placement.json": content}, [np.zeros(3)])
    with pytest.raises(DeviceError, match="placement of weights for opencl is damaged"):
        artifact.accelerated()


def test_why_names_the_reason() -> None:
    graph, outputs = graph_of(lambda tf, x: tf.exp(x), {"x": ((4, 9), "float64")})
    fate = why(graph.as_graph_def(), "Exp", "opencl", outputs=outputs)
    assert "on the CPU (it computes in float64" in fate.steps[-1].what


def test_sorting_runs_on_the_cpu_behind_a_layer_of_the_gpu() -> None:
    def make(tf: Any, x: Any) -> Any:
        w = np.random.default_rng(1).standard_normal((16, 33)).astype(np.float32)
        scores = tf.nn.relu(tf.matmul(x, tf.constant(w)))
        found = tf.math.top_k(scores, 5)
        return found.values * 2.0, found.indices

    _, rows = run(make, {"x": ((6, 16), "float32")})
    found = places(rows)
    assert found.index("gpu") < found.index("cpu")  # the layer, then the sort


def test_a_few_whole_numbers_are_the_cpus() -> None:
    placement, rows = run(lambda tf, x: x * 3 + 1, {"x": ((4, 4), "int32")})
    assert places(rows) == ["cpu"]
    assert list(placement["reasons"].values()) == ["it computes a few whole numbers"]


def test_many_whole_numbers_are_the_gpus() -> None:
    _, rows = run(lambda tf, x: x * 3 + 1, {"x": ((80, 80), "int32")})
    assert places(rows) == ["copy", "gpu", "copy"]


def test_a_weight_that_both_read_lies_in_both() -> None:
    values = np.random.default_rng(2).standard_normal((40, 3)).astype(np.float32)

    def make(tf: Any, x: Any) -> Any:
        w = tf.constant(values)
        order = tf.argsort(w, axis=0)  # folded or not: it is the CPU's
        return tf.matmul(x, w), tf.math.lgamma(tf.abs(w) + x[0, 0] * 0.0 + 1.0), order

    placement, rows = run(make, {"x": ((5, 40), "float32")})
    assert {"gpu", "cpu"} <= set(places(rows))
    assert True in placement["weights_on_gpu"]


@pytest.mark.parametrize("steps", [0, 3])
def test_loops_carry_tensors_on_the_gpu(steps: int) -> None:
    def make(tf: Any, x: Any, n: Any) -> Any:
        w = tf.constant(np.random.default_rng(3).standard_normal((8, 8)).astype(np.float32) / 4)
        _, y = tf.while_loop(
            lambda i, _: i < n + steps,
            lambda i, y: (i + 1, tf.nn.relu(tf.matmul(y, w)) + y),
            [n, x],
        )
        return y

    run(make, {"x": ((4, 8), "float32"), "n": ((), "int32")})


def test_branches_give_what_they_were_given() -> None:
    def make(tf: Any, x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0, lambda: (x, x * 2.0), lambda: (tf.exp(x), x))

    run(make, {"x": ((3, 8), "float32")})


def test_an_input_may_be_an_output() -> None:
    run(lambda tf, x: [tf.identity(x), tf.reshape(x, (5, 4)) + 1.0], {"x": ((4, 5), "float32")})


def test_open_dimensions_stay_open() -> None:
    shapes = {"x": ((None, 6, 6, 3), "float32")}
    w = np.random.default_rng(4).standard_normal((3, 3, 3, 8)).astype(np.float32)

    def make(tf: Any, x: Any) -> Any:
        y = tf.nn.relu(tf.nn.conv2d(x, tf.constant(w), 2, "SAME"))
        return tf.reduce_mean(y, [1, 2])

    graph, outputs = graph_of(make, shapes)  # type: ignore[arg-type]
    container = compile(graph.as_graph_def(), "opencl", outputs=outputs)
    with container.session(device="emulator") as session:
        for batch in (1, 3):
            feed = random_feed({"x": ((batch, 6, 6, 3), "float32")}, seed=batch)
            (wanted,) = tensorflows(graph, outputs, feed)
            np.testing.assert_allclose(session.run(feed)[outputs[0]], wanted, rtol=1e-4, atol=1e-5)


def test_nan_goes_through_relu_and_clips() -> None:
    graph, outputs = graph_of(
        lambda tf, x: [tf.nn.relu(x), tf.nn.relu6(x), tf.clip_by_value(x, -1.0, 1.0)],
        {"x": ((4, 16), "float32")},
    )
    feed = random_feed({"x": ((4, 16), "float32")})
    feed["x"][1, 3] = np.nan
    feed["x"][2, :] = np.inf
    container = compile(graph.as_graph_def(), "opencl", outputs=outputs)
    with container.session(device="emulator") as session:
        found = session.run(feed)
    for name, wanted in zip(outputs, tensorflows(graph, outputs, feed), strict=True):
        np.testing.assert_array_equal(found[name], wanted)
