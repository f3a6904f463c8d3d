"""Whole networks against TensorFlow, on this machine: odd sizes, batches, open dimensions."""

from __future__ import annotations

import os

import numpy as np
import pytest
from networks import NETWORKS, Network

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def freeze(network: Network, feeds):
    """The GraphDef, its outputs' names, and what TensorFlow computes for each feed."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, network.shape, "x")
        made = network.build(tf, x)
        outputs = [t.name for t in (made if isinstance(made, list) else [made])]
        with tf.compat.v1.Session(graph=graph) as session:
            expected = [session.run(outputs, {x: feed}) for feed in feeds]
    return graph.as_graph_def(), outputs, expected


SLOW = ("mobilenet-open", "unet-open", "transformer")


@pytest.mark.parametrize(
    "network",
    [pytest.param(n, marks=[pytest.mark.slow] * (n.name in SLOW)) for n in NETWORKS],
    ids=str,
)
def test_matches_tensorflow(network: Network) -> None:
    from dlcc.compiler import compile

    rng = np.random.default_rng(1)
    feeds = [rng.normal(size=shape).astype(np.float32) for shape in network.runs]
    graph, outputs, expected = freeze(network, feeds)
    container = compile(graph, "host", outputs=outputs)
    with container.session() as session:
        for feed, wanted in zip(feeds, expected, strict=True):
            found = session.run({"x": feed})
            for name, want in zip(outputs, wanted, strict=True):
                assert (found[name].dtype, found[name].shape) == (want.dtype, want.shape)
                # sums in another order than TensorFlow's
                np.testing.assert_allclose(found[name], want, rtol=1e-4, atol=1e-5)
