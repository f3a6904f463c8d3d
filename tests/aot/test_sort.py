"""Sorting in programs without TVM: TopK and its kin as TensorFlow has them, ties included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")


def top(x: Any, k: int, **more: Any) -> list[Any]:
    return list(tf.raw_ops.TopKV2(input=x, k=k, **more))


def results(x: Any, y: Any, z: Any) -> list[Any]:
    """x: float32 with ties.   y: int32 with ties.   z: a permutation."""
    return [
        *top(x, 3),
        *top(x, 1),
        *top(x, int(x.shape[-1])),
        *top(y[0], 0),
        *top(y, 7, index_type=tf.int64),
        *top(tf.cast(y, tf.uint8), 4),
        *top(x[:, :, :1], 1),
        tf.raw_ops.NthElement(input=x, n=2, reverse=False),
        tf.raw_ops.NthElement(input=y, n=3, reverse=True),
        tf.raw_ops.InvertPermutation(x=z),
        *tf.math.approx_max_k(x, 2),
        tf.sort(y, axis=0),
        tf.argsort(x, axis=-1, stable=True),
    ]


@pytest.fixture(scope="module")
def model() -> tuple[Any, list[str], dict[str, np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(4)
    feeds = {
        "x": (rng.integers(-6, 6, (2, 5, 37)) / 2).astype(np.float32),
        "y": rng.integers(-9, 9, (3, 64), np.int32),
        "z": rng.permutation(23).astype(np.int32),
    }
    feeds["x"][0, 0, :4] = [np.inf, -np.inf, 0.0, -0.0]
    with tf.Graph().as_default() as graph:
        given = [tf.compat.v1.placeholder(v.dtype, v.shape, n) for n, v in feeds.items()]
        outputs = [tf.identity(t, name=f"r{i}") for i, t in enumerate(results(*given))]
        with tf.compat.v1.Session(graph=graph) as session:
            wanted = session.run(outputs, {f"{n}:0": v for n, v in feeds.items()})
    return graph.as_graph_def(), [t.op.name for t in outputs], feeds, wanted


@pytest.mark.parametrize(
    "target",
    [
        "host",
        pytest.param("arm", marks=pytest.mark.device("arm")),
        pytest.param("hexagon", marks=pytest.mark.device("hexagon")),
    ],
)
def test_sorts_as_tensorflow(model: Any, target: str) -> None:
    from dlcc.compiler import compile

    graph, names, feeds, wanted = model
    more = {} if target == "hexagon" else {"runtime": "aot"}
    container = compile(graph, target, outputs=names, **more)
    with container.session() as session:
        found = session.run(feeds)
    for name, value in zip(names, wanted, strict=True):
        np.testing.assert_array_equal(found[name], value, name)
