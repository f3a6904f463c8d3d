"""Whole TensorFlow graphs on the DSP: floats as TensorFlow computes them, integers as the host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
pytest.importorskip("tensorflow")

pytestmark = pytest.mark.device("hexagon")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SHIFT = 7


def requantised(tf: Any, sums: Any) -> Any:
    """int32 sums -> uint8 by a shift."""
    shifted = tf.bitwise.right_shift(sums, tf.constant(SHIFT))
    return tf.cast(tf.clip_by_value(shifted, 0, 255), tf.uint8)


def product(tf: Any, x: Any, zero: int, filters: int, size: int = 1) -> Any:
    """A convolution of uint8 with a zero point by weights of 8 bits, int32."""
    w = np.random.default_rng(filters + size).integers(
        -128, 128, (size, size, int(x.shape[-1]), filters), np.int32
    )
    return tf.nn.conv2d(tf.cast(x, tf.int32) - zero, tf.constant(w), 1, "SAME")


def integer_net(tf: Any, x: Any) -> Any:
    """Convolutions of odd and even widths, pooling, addition, requantisation, dense."""
    y = requantised(tf, product(tf, x, 7, 40, 3) + 90)
    z = requantised(tf, product(tf, y, 3, 40))
    y = tf.cast(y, tf.int32) + tf.cast(z, tf.int32)
    y = tf.cast(tf.bitwise.right_shift(y, tf.constant(1)), tf.uint8)
    y = tf.nn.max_pool2d(y, 2, 2, "SAME")
    flat = tf.cast(tf.reshape(y, [1, -1]), tf.int32)
    w = np.random.default_rng(5).integers(-128, 128, (int(flat.shape[1]), 10), np.int32)
    return tf.matmul(flat - 5, tf.constant(w))


def test_integers_are_the_hosts() -> None:
    import tensorflow as tf

    from dlcc.compiler import compile

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.uint8, (1, 9, 11, 3), "x")
        name = integer_net(tf, x).name
    container = compile(graph.as_graph_def(), "host,hexagon", outputs=[name])
    feed = {"x": np.random.default_rng(0).integers(0, 256, (1, 9, 11, 3)).astype(np.uint8)}
    found = []
    for target in ("host", "hexagon"):
        with container.session(target=target) as session:
            found.append(session.run(feed)[name])
            counts = session.bench(feed, repeat=1).counts
    np.testing.assert_array_equal(found[1], found[0])
    assert counts["hvx"] > 1000
    code = container.artifact(next(t for t in container.targets if t.kind == "hexagon"))
    assert json.loads(code.files["model.json"])["profile"] == "hexagonv68"


def quantised_net(tf: Any, x: Any) -> list[Any]:
    """TensorFlow's own operators of 8 bits: convolutions, pools, ReLU, a sum, a dense layer."""
    raw, wide = tf.raw_ops, (-1.0, 3.0)

    def weights(shape: tuple[int, ...]) -> Any:
        values = np.random.default_rng(len(shape)).integers(0, 256, shape, np.uint8)
        return tf.bitcast(tf.constant(values), tf.quint8)

    def bytes_of(y: Any, low: Any, high: Any) -> Any:
        return raw.Requantize(
            input=y, input_min=low, input_max=high, requested_output_min=wide[0],
            requested_output_max=wide[1], out_type=tf.quint8,
        ).output  # fmt: skip

    def conv(y: Any, shape: tuple[int, ...]) -> Any:
        made = raw.QuantizedConv2D(
            input=y, filter=weights(shape), min_input=wide[0], max_input=wide[1],
            min_filter=-0.5, max_filter=0.75, strides=[1, 1, 1, 1], padding="SAME",
        )  # fmt: skip
        return bytes_of(*made)

    def pooled(op: Any, y: Any) -> Any:
        window = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "VALID"}
        return op(input=y, min_input=wide[0], max_input=wide[1], **window).output

    a = conv(tf.bitcast(x, tf.quint8), (3, 3, 3, 40))
    b = conv(a, (1, 1, 40, 40))
    ends = dict(zip(("min_x", "max_x", "min_y", "max_y"), wide * 2, strict=True))
    y = bytes_of(*raw.QuantizedAdd(x=a, y=b, **ends))
    y = raw.QuantizedRelu(features=y, min_features=wide[0], max_features=wide[1]).activations
    y = pooled(raw.QuantizedAvgPool, pooled(raw.QuantizedMaxPool, y))
    flat = tf.bitcast(tf.reshape(tf.bitcast(y, tf.uint8), [1, -1]), tf.quint8)
    dense = raw.QuantizedMatMul(
        a=flat, b=weights((int(flat.shape[1]), 10)), min_a=wide[0], max_a=wide[1],
        min_b=-0.5, max_b=0.75,
    )  # fmt: skip
    return [tf.bitcast(dense.out, tf.int32), tf.bitcast(y, tf.uint8)]


def test_quantised_operators_are_the_hosts_and_reach_the_vectors() -> None:
    import tensorflow as tf

    from dlcc.compiler import compile

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.uint8, (1, 8, 12, 3), "x")
        outputs = [y.name for y in quantised_net(tf, x)]
    container = compile(graph.as_graph_def(), "host,hexagon", outputs=outputs)
    feed = {"x": np.random.default_rng(0).integers(0, 256, (1, 8, 12, 3)).astype(np.uint8)}
    with tf.compat.v1.Session(graph=graph) as session:
        wanted = session.run(outputs, {"x:0": feed["x"]})
    for target in ("host", "hexagon"):
        with container.session(target=target) as session:
            found = session.run(feed)
        for name, value in zip(outputs, wanted, strict=True):
            np.testing.assert_array_equal(found[name], value, target)
    code = container.artifact(next(t for t in container.targets if t.kind == "hexagon"))
    names = [k["name"] for k in json.loads(code.files["model.json"])["kernels"]]
    for product in ("conv2d8", "conv2d8_1x1", "dense8"):
        assert any(product in name for name in names), (product, names)


def frozen(name: str, folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A network of the zoo: its graph, an input, TensorFlow's answer."""
    command = [sys.executable, str(SCRIPTS / "zoo.py"), name, "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    data = np.load(folder / f"{name}.npz")
    return folder / f"{name}.pb", data["input"], data["output"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "resnet50"])
def test_networks_at_full_size(name: str, tmp_path: Path) -> None:
    """Within 1e-3 of the largest output; the code is the weights and at most 1 MiB."""
    from dlcc.compiler import compile

    path, x, wanted = frozen(name, tmp_path)
    container = compile(str(path), "hexagon")
    (row,) = container.targets
    files = container.artifact(row).files
    parameters = json.loads(files["model.json"])["parameter_bytes"]
    assert len(files["model.elf"]) <= parameters + (1 << 20)
    with container.session() as session:
        (found,) = session.run({"input": x}).values()
    assert np.abs(found - wanted).max() <= 1e-3 * np.abs(wanted).max()
