"""A graph without TF1's control flow: frames become While, conditions become If."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dlcc.compiler.errors import ModelError
from dlcc.compiler.frontend.branches import lower_branches
from dlcc.compiler.frontend.frames import ENTER, MERGE, SWITCH, lower_loops
from dlcc.compiler.frontend.function import Function, Library
from dlcc.compiler.frontend.graph import Node, TensorRef
from dlcc.compiler.frontend.guards import Checks, checking_functions, with_guards
from dlcc.compiler.frontend.order import in_order, reached


def lowered(
    nodes: Mapping[str, Node],
    cut: Iterable[TensorRef],
    results: Sequence[TensorRef],
    functions: dict[str, Function],
) -> tuple[Node, ...]:
    """The nodes that compute the results from the tensors `cut`, in order.

    The bodies of what were frames and conditions join `functions`.
    """
    ends = set(cut)
    nodes = _with_flows(nodes)
    try:
        nodes = _without_frames(nodes, ends, results, functions)
    except (LookupError, ValueError, StopIteration) as error:
        raise ModelError(
            f"its control flow is damaged: {type(error).__name__} {error}",
            hint="an Enter, Switch, Merge or Exit without its counterparts; export it again",
        ) from error
    kept = reached(nodes, ends, results)
    return in_order({n: nodes[n] for n in nodes if n in kept})


def _with_flows(nodes: Mapping[str, Node]) -> Mapping[str, Node]:
    """The constants at which a flow of TensorArray or TensorArrayV2 begins, as its handle.

    Before:  flow = Const(0.0, ^array); Enter(flow)
    After:   flow = Identity(array);    Enter(flow)

    The constant follows the array by a control input: from TensorArrayV3 on the op makes the flow.
    """
    arrays = {n.name for n in nodes.values() if n.op in ("TensorArray", "TensorArrayV2")}
    if not arrays:
        return nodes
    return {name: _flow(node, arrays) for name, node in nodes.items()}


def _flow(node: Node, arrays: set[str]) -> Node:
    made = [c for c in node.control_inputs if c in arrays]
    if node.op != "Const" or len(made) != 1 or node.attr("dtype") != "float32":
        return node
    return Node(node.name, "Identity", (TensorRef(made[0], 0),), {"T": "float32"})


def _without_frames(
    nodes: Mapping[str, Node],
    ends: set[TensorRef],
    results: Sequence[TensorRef],
    functions: dict[str, Function],
) -> Mapping[str, Node]:
    if any(n.op in (*ENTER, *MERGE, *SWITCH) for n in nodes.values()):
        # control inputs tell which branch a constant belongs to
        with_control = reached(nodes, ends, results, control=True)
        nodes = {n: nodes[n] for n in nodes if n in with_control}
        bodies: dict[str, Function] = {}
        nodes = lower_loops(nodes, bodies)
        for body in bodies.values():
            inner = {n.name: n for n in body.nodes}
            inner = lower_branches(inner, body.results, functions)
            functions[body.name] = Function.of(body.name, inner, body.arguments, body.results)
        return lower_branches(nodes, results, functions)
    return nodes


def library(
    protos: Mapping[str, Any],
    checks: Checks = "drop",
    op_outputs: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Library:
    """The functions of a GraphDef, without TF1's control flow. op_outputs: as of `Library`."""
    checking = checking_functions(protos) if checks == "keep" else set[str]()

    def clean(function: Function, made: dict[str, Function]) -> tuple[Node, ...]:
        nodes = {n.name: n for n in function.nodes}
        if checking:
            nodes = with_guards(nodes, checking, f"{function.name}/")
        return lowered(nodes, function.arguments, function.results, made)

    return Library(protos, clean, op_outputs)
