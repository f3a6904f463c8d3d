"""cuDNN's recurrent layers against its equations in NumPy: TensorFlow has no CPU kernel."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, normal, run_dlcc

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
STEPS, BATCH, WIDTH, UNITS = 5, 3, 4, 6


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _step(mode, x, h, c, w, r, bw, br):
    a, b = np.split(x @ w.T + bw, GATES[mode], -1), np.split(h @ r.T + br, GATES[mode], -1)
    if mode == "lstm":
        i, f, n, o = (p + q for p, q in zip(a, b, strict=True))
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(n)
        return _sigmoid(o) * np.tanh(c), c
    if mode == "gru":
        new = np.tanh(a[2] + _sigmoid(a[0] + b[0]) * b[2])
        keep = _sigmoid(a[1] + b[1])
        return (1 - keep) * new + keep * h, c
    return (np.tanh if mode == "rnn_tanh" else lambda v: np.maximum(v, 0))(a[0] + b[0]), c


def _reference(mode, layers, ways, x, h, c, params, lengths):
    rows, place = GATES[mode] * UNITS, 0

    def cut(*shape):
        nonlocal place
        place += int(np.prod(shape))
        return params[place - int(np.prod(shape)) : place].reshape(shape)

    widths = [WIDTH if n < ways else UNITS * ways for n in range(layers * ways)]
    matrices = [(cut(rows, w), cut(rows, UNITS)) for w in widths]
    biases = [(cut(rows), cut(rows)) for _ in widths]
    h, c = h.copy(), c.copy()
    for n in range(layers):
        out = np.zeros((STEPS, BATCH, UNITS * ways), x.dtype)
        for k in range(n * ways, n * ways + ways):
            for b, size in enumerate(lengths):
                for t in range(size) if k == n * ways else reversed(range(size)):
                    h[k, b], c[k, b] = _step(mode, x[t, b], h[k, b], c[k, b], *matrices[k],
                                             *biases[k])  # fmt: skip
                    at = (k - n * ways) * UNITS
                    out[t, b, at : at + UNITS] = h[k, b]
        x = out
    return out, h, c


def _given(mode, layers, ways):
    rows = GATES[mode] * UNITS
    widths = [WIDTH if n < ways else UNITS * ways for n in range(layers * ways)]
    size = sum(rows * (w + UNITS + 2) for w in widths)
    states = (
        normal(layers * ways, BATCH, UNITS, seed=1),
        normal(layers * ways, BATCH, UNITS, seed=2),
    )
    return normal(STEPS, BATCH, WIDTH), *states, normal(size, seed=3, scale=0.4)


def _case(op, mode, layers, ways):
    x, h, c, params = _given(mode, layers, ways)
    full = np.full(BATCH, STEPS, np.int32)
    lengths = np.int32([5, 2, 4]) if op == "CudnnRNNV3" else full
    way = "bidirectional" if ways == 2 else "unidirectional"
    y, last_h, last_c = _reference(mode, layers, ways, x, h, c, params, lengths)
    expected = [y, last_h, last_c if mode == "lstm" else np.zeros_like(c)]
    args = [feed(v) for v in (x, h, c, params)]
    return Case(op, [*args, feed(lengths)] if op == "CudnnRNNV3" else args,
                f"{mode} {layers} {way}", outputs=(0, 1, 2),
                attrs={"rnn_mode": mode, "direction": way, "is_training": False},
                reference=lambda tf, *a: [tf.constant(v) for v in expected])  # fmt: skip


CASES = [
    *(_case("CudnnRNN", mode, 1, 1) for mode in GATES),
    _case("CudnnRNNV2", "lstm", 2, 2),
    _case("CudnnRNNV2", "gru", 2, 1),
    _case("CudnnRNNV3", "lstm", 1, 2),
    _case("CudnnRNNV3", "gru", 2, 2),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_the_documented_equations(case, compare):
    compare(case, CASES)


def test_a_batch_may_come_first():
    import tensorflow as tf

    x, h, c, params = _given("lstm", 1, 1)
    lengths = np.int32([5, 2, 4])
    y, *_ = _reference("lstm", 1, 1, x, h, c, params, lengths)
    with tf.Graph().as_default() as graph:
        tf.raw_ops.CudnnRNNV3(
            input=tf.compat.v1.placeholder("float32", [BATCH, STEPS, WIDTH], name="x"),
            input_h=h.transpose(1, 0, 2), input_c=c.transpose(1, 0, 2), params=params,
            sequence_lengths=lengths, time_major=False, is_training=False, name="y")  # fmt: skip
    found = run_dlcc(graph.as_graph_def(), ["y"], {"x": x.transpose(1, 0, 2)})["y"]
    np.testing.assert_allclose(found, y.transpose(1, 0, 2), rtol=1e-4, atol=1e-5)
