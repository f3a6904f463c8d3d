"""Small models in every form that TensorFlow writes, with inputs and TensorFlow's own results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Example:
    """A stored model. fed and made: under the names that a user sees."""

    path: Path
    fed: Arrays
    made: Arrays


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype("float32")


def tf1_models(folder: Path) -> dict[str, Example]:
    """A network with variables of both kinds and a training part, as TensorFlow 1 stores it."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    with tf.Graph().as_default(), tf1.Session() as session:
        x, probs, logits = _tf1_network(tf)
        session.run(tf1.global_variables_initializer())
        fed = {"image": _random(3, 8, 8, 3)}
        y, z = session.run([probs, logits], {x: fed["image"]})
        # the moving average of a weight under a name that is not the variable's
        names = {v.op.name.replace("head", "average/head"): v for v in tf1.global_variables()}
        tf1.train.Saver(names).save(session, str(folder / "checkpoint/model.ckpt"), 10)
        info = tf1.saved_model.utils.build_tensor_info
        signature = tf1.saved_model.signature_def_utils.build_signature_def
        builder = tf1.saved_model.Builder(str(folder / "tf1"))
        signatures = {
            "serving_default": signature({"image": info(x)}, {"scores": info(probs)}, "predict"),
            "raw": signature({"image": info(x)}, {"logits": info(logits)}, "predict"),
        }
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.add_meta_graph(["serve", "gpu"], {"raw": signatures["raw"]})
        builder.save()
    return {
        "checkpoint": Example(folder / "checkpoint", {"x": fed["image"]}, {"probs": y}),
        "tf1": Example(folder / "tf1", fed, {"scores": y}),
        "tf1 raw": Example(folder / "tf1", fed, {"logits": z}),
    }


def _tf1_network(tf):
    """Convolution, batch norm, embedding and dense layer; Adam besides. Input, two outputs."""
    tf1 = tf.compat.v1
    x = tf1.placeholder(tf.float32, [None, 8, 8, 3], name="x")
    labels = tf1.placeholder(tf.int32, [None], name="labels")
    h = tf.nn.conv2d(x, tf1.get_variable("conv/w", [3, 3, 3, 4]), 1, "SAME")
    stats = [tf1.get_variable(f"bn/{n}", [4], use_resource=True) for n in ("scale", "offset", "m")]
    variance = tf1.get_variable("bn/v", [4], initializer=tf.ones_initializer())
    h = tf1.nn.fused_batch_norm(h, *stats, variance, is_training=False)[0]
    table = tf1.get_variable("table", [10, 256], use_resource=True)
    h = tf.reshape(tf.nn.relu(h), [-1, 256]) * tf.nn.embedding_lookup(table, [3])
    w = tf1.get_variable("head/w", [256, 5], use_resource=True)
    logits = tf.matmul(h, w, name="logits")
    probs = tf.nn.softmax(logits, name="probs")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=logits, labels=labels)
    tf1.train.AdamOptimizer().minimize(tf.reduce_mean(loss, name="loss"))
    return x, probs, logits


def tf2_models(folder: Path) -> dict[str, Example]:
    """A tf.Module with two signatures."""
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self) -> None:
            self.w = tf.Variable(_random(8, 4))
            self.k = tf.Variable(_random(3, 3, 3, 2))

        @tf.function(input_signature=[tf.TensorSpec([None, 8], tf.float32, name="x")])
        def dense(self, x):
            return {"y": tf.nn.relu(x @ self.w), "twice": 2 * x}

        @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32, name="image")])
        def conv(self, image):
            return tf.nn.conv2d(image, self.k, 1, "SAME")

    net = Net()
    signatures = {"dense": net.dense, "conv": net.conv}
    tf.saved_model.save(net, str(folder / "tf2"), signatures=signatures)
    tf.saved_model.save(tf.Module(), str(folder / "none"))
    x, image = _random(5, 8), _random(1, 6, 7, 3)
    dense = {name: value.numpy() for name, value in net.dense(x).items()}
    return {
        "tf2 dense": Example(folder / "tf2", {"x": x}, dense),
        "tf2 conv": Example(folder / "tf2", {"image": image}, {"output_0": net.conv(image)}),
    }


def keras_models(folder: Path) -> dict[str, Example]:
    """A functional model with two inputs and two outputs, saved in both formats; a Lambda layer."""
    import tensorflow as tf

    layers = tf.keras.layers
    image, scale = tf.keras.Input((8, 8, 3), name="image"), tf.keras.Input((1,), name="scale")
    h = layers.BatchNormalization()(layers.Conv2D(4, 3)(image))
    h = layers.Dropout(0.5)(layers.Flatten()(layers.ReLU()(h)))
    probs = layers.Dense(5, activation="softmax", name="probs")(h)
    scaled = layers.Multiply(name="scaled")([layers.Dense(3)(h), scale])
    model = tf.keras.Model([image, scale], [probs, scaled])
    fed = {"image": _random(2, 8, 8, 3), "scale": _random(2, 1)}
    made = model(list(fed.values()), training=False)
    made = {name: value.numpy() for name, value in zip(("probs", "scaled"), made, strict=True)}
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    doubling = layers.Lambda(lambda x: 2 * x, name="doubling")
    model = tf.keras.Sequential([tf.keras.Input((4,)), doubling])
    model.save(folder / "lambda.keras")
    model.save(folder / "lambda.h5")
    return {name: Example(folder / f"model.{name}", fed, made) for name in ("keras", "h5")}
