"""Branches, loops and lists of whole graphs, each in TF1's frames and as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from op_cases import normal

from dlcc.compiler import compile
from dlcc.compiler.cli import emit


@dataclass(frozen=True, eq=False)
class Flow:
    """A graph and what to feed it, once or several times.

    build(tf, *placeholders): the outputs.   feeds: arrays of each run.
    shapes: of the placeholders, where they differ from the arrays'.
    frames: whether TF1 has it: an element of its arrays is written once.
    """

    name: str
    build: Callable[..., Any]
    feeds: Sequence[Sequence[Any]]
    shapes: Sequence[Sequence[int | None] | None] = ()
    frames: bool = True

    def __str__(self) -> str:
        return self.name


def i32(*values: int) -> np.ndarray:
    return np.asarray(values if len(values) != 1 else values[0], np.int32)


X = normal(2, 3)
YES, NO = np.asarray(True), np.asarray(False)


def while_loop(tf: Any, cond: Any, body: Any, variables: Sequence[Any], **how: Any) -> Any:
    return tf.compat.v1.while_loop(cond, body, variables, **how)


def counted(tf, n, x):
    return while_loop(tf, lambda i, s: i < n, lambda i, s: (i + 1, s * 1.5 + x), [0, x])


def nested(tf, n, x):
    def row(i, s):
        _, s = while_loop(tf, lambda j, t: j < i, lambda j, t: (j + 1, t + x * 0.5), [0, s])
        return i + 1, s * 0.9

    return while_loop(tf, lambda i, s: i < n, row, [0, x])


def cond_in_loop(tf, n, x):
    def body(i, s):
        odd = tf.equal(i % 2, 1)
        return i + 1, tf.cond(odd, lambda: s + x, lambda: tf.constant(1.0) * s * 2.0)

    return while_loop(tf, lambda i, s: i < n, body, [0, x])


def loop_in_cond(tf, p, n, x):
    return tf.cond(p, lambda: counted(tf, n, x)[1], lambda: tf.nn.relu(x))


def constants(tf, p, x):
    return tf.cond(p, lambda: tf.constant(2.0), lambda: tf.constant(3.0)) * x


def nested_conds(tf, p, q, x):
    inner = lambda: tf.cond(q, lambda: x + 1.0, lambda: tf.exp(x))  # noqa: E731
    return tf.cond(p, inner, lambda: x * 2.0)


def two_results(tf, p, x):
    a, b = tf.cond(p, lambda: (x, x + 1.0), lambda: (x * 3.0, x))
    return [a, b, tf.cond(p, lambda: a + b, lambda: a - b)]


def two_loops(tf, n, x):
    _, a = counted(tf, n, x)
    return counted(tf, n + 1, a * 0.1)[1] + a


def captured(tf, n, x, w):
    """A matrix of the surroundings and a large constant in the body."""
    big = tf.constant(normal(3, 40, seed=1, scale=0.1))
    back = tf.constant(normal(40, 3, seed=2, scale=0.1))

    def body(i, s):
        return i + 1, tf.tanh(tf.matmul(tf.matmul(tf.matmul(s, w), big), back) + x)

    return while_loop(tf, lambda i, s: i < n, body, [0, x])[1]


def array_written(tf, n, x):
    array = tf.TensorArray(tf.float32, size=n)
    body = lambda i, a: (i + 1, a.write(i, x * tf.cast(i, tf.float32)))  # noqa: E731
    return while_loop(tf, lambda i, a: i < n, body, [0, array])[1].stack()


def array_growing(tf, n, x):
    array = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
    body = lambda i, a: (i + 1, a.write(i, x + tf.cast(i, tf.float32)))  # noqa: E731
    array = while_loop(tf, lambda i, a: i < n, body, [0, array])[1]
    return [array.stack(), array.size()]


def array_read(tf, x):
    array = tf.TensorArray(tf.float32, size=tf.shape(x)[0]).unstack(x)
    body = lambda i, s: (i + 1, s * 0.5 + array.read(i))  # noqa: E731
    return while_loop(tf, lambda i, s: i < tf.shape(x)[0], body, [0, x[0] * 0.0])[1]


def old_list_read(tf, n, x):
    """Row 0 of the list as it was before the write, in each iteration."""
    array = tf.TensorArray(tf.float32, size=n, clear_after_read=False).unstack(tf.stack([x] * 8))

    def body(i, a, s):
        written = a.write(i, x * tf.cast(i + 2, tf.float32))
        return i + 1, written, s + a.read(0) + written.read(i)

    _, array, s = while_loop(tf, lambda i, a, s: i < n, body, [0, array, x])
    return [array.stack(), s]


def lists_swapped(tf, n, x):
    """Two lists that change places, both of the same tensor, which is read behind the loop."""
    start = tf.stack([x, x * 2.0, x * 3.0])
    arrays = [tf.TensorArray(tf.float32, 3, clear_after_read=False).unstack(start)] * 2

    def body(i, a, b):
        return i + 1, b.write(i % 3, x * 7.0), a.write((i + 1) % 3, b.read(0) + a.read(2))

    _, a, b = while_loop(tf, lambda i, a, b: i < n, body, [0, *arrays])
    return [a.stack(), b.stack(), start]


def list_from_weights(tf, n, x):
    """A list that starts as a constant, which the loop before and the one behind read too."""
    rows = normal(4, 6, seed=3)

    def once(start):
        array = tf.TensorArray(tf.float32, 4).unstack(tf.constant(rows))
        body = lambda i, a: (i + 1, a.write(i, start * tf.cast(i, tf.float32)))  # noqa: E731
        return while_loop(tf, lambda i, a: i < n, body, [0, array])[1].stack()

    first = once(tf.reshape(x, [6]))
    return [first, once(first[1] + 1.0), tf.constant(rows) * 2.0]


def list_in_nested_loops(tf, n, x):
    array = tf.TensorArray(tf.float32, size=16, element_shape=[2, 3], clear_after_read=False)
    array = array.unstack(tf.zeros([16, 2, 3]))

    def row(i, a):
        def column(j, b):
            return j + 1, b.write(i + j, x * tf.cast(i, tf.float32) + b.read(j))

        return i + 1, while_loop(tf, lambda j, b: j < 4, column, [tf.zeros_like(i), a])[1]

    return while_loop(tf, lambda i, a: i < n, row, [0, array])[1].stack()


def map_fn(tf, x):
    return tf.map_fn(lambda row: tf.reduce_sum(row) * row, x)


def scan(tf, x):
    return tf.scan(lambda a, b: a * 0.5 + b, x)


def growing_state(tf, n, x):
    shapes = [tf.TensorShape([]), tf.TensorShape([None, 3])]
    body = lambda i, s: (i + 1, tf.concat([s, x + tf.cast(i, tf.float32)], 0))  # noqa: E731
    return while_loop(tf, lambda i, s: i < n, body, [0, x], shape_invariants=shapes)


def unlike_shapes(tf, p, x):
    return tf.cond(p, lambda: x, lambda: x[:1]) * 2.0


def by_value(tf, x):
    """Ends where the values say: no counter."""
    return while_loop(tf, lambda s: tf.reduce_max(s) < 100.0, lambda s: (s * 1.7,), [tf.abs(x)])


def switch_case(tf, k, x):
    branches = [lambda: x, lambda: x * 2.0, lambda: -x]
    return tf.switch_case(k, branches)


def doubled_many(tf, n):
    body = lambda i, s: (i + 1, (s * 3 + i) % 1_000_003)  # noqa: E731
    return while_loop(tf, lambda i, s: i < n, body, [0, 1])


def known_trips(tf, x):
    return while_loop(tf, lambda i, s: i < 3, lambda i, s: (i + 1, s * x), [0, x])


def dead_branch(tf, x):
    return tf.cond(tf.constant(False), lambda: tf.matmul(x, x, transpose_b=True)[:, :1] + x,
                   lambda: x + 1.0)  # fmt: skip


COUNTS = [[i32(n), X] for n in (0, 1, 2, 3, 11)]
FLOWS = [
    Flow("loop", counted, COUNTS),
    Flow("loop over an open batch", counted, [[i32(5), normal(b, 3)] for b in (1, 4)],
         shapes=[(), (None, 3)]),
    Flow("nested loops", nested, COUNTS),
    Flow("condition in a loop", cond_in_loop, COUNTS),
    Flow("loop in a condition", loop_in_cond,
         [[YES, i32(4), X], [NO, i32(4), X], [YES, i32(0), X]]),
    Flow("constants in branches", constants, [[YES, X], [NO, X]]),
    Flow("nested conditions", nested_conds, [[p, q, X] for p in (YES, NO) for q in (YES, NO)]),
    Flow("two results", two_results, [[YES, X], [NO, X]]),
    Flow("two loops", two_loops, COUNTS),
    Flow("captured weights", captured, [[i32(n), X, normal(3, 3)] for n in (0, 1, 20)]),
    Flow("array written", array_written, [[i32(n), X] for n in (1, 7)]),
    Flow("old list read behind a write", old_list_read, [[i32(8), X]], frames=False),
    Flow("lists that change places", lists_swapped, COUNTS, frames=False),
    Flow("list from weights", list_from_weights, [[i32(n), X] for n in (0, 1, 4)], frames=False),
    Flow("list in nested loops", list_in_nested_loops, COUNTS, frames=False),
    Flow("array that grows", array_growing, [[i32(n), X] for n in (1, 7)]),
    Flow("array read", array_read, [[normal(6, 3)]]),
    Flow("array read, open length", array_read, [[normal(6, 3)], [normal(2, 3)]], [(None, 3)]),
    Flow("map", map_fn, [[normal(12, 3)]]),
    Flow("map, open length", map_fn, [[normal(n, 3)] for n in (12, 1)], [(None, 3)]),
    Flow("scan", scan, [[normal(12, 3)]]),
    Flow("state that grows", growing_state, [[i32(n), X] for n in (0, 1, 5)]),
    Flow("branches of unlike shapes", unlike_shapes, [[YES, X], [NO, X]]),
    Flow("condition on values", by_value, [[X], [X * 1000.0]]),
    Flow("case", switch_case, [[i32(k), X] for k in (0, 1, 2)]),
    Flow("100,000 iterations", doubled_many, [[i32(100_000)], [i32(65_536)], [i32(65_537)]]),
    Flow("known trips", known_trips, [[X]]),
    Flow("dead branch", dead_branch, [[X]]),
]  # fmt: skip


def built(flow: Flow, functional: bool) -> tuple[Any, list[str], list[str], list[Any]]:
    """GraphDef, names of inputs and outputs, TensorFlow's results of each run."""
    import tensorflow as tf

    switch = tf.compat.v1.enable_control_flow_v2 if functional else (
        tf.compat.v1.disable_control_flow_v2
    )  # fmt: skip
    switch()
    try:
        with tf.Graph().as_default() as graph:
            shapes = flow.shapes or [None] * len(flow.feeds[0])
            inputs = [
                tf.compat.v1.placeholder(a.dtype, a.shape if s is None else s)
                for a, s in zip(flow.feeds[0], shapes, strict=True)
            ]
            made = tf.nest.flatten(flow.build(tf, *inputs))
            outputs = [tf.identity(t).name for t in made]
            names = [t.name for t in inputs]
            with tf.compat.v1.Session(graph=graph) as session:
                wants = [
                    session.run(outputs, dict(zip(names, feed, strict=True))) for feed in flow.feeds
                ]
        return graph.as_graph_def(), names, outputs, wants
    finally:
        tf.compat.v1.enable_control_flow_v2()


