"""Which nodes of a graph have no converter, and the nearest way around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.cut import dtype_of
from dlcc.compiler.frontend.graph import FuncRef, Graph, Node, TensorRef
from dlcc.compiler.frontend.ops import TF_OPS
from dlcc.compiler.frontend.ops.table import OpTable

# attributes that name functions
FUNCTION_ATTRS = ("f", "cond", "body", "then_branch", "else_branch", "branches")
# what a phone's engines do not do at all: files, texts, tables, queues
_HOST_ONLY = (
    "AsString", "Decode", "HashTable", "Iterator", "LookupTable", "MutableHashTable", "OneShot",
    "Parse", "Queue", "ReadFile", "Reader", "Regex", "StaticRegex", "String", "Substr",
    "Unicode", "WholeFileReader",
)  # fmt: skip
_RANDOM = ("Random", "Multinomial", "StatefulUniform", "StatelessRandom", "TruncatedNormal")
_NO_TENSOR = ("string", "resource", "variant")
# what only hands on what a loop made: lists, counters
_PASSED = ("Identity", "IdentityN", "Range", "TensorArraySizeV3", "TensorListLength")
_NO_PLACE_TO_CUT = ("Const", "Placeholder", "PlaceholderV2", "NoOp")


def missing_nodes(graph: Graph, table: OpTable = TF_OPS) -> list[Node]:
    """The nodes between inputs and outputs that no converter serves, with those of functions.

    A node of a function of the model's library is named FUNCTION/NODE.
    """
    cut = {i.ref.node for i in graph.inputs}
    seen: set[str] = set()
    missing: list[Node] = []
    waiting = [("", [node for node in graph.nodes if node.name not in cut])]
    while waiting:
        scope, nodes = waiting.pop()
        found = [n for n in table.missing(nodes) if n.op not in graph.functions]
        missing += [replace(n, name=f"{scope}{n.name}") for n in found] if scope else found
        for name in _called(nodes, table):
            if name not in seen and name in graph.functions:
                seen.add(name)
                function = graph.functions[name]
                inner = f"{function.name}/" if function.named else scope
                waiting.append((inner, list(function.nodes)))
    return missing


def _called(nodes: Sequence[Node], table: OpTable = TF_OPS) -> Iterator[str]:
    """The functions that nodes call; of a condition known at compile time, the one it calls."""
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        if node.op not in table:
            yield node.op
        try:
            yield from _named(node, by_name)
        except ValueError as error:
            raise BadNode(node, f"its attributes are damaged: {error}") from error


def _named(node: Node, by_name: Mapping[str, Node]) -> Iterator[str]:
    """The functions that a node's attributes name."""
    # the other attributes stay undecoded: weights are among them
    refs = {k: node.attrs[k] for k in FUNCTION_ATTRS if k in node.attrs}
    if "then_branch" in refs and node.inputs:
        condition = by_name.get(node.inputs[0].node)
        value = condition.attr("value") if condition and condition.op == "Const" else None
        if isinstance(value, np.ndarray) and value.shape == ():
            refs.pop("else_branch" if value.item() else "then_branch", None)
    for value in refs.values():
        for ref in value if isinstance(value, tuple) else (value,):
            if isinstance(ref, FuncRef):
                yield ref.name


def way_out(graph: Graph, missing: Sequence[Node]) -> str:
    """A hint: the tensors to feed or to stop at instead, or what to write."""
    ways = []
    if around := _around_host_only(graph, missing):
        listed = " ".join(f"--input {name}=SHAPE" for name in around[:3])
        ways.append(
            "a loop, branch or function that a host has to run is among them: feed what it makes, "
            f"computed before: {listed}"
        )
    if behind := _behind_host_only(graph, missing):
        names = [ref.node if not ref.index else str(ref) for ref in behind[:3]]
        listed = " ".join(f"--input {name}=SHAPE" for name in names)
        ways.append(f"feed what they make, computed before: {listed}")
    if any(node.op.startswith(_RANDOM) for node in missing):
        ways.append("random numbers are mostly of dropout: export the model for inference")
    return "; ".join([*ways, _stop_before(graph, missing)])


def _around_host_only(graph: Graph, missing: Sequence[Node]) -> list[str]:
    """The numbers that come out of loops, branches and calls with nodes for a host inside.

    Of a list or a loop's counter nobody can feed the numbers: the first tensors behind are named.
    """
    own = graph.by_name
    host = {n.name for n in missing if n.op.startswith(_HOST_ONLY) and n.name not in own}
    if not host:
        return []
    holders = {n.name for n in graph.nodes if host & _names_within(graph, n, set())}
    readers = [n for n in graph.nodes if n.name not in holders]
    found: dict[str, None] = {}
    made = set(holders)
    for node in readers:
        if not any(r.node in made for r in node.inputs):
            continue
        ref = TensorRef(node.name, 0)
        if node.op not in _PASSED and _can_be_fed(own, ref):
            found[node.name] = None
        else:
            made.add(node.name)
    return list(found)


def _names_within(graph: Graph, node: Node, seen: set[str], scope: str = "") -> set[str]:
    """The nodes of the functions that a node calls, and of those that these call."""
    names: set[str] = set()
    for called in _called([node]):
        if called in seen or called not in graph.functions:
            continue
        seen.add(called)
        function = graph.functions[called]
        inner = f"{function.name}/" if function.named else scope
        names |= {f"{inner}{n.name}" for n in function.nodes}
        for step in function.nodes:
            names |= _names_within(graph, step, seen, inner)
    return names


def _behind_host_only(graph: Graph, missing: Sequence[Node]) -> list[TensorRef]:
    """The numbers that other nodes read from those that only a host can compute."""
    host = {node.name: node for node in missing if node.op.startswith(_HOST_ONLY)}
    read = [ref for node in graph.nodes if node.name not in host for ref in node.inputs]
    read += [output.ref for output in graph.outputs]
    return [ref for ref in dict.fromkeys(read) if ref.node in host and _can_be_fed(host, ref)]


def _can_be_fed(host: Mapping[str, Node], ref: TensorRef) -> bool:
    try:
        return dtype_of(host[ref.node], ref) not in _NO_TENSOR
    except BadNode:
        return False


def _stop_before(graph: Graph, missing: Sequence[Node]) -> str:
    """The last tensors that can be had, for --output."""
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
    add = "add a converter (`dlcc ops new NAME`, docs/user-ops.md)"
    if not last:
        return add
    options = " ".join(f"--output {ref.node if ref.index == 0 else ref}" for ref in list(last)[:3])
    return f"stop before them with {options}, or {add}"
