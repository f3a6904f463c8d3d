"""Parts of graphs: what TensorFlow is given to run, and which tensors mean the same in both."""

from __future__ import annotations

from dlcc.compiler.frontend.graph import TensorRef
from dlcc.compiler.frontend.part import Fed, enum_of, part_of
from dlcc.compiler.frontend.read import Source
from dlcc.compiler.verify import Making
from dlcc.compiler.verify.subject import subject
from tests.fuzz.maker import Maker
from tests.verify.nets import branching


def test_a_part_reads_placeholders_where_it_is_cut() -> None:
    fed = {
        TensorRef("halves", 1): Fed(enum_of("int32"), (2, 3)),
        TensorRef("halves", 0): Fed(enum_of("int32")),
    }
    part = part_of(Source("m", branching()), fed, [TensorRef("joined", 0)])
    nodes = {node.name: node for node in part.graph_def.node}
    assert list(part.names.values()) == ["halves_1", "halves"]
    assert list(nodes["more"].input) == ["halves_1", "seven"]
    assert list(nodes["joined"].input) == ["more", "halves", "axis"]
    assert [d.size for d in nodes["halves_1"].attr["shape"].shape.dim] == [2, 3]
    assert nodes["halves"].attr["shape"].shape.unknown_rank
    assert not {"x", "sum"} & nodes.keys()


def test_a_node_of_which_one_output_is_given_stays() -> None:
    fed = {TensorRef("halves", 0): Fed(enum_of("int32"))}
    part = part_of(Source("m", branching()), fed, [TensorRef("joined", 0)])
    nodes = {node.name: node for node in part.graph_def.node}
    assert part.names[TensorRef("halves", 0)] == "halves_given"
    assert nodes["halves"].op == "Split"
    assert list(nodes["joined"].input) == ["more", "halves_given", "axis"]


def test_control_inputs_stay_where_they_put_nodes_into_a_branch() -> None:
    m = Maker()
    m.input("x", 2)
    m.node("anchor", "Identity", "x", T="float32")
    m.node("check", "NoOp")
    m.const("one", 1.0, after="anchor")
    m.node("y", "AddV2", "x", "one", "^check", T="float32")
    part = part_of(Source("m", m.graph), {}, [TensorRef("y", 0)])
    nodes = {node.name: node for node in part.graph_def.node}
    assert list(nodes["one"].input) == ["^anchor"]
    assert list(nodes["y"].input) == ["x", "one"]


def test_results_of_branches_are_no_tensors_of_the_model() -> None:
    """They are renumbered when the model is read: nobody reads `if:0`, so that `if:1` is `if:0`."""
    m = Maker()
    x = m.input("x", 2)
    m.scalar("p", "bool")
    for name, op in (("then", "Neg"), ("else", "Relu")):
        with m.function(name, {"a": "float32"}, {"r": "other:y", "s": "own:y"}):
            m.node("other", "Abs", "a", T="float32")
            m.node("own", op, "a", T="float32")
    floats = ("float32", "float32")
    branches = {"then_branch": "@then", "else_branch": "@else"}
    m.node("if", "StatelessIf", "p", x, Tcond="bool", Tin=("float32",), Tout=floats, **branches)
    m.node("y", "Neg", "if:1", T="float32")
    found = subject(m.graph, "host", Making(outputs=["y"]))
    assert TensorRef("if", 0) in found.translated.tensors.values()
    assert list(found.tensors.values()) == [TensorRef("y", 0)]
