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
