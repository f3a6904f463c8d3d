"""Small TensorFlow graphs, an input for each, and what TensorFlow makes of it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

DRAW = np.random.default_rng(5)
Feeds = dict[str, np.ndarray]


def weight(*shape: int) -> Any:
    return tf.constant(DRAW.normal(size=shape).astype("float32") * 0.3)


def convolutions(x: Any) -> list[Any]:
    """Batch 2, odd sizes, a depthwise convolution, softmax."""
    y = tf.nn.relu(tf.nn.conv2d(x, weight(3, 3, 3, 11), 2, "SAME") + weight(11))
    y = tf.nn.depthwise_conv2d(y, weight(3, 3, 11, 1), [1, 1, 1, 1], "SAME")
    y = tf.nn.max_pool2d(tf.nn.tanh(y), 2, 2, "VALID")
    return [tf.nn.softmax(tf.reshape(y, (2, -1)) @ weight(4 * 5 * 11, 7))]


def integers(x: Any) -> list[Any]:
    wide = tf.cast(x, tf.int32)
    y = tf.bitwise.bitwise_xor(wide * 3 + 7, wide // 5)
    return [tf.cast(y % 251, tf.uint8), tf.reduce_sum(y, 1), tf.reduce_max(x, 0), x > 7]


def nothing(x: Any) -> list[Any]:
    """Tensors without elements, an input handed back, a constant."""
    return [x[:0], x * 2.0, tf.identity(x), weight(3)]


def wide(x: Any) -> list[Any]:
    """float64, with functions that a freestanding program lacks."""
    return [tf.math.erf(x), tf.math.lgamma(x), tf.sin(x)]


GRAPHS: dict[str, tuple[Any, np.ndarray]] = {
    "convolutions": (convolutions, DRAW.normal(size=(2, 17, 19, 3)).astype("float32")),
    "integers": (integers, DRAW.integers(0, 256, (13, 29)).astype("uint8")),
    "nothing": (nothing, DRAW.normal(size=(5, 3)).astype("float32")),
    "wide": (wide, DRAW.uniform(0.5, 3, (7, 11))),
}


@cache
def graph(name: str) -> tuple[Any, list[str], np.ndarray, list[np.ndarray]]:
    """GraphDef, names of the outputs, value of the input `x`, values of the outputs."""
    make, value = GRAPHS[name]
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(value.dtype, value.shape, name="x")
        outputs = [tf.identity(y, name=f"y{i}") for i, y in enumerate(make(x))]
        with tf.compat.v1.Session(graph=built) as session:
            wanted = session.run(outputs, {x: value})
    return built.as_graph_def(), [y.op.name for y in outputs], value, wanted
