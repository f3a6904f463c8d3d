"""Graphs of TensorFlow 1 as they are trained: the part that predicts is found and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcc.compiler import compile
from dlcc.compiler.errors import ModelError
from dlcc.compiler.frontend.load import load

tf = pytest.importorskip("tensorflow")
tf1 = tf.compat.v1
IMAGES = np.random.default_rng(1).standard_normal((3, 8, 8, 1)).astype("float32")


def batch_norm(h: Any, is_training: Any) -> Any:
    zeros, ones = tf1.zeros_initializer(), tf1.ones_initializer()
    gamma = tf1.get_variable("bn/gamma", [4], initializer=ones)
    beta = tf1.get_variable("bn/beta", [4], initializer=ones)
    mean = tf1.get_variable("bn/mean", [4], initializer=zeros, trainable=False)
    variance = tf1.get_variable("bn/variance", [4], initializer=ones, trainable=False)
    norm = tf1.nn.fused_batch_norm
    result, m, v = tf1.cond(
        is_training,
        lambda: norm(h, gamma, beta, is_training=True)[:3],
        lambda: (norm(h, gamma, beta, mean, variance, is_training=False)[0], mean, variance),
    )
    for average, new in ((mean, m), (variance, v)):
        tf1.add_to_collection("update_ops", tf1.assign(average, average * 0.9 + new * 0.1))
    return result


def network(x: Any, keep: Any, is_training: Any) -> Any:
    h = tf.nn.conv2d(x, tf1.get_variable("conv/w", [3, 3, 1, 4]), 1, "SAME")
    h = tf.reshape(tf.nn.relu(batch_norm(h, is_training)), [-1, 256])
    h = tf1.nn.dropout(h, keep_prob=keep)
    return tf.matmul(h, tf1.get_variable("head/w", [256, 5]), name="logits")


def trained(x: Any, labels: Any, logits: Any, optimizer: Any) -> None:
    """Loss, metrics, summaries, learning rate, optimizer, moving averages."""
    loss = tf1.losses.sparse_softmax_cross_entropy(labels, logits)
    right = tf.equal(tf.argmax(logits, 1), tf.cast(labels, tf.int64))
    accuracy = tf.reduce_mean(tf.cast(right, tf.float32), name="accuracy")
    for name, value in (("loss", loss), ("accuracy", accuracy)):
        tf1.summary.scalar(name, value)
    tf1.summary.histogram("weights", tf1.trainable_variables()[0])
    tf1.summary.merge_all()
    step = tf1.train.get_or_create_global_step()
    average = tf1.train.ExponentialMovingAverage(0.99, step)
    rate = tf1.train.exponential_decay(0.1, step, 100, 0.9)
    with tf.control_dependencies(tf1.get_collection("update_ops")):
        train = optimizer(rate).minimize(loss, global_step=step)
    with tf.control_dependencies([train]):
        average.apply(tf1.trainable_variables())


def saved(
    folder: Path, *, fed: bool = True, functional: bool = False, probs: bool = False,
    extra: bool = False, optimizer: Any = tf1.train.AdamOptimizer,
) -> tuple[Path, dict[str, np.ndarray]]:  # fmt: skip
    """A checkpoint of a training graph, and what it predicts."""
    switches = ("enable_control_flow_v2", "enable_resource_variables")
    for switch in switches:
        getattr(tf1, switch if functional else switch.replace("enable", "disable"))()
    try:
        with tf.Graph().as_default(), tf1.Session() as session:
            if fed:
                x = tf1.placeholder(tf.float32, [None, 8, 8, 1], "x")
                labels = tf1.placeholder(tf.int64, [None], "labels")
            else:
                x, labels = tf1.train.batch([tf.random.uniform([8, 8, 1]), 1], 3)
            keep = tf1.placeholder_with_default(1.0, [], "keep_prob")
            is_training = tf1.placeholder_with_default(False, [], "is_training")
            result = logits = network(x, keep, is_training)
            if probs:
                result = tf.nn.softmax(logits, name="probs")
            if extra:
                tf.nn.sigmoid(logits, name="another")
                tf.nn.softmax(logits, name="probs")
            trained(x, labels, logits, optimizer)
            session.run(tf1.global_variables_initializer())
            want = session.run(result, {x: IMAGES})
            tf1.train.Saver().save(session, str(folder / "model.ckpt"))
    finally:
        for switch in switches:
            getattr(tf1, switch)()
    return folder, {result.op.name: want}


def momentum(rate: Any) -> Any:
    return tf1.train.MomentumOptimizer(rate, 0.9)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fed": False},
        {"probs": True},
        {"optimizer": momentum},
        {"optimizer": tf1.train.RMSPropOptimizer, "fed": False},
        {"functional": True},
        {"functional": True, "probs": True, "optimizer": momentum},
    ],
    ids=lambda options: (
        "-".join(f"{k}={getattr(v, '__name__', v)}" for k, v in options.items()) or "plain"
    ),
)
def test_the_prediction_is_cut_out(tmp_path: Path, options: dict[str, Any]) -> None:
    folder, want = saved(tmp_path, **options)
    with compile(folder).session() as session:
        name = "x" if options.get("fed", True) else "batch"
        found = session.run({name: IMAGES})
    assert list(found) == list(want)
    for output, expected in want.items():
        np.testing.assert_allclose(found[output], expected, rtol=1e-4, atol=1e-5)


def test_several_predictions_are_asked_for(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path, extra=True)
    with pytest.raises(ModelError, match="built for training") as caught:
        load(folder)
    assert "--output another --output probs" in caught.value.hint
    assert "accuracy" not in caught.value.hint


def test_what_only_gradients_need_is_left_out(tmp_path: Path) -> None:
    """Conditions hand out what gradients need, as optionals."""
    folder, _ = saved(tmp_path, functional=True)
    graph = load(folder)
    (choice,) = (n for n in graph.nodes if n.op in ("If", "StatelessIf"))
    for branch in ("then_branch", "else_branch"):
        function = graph.functions[choice.attrs[branch].name]
        assert len(function.results) == 1
        assert not any("Optional" in n.op for n in function.nodes)
