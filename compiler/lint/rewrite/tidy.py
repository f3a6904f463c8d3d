"""Leaves out nodes that pass their input on, and nodes that no output needs."""

from __future__ import annotations

from dlcc.compiler.lint.rewrite.editable import PASSED_ON, Editable


def tidy(graph: Editable) -> list[tuple[str, str]]:
    """Drop identities, except where one is an output or input of the model, or waits for another.

    Before:  w = Const; r = Identity(w); y = MatMul(x, r)
    After:   w = Const; y = MatMul(x, w)
    """
    dropped = 0
    for name in graph:
        node = graph.nodes[name]
        if node.op not in PASSED_ON or name in graph.outputs | graph.inputs:
            continue
        if len(node.input) == 1 and not node.input[0].startswith("^"):
            _pass_by(graph, name)
            dropped += 1
    gone = graph.keep_reachable()
    return [("", f"{gone} nodes left out, {dropped} of them identities")] if gone else []


def _pass_by(graph: Editable, name: str) -> None:
    """Let readers of an identity read what it passes on, an output of another number included."""
    given = graph.nodes[name].input[0]
    for node in graph.nodes.values():
        for place, read in enumerate(node.input):
            if graph.source(read) == name:
                waits = read.startswith("^")
                node.input[place] = f"^{graph.source(given)}" if waits else given
