"""Small networks of well-known kinds, built in TensorFlow with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Build = Callable[[Any, Any], Any]


def weights(tf: Any, *shape: int) -> Any:
    """A constant of small random numbers, the same in every run."""
    rng = np.random.default_rng(sum(shape) + len(shape))
    scale = 1.0 / np.sqrt(np.prod(shape[:-1]))
    return tf.constant((rng.normal(size=shape) * scale).astype(np.float32))


def conv(tf: Any, x: Any, filters: int, size: int = 3, **options: Any) -> Any:
    options = {"strides": 1, "padding": "SAME", **options}
    return tf.nn.conv2d(x, weights(tf, size, size, int(x.shape[-1]), filters), **options)


def dense(tf: Any, x: Any, units: int) -> Any:
    return tf.tensordot(x, weights(tf, int(x.shape[-1]), units), 1)


def normed(tf: Any, x: Any) -> Any:
    """TF1-slim's batch norm at inference: FusedBatchNormV3 with explicit statistics."""
    c = int(x.shape[-1])
    vector = np.linspace(0.5, 1.5, c, dtype=np.float32)
    return tf.compat.v1.nn.fused_batch_norm(
        x, vector, vector - 1, mean=vector / 7, variance=vector, epsilon=1e-3, is_training=False
    )[0]


def layer_norm(tf: Any, x: Any) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-6)


