"""Which nodes of a graph have no converter, and the nearest way around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlcc.compiler.frontend.graph import Graph, Node, TensorRef
from dlcc.compiler.frontend.ops import TF_OPS

# attributes that name functions
FUNCTION_ATTRS = ("f", "cond", "body", "then_branch", "else_branch", "branches")
_NO_PLACE_TO_CUT = ("Const", "Placeholder", "PlaceholderV2", "NoOp")


def missing_nodes(graph: Graph) -> list[Node]:
    """The nodes between inputs and outputs that no converter serves, with those of functions."""
    cut = {i.ref.node for i in graph.inputs}
    seen: set[str] = set()
    missing: list[Node] = []
    waiting = [[node for node in graph.nodes if node.name not in cut]]
    while waiting:
        nodes = waiting.pop()
        missing += [n for n in TF_OPS.missing(nodes) if n.op not in graph.functions]
        for name in _called(nodes):
            if name not in seen and name in graph.functions:
                seen.add(name)
                waiting.append(list(graph.functions[name].nodes))
    return missing


def _called(nodes: Sequence[Node]) -> Iterator[str]:
    """The functions that nodes call; of a condition known at compile time, the one it calls."""
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        if node.op not in TF_OPS:
            yield node.op
        refs = {k: v for k, v in node.attrs.items() if k in FUNCTION_ATTRS}
        if "then_branch" in refs:
            condition = by_name.get(node.inputs[0].node)
            value = condition.attr("value") if condition and condition.op == "Const" else None
            if value is not None and value.shape == ():
                refs.pop("else_branch" if value.item() else "then_branch")
        for value in refs.values():
            for ref in value if isinstance(value, tuple) else (value,):
                yield ref.name


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
    missing = [n for n in missing if n is graph.by_name.get(n.name)]  # not inside of functions
    add = "add a converter (CONTRIBUTING.md, 'add an op')"
    if not last:
        return add
    options = " ".join(f"--output {ref.node if ref.index == 0 else ref}" for ref in list(last)[:3])
    return f"stop before them with {options}, or {add}"
