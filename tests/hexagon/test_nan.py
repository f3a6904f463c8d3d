"""NaN, infinities and -0 through functions on the DSP: what TensorFlow makes of them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
pytest.importorskip("tensorflow")

SHAPE = (4, 16)


def special() -> tuple[np.ndarray, np.ndarray]:
    """x, y: all pairs of special values somewhere, among common ones."""
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=SHAPE).astype(np.float32) * 4 for _ in range(2))
    values = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
    pairs = [(a, b) for a in values for b in values]
    x.flat[: len(pairs)] = [a for a, _ in pairs]
    y.flat[: len(pairs)] = [b for _, b in pairs]
    return x, y


def outputs(tf: Any, x: Any, y: Any) -> dict[str, Any]:
    """One output an operator."""
    one = {
        name: getattr(tf.raw_ops, name)
        for name in ("Relu6", "Exp", "Tanh", "Sigmoid", "Log", "Sqrt", "Erf", "Sin", "Softplus")
    }
    made = {name: op(**{_argument(name): x}) for name, op in one.items()}
    made["Relu"] = tf.nn.relu(x)
    made["LeakyRelu"] = tf.nn.leaky_relu(x)
    made["Maximum"], made["Minimum"] = tf.maximum(x, y), tf.minimum(x, y)
    made["clip"] = tf.minimum(tf.maximum(x, -1.0), 2.0)
    made["Max"], made["Min"] = tf.reduce_max(x, 1), tf.reduce_min(x, 0)
    return made


def _argument(name: str) -> str:
    return "features" if name in ("Relu6", "Softplus") else "x"


@pytest.mark.device("hexagon")
def test_special_values_are_tensorflows() -> None:
    import tensorflow as tf

    from dlcc.compiler import compile

    x, y = special()
    with tf.Graph().as_default() as graph:
        a, b = (tf.compat.v1.placeholder(tf.float32, SHAPE, name) for name in "xy")
        made = outputs(tf, a, b)
        with tf.compat.v1.Session(graph=graph) as session:
            wanted = session.run(made, {a: x, b: y})
    names = {name: tensor.name for name, tensor in made.items()}
    container = compile(graph.as_graph_def(), "hexagon", outputs=list(names.values()))
    with container.session() as run:
        found = run.run({"x": x, "y": y})
    for name, want in wanted.items():
        # to 1e-5: functions are right to some ulp there
        np.testing.assert_allclose(found[names[name]], want, 1e-5, 1e-6, err_msg=name)
