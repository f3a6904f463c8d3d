"""Cells of TensorFlow 1 in a while loop, with a length for each row: what dynamic_rnn builds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_cases import normal
from test_control import Flow, built, while_loop

from dlcc.compiler import compile

STEPS, BATCH, SIZE, UNITS = 9, 3, 5, 4


def lstm(tf: Any, x: Any, c: Any, h: Any) -> tuple[Any, Any]:
    """BasicLSTMCell, forget bias 1: gates i, j, f, o."""
    kernel = tf.constant(normal(SIZE + UNITS, 4 * UNITS, seed=1, scale=0.5))
    i, j, f, o = tf.split(tf.nn.bias_add(tf.matmul(tf.concat([x, h], 1), kernel),
                                         tf.constant(normal(4 * UNITS, seed=2))), 4, 1)  # fmt: skip
    c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
    return c, tf.tanh(c) * tf.sigmoid(o)


def gru(tf: Any, x: Any, c: Any, h: Any) -> tuple[Any, Any]:
    """GRUCell: gates r, u, then the candidate. c is not of it."""
    gates = tf.constant(normal(SIZE + UNITS, 2 * UNITS, seed=3, scale=0.5))
    candidate = tf.constant(normal(SIZE + UNITS, UNITS, seed=4, scale=0.5))
    r, u = tf.split(tf.sigmoid(tf.matmul(tf.concat([x, h], 1), gates)), 2, 1)
    new = tf.tanh(tf.matmul(tf.concat([x, r * h], 1), candidate))
    return c, u * h + (1.0 - u) * new


def unrolled_in_time(tf: Any, cell: Any, x: Any, lengths: Any) -> list[Any]:
    """Outputs (time, batch, units), zero behind a row's length, and the last states."""
    inputs = tf.TensorArray(tf.float32, STEPS).unstack(tf.transpose(x, [1, 0, 2]))
    outputs = tf.TensorArray(tf.float32, STEPS, element_shape=[BATCH, UNITS])
    zeros = tf.zeros([BATCH, UNITS])

    def body(t: Any, c: Any, h: Any, out: Any) -> Any:
        new_c, new_h = cell(tf, inputs.read(t), c, h)
        done = tf.expand_dims(t >= lengths, 1)
        out = out.write(t, tf.where(done, zeros, new_h))
        return t + 1, tf.where(done, c, new_c), tf.where(done, h, new_h), out

    last = tf.minimum(tf.constant(STEPS), tf.reduce_max(lengths))
    start = [tf.constant(0), zeros, zeros, outputs]
    _, c, h, outputs = while_loop(tf, lambda t, *_: t < STEPS, body, start)
    return [outputs.stack(), c, h, last]


@pytest.mark.parametrize("functional", [False, True], ids=["frames", "functions"])
@pytest.mark.parametrize("cell", [lstm, gru])
def test_matches_tensorflow(cell: Any, functional: bool) -> None:
    feeds = [[normal(BATCH, STEPS, SIZE, seed=k), np.asarray(lengths, np.int32)]
             for k, lengths in enumerate([(9, 4, 0), (1, 2, 3)])]  # fmt: skip
    flow = Flow("rnn", lambda tf, x, n: unrolled_in_time(tf, cell, x, n), feeds)
    proto, names, outputs, wants = built(flow, functional)
    with compile(proto, outputs=outputs).session() as session:
        for feed, want in zip(feeds, wants, strict=True):
            found = session.run(dict(zip(names, feed, strict=True)))
            for name, expected in zip(outputs, want, strict=True):
                np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)
