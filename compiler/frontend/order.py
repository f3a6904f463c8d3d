"""Nodes in an order in which each follows what it reads, and the nodes that a result needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dlcc.compiler.errors import ModelError
from dlcc.compiler.frontend.graph import Node, TensorRef


def in_order(nodes: Mapping[str, Node], *, control: bool = False) -> tuple[Node, ...]:
    """Depth-first order, without recursion: graphs are thousands of nodes deep.

    The way back of a TF1 loop (NextIteration to Merge) is not followed.
    control: whether a node also follows its control inputs. Raises ModelError for a cycle.
    """
    done: dict[str, Node] = {}
    for root in nodes:
        stack: list[tuple[str, bool]] = [(root, False)]
        open_: set[str] = set()
        while stack:
            name, leaving = stack.pop()
            if leaving:
                done.setdefault(name, nodes[name])
                open_.discard(name)
            elif name in open_:
                raise ModelError(f"the graph has a cycle through {name!r} that is no loop")
            elif name not in done:
                open_.add(name)
                stack.append((name, True))
                stack.extend((i, False) for i in _before(nodes, name, control) if i not in done)
    return tuple(done.values())


def _before(nodes: Mapping[str, Node], name: str, control: bool) -> Iterable[str]:
    node = nodes[name]
    names = [r.node for r in reversed(node.inputs)]
    names += node.control_inputs if control else ()
    return (n for n in names if n in nodes and nodes[n].op != "NextIteration")


def reached(
    nodes: Mapping[str, Node],
    cut: Iterable[TensorRef],
    results: Iterable[TensorRef],
    *,
    control: bool = False,
) -> dict[str, None]:
    """The nodes that compute the results from the tensors where the graph is cut.

    Raises ModelError for a node that the graph does not have.
    """
    ends = set(cut)
    seen: dict[str, None] = {}
    stack = list(reversed(list(results)))
    while stack:
        ref = stack.pop()
        if ref in ends or ref.node in seen:
            continue
        if ref.node not in nodes:
            raise ModelError(f"the graph reads {str(ref)!r}, which no node makes")
        seen[ref.node] = None
        if control:
            stack += [TensorRef(n, 0) for n in nodes[ref.node].control_inputs if n in nodes]
        stack.extend(reversed(nodes[ref.node].inputs))
    return seen
