"""The demo's model: a small convolutional network, trained on scikit-learn's handwritten digits.

    .venv/bin/python scripts/digits.py FOLDER

writes digits.pb (a frozen graph: `image` (N, 8, 8, 1) -> `probabilities` (N, 10)) and digits.npz
(the images held out of training, their labels, and what TensorFlow says of them).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from zoo import answer, freeze, tensorflow

SEED = 7
HELD_OUT = 360  # of 1797 images


def digits() -> tuple[np.ndarray, np.ndarray]:
    """All images (float32 in 0..1) and labels, shuffled."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    data = load_digits()
    order = np.random.default_rng(SEED).permutation(len(data.target))
    images = (data.images[order, :, :, None] / 16.0).astype(np.float32)
    return images, data.target[order]


def network(tf: Any) -> Any:
    """Two convolutions with batch norms, pooling, dropout, two dense layers: 30,000 weights."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(32, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(48, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def train(tf: Any, images: np.ndarray, labels: np.ndarray) -> Any:
    """The network after twenty passes over the images, in ever smaller steps."""
    model = network(tf)
    batch, passes = 32, 20
    rate = tf.keras.optimizers.schedules.CosineDecay(3e-3, passes * len(images) // batch)
    model.compile(optimizer=tf.keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=batch, epochs=passes, verbose=0)
    return model


def make(folder: Path) -> None:
    """Train, freeze and ask TensorFlow; digits.pb is written last, so where it is, all is whole."""
    started = time.perf_counter()
    tf = tensorflow()
    tf.config.experimental.enable_op_determinism()
    images, labels = digits()
    model = train(tf, images[:-HELD_OUT], labels[:-HELD_OUT])
    graph = freeze(tf, model, (None, 8, 8, 1), names=("image", "probabilities"))
    held_out = images[-HELD_OUT:]
    said = answer(tf, graph, held_out, names=("image", "probabilities"))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "digits.npz", image=held_out, label=labels[-HELD_OUT:], probabilities=said)
    part = folder / "digits.pb.part"
    part.write_bytes(graph.SerializeToString(deterministic=True))
    part.replace(folder / "digits.pb")
    right = (said.argmax(axis=1) == labels[-HELD_OUT:]).mean()
    print(
        f"trained in {time.perf_counter() - started:.0f} s, {right:.1%} right on {HELD_OUT} images"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: scripts/digits.py FOLDER")
    make(Path(sys.argv[1]))
