"""What `dlcc check -t hexagon` says is what compiling finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcc.targets.aot.lacks import LACKS
from dlcc.targets.errors import ToolchainError

tf = pytest.importorskip("tensorflow")

X = np.array([[3.0, 1.0, 2.0]], np.float32)
GRAPHS: dict[str, Any] = {
    "Where": lambda x: tf.raw_ops.Where(condition=x > 1.5, name="at"),
    "Unique": lambda x: tf.raw_ops.Unique(x=x[0], name="values")[0],
    "If": lambda x: tf.cond(x[0, 0] > 1.0, lambda: tf.sin(x), lambda: tf.cos(x), name="if"),
    "While": lambda x: tf.while_loop(
        lambda y: y[0, 0] < 100.0, lambda y: y * 2.0, [x], name="loop"
    )[0],
}
WORDS = {
    "Where": "its shape is only known when the model runs",
    "Unique": "its shape is only known when the model runs",
    "If": "branch",
    "While": "loop",
}


@pytest.mark.parametrize("op", GRAPHS)
def test_refusal_names_the_node_and_the_reason(op: str) -> None:
    from dlcc.compiler import compile

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, X.shape, name="x")
        with tf.name_scope("picked"):
            made = GRAPHS[op](x)
        made = tf.identity(made, name="result")
    with pytest.raises(ToolchainError) as error:
        compile(graph.as_graph_def(), "hexagon", outputs=["result"])
    assert "picked" in error.value.what, error.value.what
    assert WORDS[op] in error.value.what, error.value.what
    assert "host or arm" in error.value.hint


def test_every_op_is_one_that_we_convert() -> None:
    from dlcc.compiler.frontend.ops import TF_OPS

    assert [op for op in LACKS if op not in TF_OPS] == []
