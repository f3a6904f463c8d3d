"""Names of TensorFlow's nodes live on: in the module, in kernels, in the program for the DSP."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tvm import relax

from dlcc.compiler import compile
from dlcc.targets.names import NODES, nodes_of, output_names


@pytest.fixture(scope="module")
def container():
    import tensorflow as tf

    with tf.Graph().as_default() as graph, tf.name_scope("block"):
        x = tf.compat.v1.placeholder(tf.float32, [2, 6], "x")
        y = tf.linalg.matmul(x, np.ones((6, 5), np.float32), name="dense")
        tf.nn.relu(tf.nn.bias_add(y, np.arange(5, dtype=np.float32)), name="act")
    return compile(graph.as_graph_def(), target="hexagon")


def test_variables_of_the_module_are_known_by_their_nodes(container) -> None:
    module = container.module()
    names = [str(b.var.name) for block in module["main"].body.blocks for b in block.bindings]
    assert nodes_of(module, names) == ("block/dense", "block/BiasAdd", "block/act")
    assert output_names(module, 1) == ("block/act",)


def test_kernels_inputs_and_outputs_of_a_program_have_the_models_names(container) -> None:
    told = json.loads(container.artifact(container.targets[0]).files["model.json"])
    assert [k["sources"] for k in told["kernels"]] == [
        ["block/dense", "block/BiasAdd", "block/act"]
    ]
    assert [t["name"] for t in (*told["inputs"], *told["outputs"])] == ["block/x", "block/act"]


def test_a_module_without_names_has_those_of_its_variables() -> None:
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType([2], "float32"))
    with bb.function("main", [x]):
        bb.emit_func_output(relax.Tuple([bb.emit(relax.op.exp(x))]))
    module = bb.get()
    assert NODES not in (module["main"].attrs or {})
    assert nodes_of(module, ["x", "lv", "x"]) == ("x", "lv")
    assert output_names(module, 2) == ("output_0", "output_1")
