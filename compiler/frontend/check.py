"""Which nodes of a graph have no converter, and the nearest way around them."""

from __future__ import annotations

from collections.abc import Sequence

from dlcc.compiler.frontend.graph import Graph, Node, TensorRef
from dlcc.compiler.frontend.ops import TF_OPS

_NO_PLACE_TO_CUT = ("Const", "Placeholder", "PlaceholderV2", "NoOp")


def missing_nodes(graph: Graph) -> list[Node]:
    """The nodes between inputs and outputs that no converter serves."""
    cut = {i.ref.node for i in graph.inputs}
    return TF_OPS.missing(node for node in graph.nodes if node.name not in cut)


def way_out(graph: Graph, missing: Sequence[Node]) -> str:
    """A hint: the last tensors that can be had, for --output, or what to write instead."""
    bad = {node.name for node in missing}
    for node in graph.nodes:  # in an order in which each follows its inputs
        if any(ref.node in bad for ref in node.inputs):
            bad.add(node.name)
    last: dict[TensorRef, None] = {}
    for node in missing:
        for ref in node.inputs:
            source = graph.by_name.get(ref.node)
            if source and ref.node not in bad and source.op not in _NO_PLACE_TO_CUT:
                last[ref] = None
    add = "add a converter (CONTRIBUTING.md, 'add an op')"
    if not last:
        return add
    options = " ".join(f"--output {ref.node if ref.index == 0 else ref}" for ref in list(last)[:3])
    return f"stop before them with {options}, or {add}"