def transformer(tf: Any, x: Any) -> Any:
    """An encoder block: attention of four heads, layer norms, gelu by erf."""
    heads, width = 4, int(x.shape[-1])

    def split(t: Any) -> Any:
        shape = tf.shape(t)
        t = tf.reshape(t, [shape[0], shape[1], heads, width // heads])
        return tf.transpose(t, [0, 2, 1, 3])

    q, k, v = (split(dense(tf, x, width)) for _ in range(3))
    scores = tf.matmul(q, k, transpose_b=True) / np.float32(np.sqrt(width // heads))
    mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), v), [0, 2, 1, 3])
    x = layer_norm(tf, x + dense(tf, tf.reshape(mixed, tf.shape(x)), width))
    inner = tf.nn.gelu(dense(tf, x, 4 * width), approximate=False)
    return layer_norm(tf, x + dense(tf, inner, width))


def detector(tf: Any, x: Any) -> Any:
    """Boxes and scores of a grid, the best of them by non-maximum suppression."""
    y = tf.nn.relu(conv(tf, x, 8, strides=2))
    y = tf.nn.relu(conv(tf, y, 8, strides=2))
    centres = tf.sigmoid(tf.reshape(conv(tf, y, 2, 1), [-1, 2]))
    sizes = tf.sigmoid(tf.reshape(conv(tf, y, 2, 1), [-1, 2])) * 0.3
    boxes = tf.concat([centres - sizes, centres + sizes], 1)
    scores = tf.reduce_max(tf.nn.softmax(tf.reshape(conv(tf, y, 5), [-1, 5])), 1)
    kept = tf.image.non_max_suppression(boxes, scores, 6, iou_threshold=0.5)
    return [tf.gather(boxes, kept), tf.gather(scores, kept)]


def deeplab(tf: Any, x: Any) -> Any:
    """Atrous convolutions in both forms, image pooling, and bilinear enlargement."""
    size = tf.shape(x)[1:3]
    y = tf.nn.relu6(normed(tf, conv(tf, x, 8, strides=2)))
    plain = conv(tf, y, 6, dilations=2)
    block = tf.space_to_batch(y, [2, 2], [[2, 2], [2, 2]])
    moved = tf.batch_to_space(conv(tf, block, 6, padding="VALID"), [2, 2], [[0, 0], [0, 0]])
    pooled = tf.reduce_mean(y, [1, 2], keepdims=True)
    pooled = tf.image.resize(conv(tf, pooled, 6, 1), tf.shape(y)[1:3])
    y = tf.nn.relu(tf.concat([plain, moved, pooled], -1))
    return tf.argmax(tf.image.resize(conv(tf, y, 4, 1), size), -1, output_type=tf.int32)


def unet(tf: Any, x: Any) -> Any:
    """Two levels down and up again, by transposed convolutions, with skips."""
    a = tf.nn.relu(conv(tf, x, 4))
    b = tf.nn.relu(conv(tf, tf.nn.max_pool2d(a, 2, 2, "SAME"), 8))
    c = tf.nn.relu(conv(tf, tf.nn.max_pool2d(b, 2, 2, "SAME"), 16))
    for skip, filters in ((b, 8), (a, 4)):
        shape = tf.shape(skip)
        w = weights(tf, 2, 2, filters, int(c.shape[-1]))
        up = tf.nn.conv2d_transpose(c, w, shape, 2, "SAME")
        c = tf.nn.relu(conv(tf, tf.concat([tf.ensure_shape(up, skip.shape), skip], -1), filters))
    return tf.sigmoid(conv(tf, c, 1, 1))


def keywords(tf: Any, x: Any) -> Any:
    """A small CNN on a spectrogram of odd sizes."""
    y = tf.nn.relu(conv(tf, x, 8, 5, strides=[1, 2, 1, 1]))
    y = tf.nn.max_pool2d(y, [2, 3], 2, "VALID")
    y = tf.nn.relu(conv(tf, y, 12, padding="VALID"))
    flat = tf.reshape(y, [-1, int(np.prod(y.shape[1:]))])
    return tf.nn.softmax(dense(tf, flat, 7))


def mobilenet(tf: Any, x: Any) -> Any:
    """Depthwise-separable blocks with explicit batch norms."""
    y = tf.nn.relu6(normed(tf, conv(tf, x, 8, strides=2)))
    for stride, filters in ((1, 8), (2, 16), (1, 16)):
        w = weights(tf, 3, 3, int(y.shape[-1]), 1)
        y = tf.nn.depthwise_conv2d(y, w, [1, stride, stride, 1], "SAME")
        y = tf.nn.relu6(normed(tf, conv(tf, tf.nn.relu6(normed(tf, y)), filters, 1)))
    y = tf.reduce_mean(y, [1, 2], keepdims=True)
    return tf.nn.softmax(tf.squeeze(conv(tf, y, 5, 1), [1, 2]))


@dataclass(frozen=True, eq=False)
class Network:
    """A network. shape: its input's, None for what is left open; runs: shapes that it is fed."""

    name: str
    build: Build
    shape: tuple[int | None, ...]
    runs: Sequence[tuple[int, ...]]

    def __str__(self) -> str:
        return self.name


NETWORKS = (
    Network("transformer", transformer, (2, 9, 32), [(2, 9, 32)]),
    Network("transformer-open-batch", transformer, (None, 7, 16), [(1, 7, 16), (3, 7, 16)]),
    Network("detector", detector, (1, 33, 47, 3), [(1, 33, 47, 3)]),
    Network("deeplab", deeplab, (2, 32, 48, 3), [(2, 32, 48, 3)]),
    Network("unet", unet, (2, 24, 20, 3), [(2, 24, 20, 3)]),
    Network("unet-odd", unet, (1, 21, 35, 3), [(1, 21, 35, 3)]),
    Network("unet-open", unet, (1, None, None, 3), [(1, 16, 24, 3), (1, 32, 8, 3)]),
    Network("keywords", keywords, (3, 49, 13, 1), [(3, 49, 13, 1)]),
    Network("keywords-open-batch", keywords, (None, 49, 13, 1), [(1, 49, 13, 1), (5, 49, 13, 1)]),
    Network("mobilenet", mobilenet, (2, 37, 41, 3), [(2, 37, 41, 3)]),
    Network("mobilenet-open", mobilenet, (None, None, None, 3), [(1, 32, 32, 3), (2, 45, 31, 3)]),
)
