"""Nodes for a host inside of loops and branches: named with their function, and a way around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcc.compiler import compile
from dlcc.compiler.errors import UnsupportedOps

STACKS = ["map/TensorArrayStack/TensorArrayGatherV3", "map/TensorArrayV2Stack/TensorListStack"]


def mapped(tf: Any, files: Any) -> Any:
    def picture(file: Any) -> Any:
        pixels = tf.cast(tf.image.decode_jpeg(file, channels=3), tf.float32)
        return tf.compat.v1.image.resize_images(pixels, [8, 8])

    return tf.map_fn(picture, files, dtype=tf.float32)


def chosen(tf: Any, files: Any) -> Any:
    yes = lambda: tf.cast(tf.image.decode_jpeg(files[0], channels=3), tf.float32)  # noqa: E731
    return tf.cond(tf.size(files) > 0, yes, lambda: tf.zeros([8, 8, 3]))


def graph(build: Any, functional: bool) -> Any:
    import tensorflow as tf

    (tf.compat.v1.enable_control_flow_v2 if functional else
     tf.compat.v1.disable_control_flow_v2)()  # fmt: skip
    try:
        with tf.Graph().as_default() as made:
            files = tf.compat.v1.placeholder(tf.string, [None], "files")
            tf.reduce_sum(build(tf, files), [-2, -3], name="y")
        return made.as_graph_def()
    finally:
        tf.compat.v1.enable_control_flow_v2()


@pytest.mark.parametrize("functional", [False, True], ids=["frames", "functions"])
def test_a_map_over_files_names_its_result(functional: bool) -> None:
    proto, stack = graph(mapped, functional), STACKS[functional]
    where = r"map_while_body_\d+/DecodeJpeg" if functional else "map/while/DecodeJpeg"
    with pytest.raises(UnsupportedOps, match=where) as caught:
        compile(proto, outputs=["y"])
    assert f"--input {stack}=SHAPE" in caught.value.hint
    pictures = np.random.default_rng(0).random((2, 8, 8, 3), "float32")
    with compile(proto, inputs={stack: (None, 8, 8, 3)}, outputs=["y"]).session() as session:
        found = session.run({stack: pictures})["y"]
    np.testing.assert_allclose(found, pictures.sum((1, 2)), rtol=1e-5)


def test_a_branch_with_a_decoder() -> None:
    with pytest.raises(UnsupportedOps, match=r"cond_true_\d+/DecodeJpeg") as caught:
        compile(graph(chosen, True), outputs=["y"])
    assert "--input y=SHAPE" in caught.value.hint or "--input cond" in caught.value.hint
