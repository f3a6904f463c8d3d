"""Nine well-known networks with random weights, frozen, each with TensorFlow's own answer.

    .venv/bin/python scripts/zoo.py mobilenet_v2 resnet50 --out models     # some
    .venv/bin/python scripts/zoo.py --out models                           # all

For each NAME it writes NAME.pb (a frozen graph, `input` -> `output`) and NAME.npz (the arrays
`input` and `output`). Nothing is downloaded. Random weights alone would be a poor test: after
fifty layers activations are all zero or infinite, and the softmax says the same for any image.
So each batch norm is given the statistics that its own input has, then all of its parameters
are moved a little, and the last layer is scaled so that the classes differ between images.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

# name -> (constructor in keras.applications, side of the input image in pixels)
NETWORKS: dict[str, tuple[str, int]] = {
    "mobilenet_v1": ("MobileNet", 224),
    "mobilenet_v2": ("MobileNetV2", 224),
    "mobilenet_v3_small": ("MobileNetV3Small", 224),
    "resnet50": ("ResNet50", 224),
    "inception_v3": ("InceptionV3", 299),
    "efficientnet_b0": ("EfficientNetB0", 224),
    "densenet121": ("DenseNet121", 224),
    "nasnet_mobile": ("NASNetMobile", 224),
    "xception": ("Xception", 299),
}
SEED = 20
LOGIT_STD = 2.0  # the largest of 1000 classes gets a few per cent: neither flat nor saturated


@contextlib.contextmanager
def stderr_closed() -> Iterator[None]:
    """Send what C++ code writes to standard error nowhere; Python's exceptions still come out."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def tensorflow() -> Any:
    """TensorFlow, seeded and without its start-up talk."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with stderr_closed():  # it logs before it has read how much to log
        import tensorflow as tf

        tf.config.list_logical_devices()
    tf.get_logger().setLevel("ERROR")
    tf.keras.utils.set_random_seed(SEED)
    return tf


def images(count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Images of coloured patches under noise, float32 in -1..1, (count, side, side, 3).

    Plain noise will not do: its average is the same for every image, so after the global pooling
    all images would look alike."""
    coarse = rng.uniform(-1, 1, (count, 5, 5, 3))
    at = np.arange(side) * 5 // side
    noise = rng.normal(0, 0.2, (count, side, side, 3))
    tint = rng.uniform(-0.4, 0.4, (count, 1, 1, 3))
    return np.clip(coarse[:, at][:, :, at] + noise + tint, -1, 1).astype(np.float32)


def settle_batch_norms(model: Any, batch: np.ndarray, rng: np.random.Generator) -> None:
    """Random gamma and beta, then statistics near those of the activations, never equal to them."""
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # one step in training mode then stores the batch's own statistics
        if norm.scale:
            norm.gamma.assign(rng.uniform(0.8, 1.2, norm.gamma.shape))
        if norm.center:
            norm.beta.assign(rng.normal(0, 0.2, norm.beta.shape))
    model(batch, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        var = np.asarray(norm.moving_variance)
        mean = np.asarray(norm.moving_mean)
        norm.moving_mean.assign(mean + rng.normal(0, 0.1, mean.shape) * np.sqrt(var))
        norm.moving_variance.assign(var * rng.uniform(0.8, 1.25, var.shape) + 1e-3)


def settle_biases(model: Any, rng: np.random.Generator) -> None:
    """Small random biases: zeros, the default, would hide a bias that is dropped."""
    for layer in model.layers:
        if getattr(layer, "use_bias", False):
            layer.bias.assign(rng.normal(0, 0.05, layer.bias.shape))


def settle_logits(model: Any, batch: np.ndarray) -> None:
    """Scale the last layer so that logits have standard deviation LOGIT_STD between images.

    The model ends in a softmax, so logits are known up to a constant as log(p)."""
    head = [layer for layer in model.layers if layer.weights][-1]
    logits = np.log(np.maximum(np.asarray(model(batch, training=False)), 1e-30))
    logits -= logits.mean(axis=1, keepdims=True)
    gain = LOGIT_STD / logits.std()
    head.kernel.assign(np.asarray(head.kernel) * gain)
    head.bias.assign(np.asarray(head.bias) * gain)


def network(tf: Any, name: str) -> Any:
    """The Keras model of that name, with random weights that behave like trained ones."""
    constructor, side = NETWORKS[name]
    rng = np.random.default_rng(SEED)
    model = getattr(tf.keras.applications, constructor)(weights=None)
    batch = images(8, side, rng)
    settle_biases(model, rng)
    settle_batch_norms(model, batch, rng)
    settle_logits(model, batch)
    return model


def freeze(
    tf: Any, model: Any, shape: Iterable[int | None], names: tuple[str, str] = ("input", "output")
) -> Any:
    """The model as a GraphDef without variables, from one placeholder to one node, so named."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    def forward(x: Any) -> Any:
        return tf.identity(model(x, training=False), name=names[1])

    spec = tf.TensorSpec(tuple(shape), tf.float32, name=names[0])
    concrete = tf.function(forward).get_concrete_function(spec)
    graph = convert_variables_to_constants_v2(concrete).graph.as_graph_def()
    return tf.compat.v1.graph_util.extract_sub_graph(graph, [names[1]])


def answer(
    tf: Any, graph_def: Any, x: np.ndarray, names: tuple[str, str] = ("input", "output")
) -> np.ndarray:
    """What TensorFlow computes with the frozen graph itself."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        return np.asarray(session.run(f"{names[1]}:0", {f"{names[0]}:0": x}))


def check_lively(name: str, y: np.ndarray) -> None:
    """Refuse a reference that could not tell a wrong compiler: y has one row an image."""
    if not np.isfinite(y).all():
        raise SystemExit(f"{name}: the reference is not finite")
    if (top := y.max()) > 0.98:
        raise SystemExit(f"{name}: the softmax is saturated, largest probability {top:.4f}")
    if (change := np.abs(y[0] - y[1]).max() / top) < 0.05:
        raise SystemExit(f"{name}: two images differ by {change:.1%} only")


def make(name: str, out: Path, batch: int) -> float:
    """Write NAME.pb and NAME.npz (NAME@N for a batch N other than 1); returns seconds."""
    tf = tensorflow()
    started = time.perf_counter()
    model = network(tf, name)
    side = NETWORKS[name][1]
    x = images(2, side, np.random.default_rng(SEED + 1))
    check_lively(name, np.asarray(model(x, training=False)))
    x = images(batch, side, np.random.default_rng(SEED + 1))
    graph_def = freeze(tf, model, (batch, side, side, 3))
    y = answer(tf, graph_def, x)
    out.mkdir(parents=True, exist_ok=True)
    stem = out / (name if batch == 1 else f"{name}@{batch}")
    Path(f"{stem}.pb.part").write_bytes(graph_def.SerializeToString(deterministic=True))
    np.savez(f"{stem}.npz", input=x, output=y)
    os.replace(f"{stem}.pb.part", f"{stem}.pb")  # the .pb comes last: where it is, all is whole
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description="Make frozen networks with random weights.")
    parser.add_argument("names", nargs="*", help=f"default: all of {', '.join(NETWORKS)}")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--batch", type=int, default=1, help="images in a batch (default 1)")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NETWORKS):
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    for name in args.names or NETWORKS:
        print(f"{name}: {make(name, args.out, args.batch):.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
