"""Broadcasting of dimensions that are open until the model runs, against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from dlcc.compiler import compile

NAMES = ["sum", "mixed", "larger", "total"]


@pytest.fixture(scope="module")
def graph():
    """Two vectors of rows whose counts are open, and one of five rows."""
    import tensorflow as tf

    made = tf.Graph()
    with made.as_default():
        a, b = (tf.compat.v1.placeholder("float32", (None, 3), n) for n in "ab")
        c = tf.compat.v1.placeholder("float32", (5, 3), "c")
        tf.identity(a + b, "sum")
        tf.identity(a * c - b, "mixed")
        tf.where(a > b, a, b, name="larger")
        tf.identity(tf.reduce_sum(a + b, 0), "total")
    return made


@pytest.fixture(scope="module")
def session(graph):
    with compile(graph.as_graph_def(), outputs=NAMES).session() as opened:
        yield opened


def feeds(rows_of_a, rows_of_b):
    rng = np.random.default_rng(5)
    rows = {"a": rows_of_a, "b": rows_of_b, "c": 5}
    return {n: rng.standard_normal((k, 3)).astype("float32") for n, k in rows.items()}


@pytest.mark.parametrize(("a", "b"), [(5, 5), (1, 5), (5, 1), (1, 1)])
def test_open_dimensions_broadcast(graph, session, a, b):
    import tensorflow as tf

    given = feeds(a, b)
    with tf.compat.v1.Session(graph=graph) as reference:
        wanted = reference.run([f"{n}:0" for n in NAMES], {f"{n}:0": v for n, v in given.items()})
    for got, want in zip(session.run(given).values(), wanted, strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_what_does_not_broadcast_stays_in_its_memory(session):
    """TensorFlow reports an error; a module cannot, but it must not read beyond its inputs."""
    assert session.run(feeds(3, 4))["total"].shape == (3,)
