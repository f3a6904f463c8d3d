"""Reading model files: what is taken, and one clear line for what is not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from google.protobuf import text_format

from dlcc.compiler.errors import (
    BadNode,
    ModelError,
    ShapeNeeded,
    UnknownName,
    UnreadableModel,
    UnsupportedOps,
    UsageError,
)
from dlcc.compiler.frontend.dtypes import array_of
from dlcc.compiler.frontend.load import load
from dlcc.compiler.frontend.schema import DATA_TYPES, message_class


def graph_def(*nodes):
    """A GraphDef of (name, op, inputs, attrs); attrs are (kind, value) pairs of AttrValue."""
    graph = message_class("GraphDef")()
    for name, op, inputs, attrs in nodes:
        node = graph.node.add(name=name, op=op, input=inputs)
        for key, (kind, value) in attrs.items():
            if kind == "shape":
                for size in value:
                    node.attr[key].shape.dim.add(size=size)
            else:
                setattr(node.attr[key], kind, value)
    return graph


FLOAT = ("type", DATA_TYPES["DT_FLOAT"])


def placeholder(name, *shape):
    return (name, "Placeholder", [], {"dtype": FLOAT, "shape": ("shape", shape)})


def unary(name, op, source):
    return (name, op, [source], {"T": FLOAT})


SMALL = graph_def(
    placeholder("x", -1, 4),
    placeholder("unused", 3),
    unary("y", "Relu", "x"),
    unary("z", "Tanh", "y:0"),
    unary("other", "Neg", "unused"),
)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.pb"
    path.write_bytes(SMALL.SerializeToString())
    return path


def test_reads_a_binary_file(small):
    graph = load(small)
    assert [i.name for i in graph.inputs] == ["x", "unused"]
    assert [o.name for o in graph.outputs] == ["z", "other"]
    assert graph.inputs[0].shape == (None, 4)


def test_reads_a_text_file(tmp_path):
    path = tmp_path / "small.pbtxt"
    path.write_text(text_format.MessageToString(SMALL))
    assert [n.name for n in load(path, outputs=["z"]).nodes] == ["y", "z"]


def test_reads_a_message():
    assert len(load(SMALL).nodes) == 3


def test_prunes_to_the_outputs_asked_for(small):
    graph = load(small, outputs=["y:0"])
    assert [n.name for n in graph.nodes] == ["y"]
    assert [i.name for i in graph.inputs] == ["x"]
    assert [o.name for o in graph.outputs] == ["y:0"]


@pytest.mark.parametrize("name", ["x", "x:0"])
def test_an_input_takes_the_shape_given(small, name):
    graph = load(small, {name: (2, 4)}, ["z"])
    assert [(i.name, i.shape) for i in graph.inputs] == [(name, (2, 4))]


def test_a_tensor_inside_becomes_an_input(small):
    graph = load(small, {"y": (7, 4)}, ["z"])
    assert [n.name for n in graph.nodes] == ["z"]
    assert graph.inputs[0].dtype == "float32"


def test_placeholder_with_default_is_an_input_only_when_fed():
    attrs = {"dtype": FLOAT, "shape": ("shape", (2,))}
    graph = graph_def(
        placeholder("x", 2),
        ("d", "PlaceholderWithDefault", ["x"], attrs),
        unary("y", "Relu", "d"),
    )
    assert [i.name for i in load(graph).inputs] == ["x"]
    assert [i.name for i in load(graph, {"d": (2,)}).inputs] == ["d"]


def test_a_shape_that_cannot_fit_is_refused(small):
    with pytest.raises(UsageError, match=r"\(\?, 4\) in the model, \(2, 5\) was given"):
        load(small, {"x": (2, 5)})


def test_names_near_to_the_misspelt_one_are_shown(small):
    with pytest.raises(UnknownName, match="no output named 'zz'") as caught:
        load(small, outputs=["zz"])
    assert caught.value.exit_code == 2
    with pytest.raises(UnknownName) as caught:
        load(small, {"unusd": (3,)})
    assert "did you mean 'unused'?" in caught.value.hint


def test_an_input_of_unknown_rank_needs_a_shape():
    graph = graph_def(("x", "Placeholder", [], {"dtype": FLOAT}), unary("y", "Relu", "x"))
    graph.node[0].attr["shape"].shape.unknown_rank = True
    with pytest.raises(ShapeNeeded) as caught:
        load(graph)
    assert "--input x=" in caught.value.hint
    assert load(graph, {"x": (1, 2)}).inputs[0].shape == (1, 2)


def test_no_such_file_names_near_ones(small):
    with pytest.raises(UnreadableModel, match="no such file") as caught:
        load(small.with_name("smal.pb"))
    assert caught.value.exit_code == 3
    assert "small.pb" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (SMALL.SerializeToString()[:-7], "cut short"),
        (np.random.default_rng(5).bytes(4096), "not a GraphDef|holds no nodes|without name"),
        (b"hello, I am a shopping list\n" * 40, "text, but not a GraphDef"),
        (b"PK\x03\x04" + bytes(100), "is a zip file, such as a container"),
    ],
    ids=["empty", "truncated", "random", "text", "zip"],
)
def test_what_is_no_graph_is_refused_in_one_line(tmp_path, content, why):
    path = tmp_path / "model.pb"
    path.write_bytes(content)
    with pytest.raises(UnreadableModel, match=why) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_every_truncation_is_refused_or_a_smaller_graph(tmp_path):
    data = SMALL.SerializeToString()
    path = tmp_path / "model.pb"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        try:
            assert len(load(path).nodes) < 3
        except ModelError:
            continue


def test_a_folder_and_an_unreadable_file_are_refused(tmp_path):
    with pytest.raises(UnreadableModel, match="is a folder"):
        load(tmp_path)
    saved = tmp_path / "saved_model.pb"
    saved.write_bytes(b"\x08\x01")
    with pytest.raises(UnreadableModel, match="SavedModel"):
        load(saved)


def test_a_cycle_and_a_dangling_input_are_refused():
    with pytest.raises(ModelError, match="cycle"):
        load(graph_def(unary("a", "Relu", "b"), unary("b", "Relu", "a"), unary("c", "Relu", "a")))
    with pytest.raises(ModelError, match="no node makes"):
        load(graph_def(unary("a", "Relu", "gone")))


def test_two_nodes_of_one_name_are_refused():
    with pytest.raises(UnreadableModel, match="two nodes"):
        load(graph_def(placeholder("x", 1), placeholder("x", 2)))


def test_a_deep_graph_does_not_overflow_the_stack():
    chain = [unary(f"n{i}", "Neg", f"n{i - 1}" if i else "x") for i in range(20_000)]
    assert len(load(graph_def(*reversed(chain), placeholder("x", 1))).nodes) == 20_000


def test_all_unsupported_ops_are_reported_at_once():
    from dlcc.compiler.frontend.translate import translate

    graph = graph_def(
        placeholder("x", 2),
        unary("good", "Tanh", "x"),
        unary("a", "FluxCapacitor", "good"),
        unary("b", "FluxCapacitor", "a"),
        unary("c", "WarpDrive", "b"),
    )
    with pytest.raises(UnsupportedOps) as caught:
        translate(load(graph))
    assert caught.value.ops == {"FluxCapacitor": ["a", "b"], "WarpDrive": ["c"]}
    assert "no converter for 2 ops: FluxCapacitor (2 nodes: a, b)" in str(caught.value)
    assert "--output good" in caught.value.hint


def test_a_node_that_cannot_be_converted_is_named():
    from dlcc.compiler.frontend.translate import translate

    graph = graph_def(placeholder("x", 2), ("m", "Conv2D", ["x", "x"], {"T": FLOAT}))
    with pytest.raises(BadNode, match=r"^m \(Conv2D\): ") as caught:
        translate(load(graph))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "array",
    [
        np.float32(3.5),
        np.arange(6, dtype="int64").reshape(2, 3),
        np.zeros((0, 4), "uint8"),
        np.array([True, False]),
        np.array([1 + 2j, -3j], "complex64"),
        np.array([0.5, -2], "float16"),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_constants_agree_with_tensorflow(array):
    import tensorflow as tf

    for proto in (tf.make_tensor_proto(array), tf.compat.v1.make_tensor_proto(array)):
        ours = message_class("TensorProto")()
        ours.ParseFromString(proto.SerializeToString())
        got = array_of(ours)
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, array)


def test_a_short_list_of_values_repeats_its_last():
    proto = message_class("TensorProto")(dtype=1, float_val=[1, 2])
    proto.tensor_shape.dim.add(size=5)
    np.testing.assert_array_equal(array_of(proto), np.float32([1, 2, 2, 2, 2]))


@pytest.mark.parametrize(
    ("content", "sizes"), [(b"\0" * 8, [3]), (b"", [1 << 20, 1 << 20]), (b"", [-1])]
)
def test_a_constant_that_lies_about_its_size_is_refused(content, sizes):
    proto = message_class("TensorProto")(dtype=1, tensor_content=content)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError, match=r"bytes for|elements|unknown shape"):
        array_of(proto)


def test_reading_needs_no_tensorflow(small):
    code = (
        "import sys; from dlcc.compiler.frontend.load import load; load(sys.argv[1]);"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, small], check=True)