FORMS = [
    pytest.param(flow, functional, id=f"{flow}-{('frames', 'functions')[functional]}")
    for flow in FLOWS
    for functional in (False, True)
    if functional or flow.frames
]


@pytest.mark.parametrize(("flow", "functional"), FORMS)
def test_matches_tensorflow(flow: Flow, functional: bool) -> None:
    proto, names, outputs, wants = built(flow, functional)
    container = compile(proto, target="host", outputs=outputs)
    needed = {spec.name.removesuffix(":0") for spec in container.inputs}
    with container.session() as session:
        for feed, want in zip(flow.feeds, wants, strict=True):
            pairs = zip(names, feed, strict=True)
            found = session.run({n: a for n, a in pairs if n.removesuffix(":0") in needed})
            for name, expected in zip(outputs, want, strict=True):
                assert found[name].shape == expected.shape
                assert found[name].dtype == expected.dtype
                np.testing.assert_allclose(found[name], expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("functional", [False, True], ids=["frames", "functions"])
def test_a_row_is_written_into_its_list(functional: bool) -> None:
    """A loop that writes a row an iteration takes time for the row, not for the list."""
    flow = next(f for f in FLOWS if f.build is array_written)
    proto, _, outputs, _ = built(flow, functional)
    script = emit.listing(compile(proto, outputs=outputs), "tir")
    assert "put_row" in script
    assert "list_set" not in script
