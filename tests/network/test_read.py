"""A model and its container show the same layers."""

from __future__ import annotations

import numpy as np
import pytest

from dlcc.compiler import compile
from dlcc.compiler.errors import DlccError
from dlcc.compiler.network.read import is_container, read_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A frozen graph with a convolution and a product, and its container."""
    import tensorflow as tf

    rng = np.random.default_rng(2)
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, (None, 6, 5, 3), "x")
        w = tf.constant(rng.standard_normal((3, 3, 3, 4)), tf.float32)
        with tf.name_scope("block"):
            y = tf.nn.relu6(tf.nn.bias_add(tf.nn.conv2d(x, w, 2, "SAME"), rng.random(4)))
        y = tf.reshape(y, (-1, 36))
        tf.matmul(y, tf.constant(rng.standard_normal((36, 7)), tf.float32), name="logits")
    folder = tmp_path_factory.mktemp("read")
    (folder / "net.pb").write_bytes(graph.as_graph_def().SerializeToString())
    compile(folder / "net.pb").save(folder / "net.dlc")
    return folder


def test_a_container_shows_the_layers_of_its_model(model):
    ours, theirs = read_network(model / "net.dlc"), read_network(model / "net.pb")
    assert (ours.form, theirs.form) == ("container", "TensorFlow graph")
    assert [layer.op for layer in ours.layers] == [layer.op for layer in theirs.layers]
    assert ours.inputs == theirs.inputs == ("x",)
    assert ours.outputs == theirs.outputs == ("logits",)
    for name, tensor in theirs.tensors.items():
        same = ours.tensors[name]
        assert (same.dtype, same.shape, same.role) == (tensor.dtype, tensor.shape, tensor.role)
        if tensor.value is not None:
            np.testing.assert_array_equal(same.value, tensor.value)


def test_options_of_models_are_refused_for_containers(model):
    with pytest.raises(DlccError, match="is a container"):
        read_network(model / "net.dlc", inputs={"x": (1, 6, 5, 3)})


def test_what_is_a_container_is_known_without_its_name(model):
    (model / "other").write_bytes((model / "net.dlc").read_bytes())
    assert is_container(model / "other")
    assert not is_container(model / "net.pb")
