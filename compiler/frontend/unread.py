"""Results of branches, calls and loops that nobody reads, and all that only they need.

A model that is trained keeps what its gradients need: a condition hands out the tensors of its
branch, as optionals, and a loop collects those of all iterations in lists. Without the gradients
nobody reads them.

    Before:  i = If(p, x; then=(y, kept), else=(z, none));  … i:0 …
    After:   i = If(p, x; then=(y), else=(z));              … i:0 …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dlcc.compiler.errors import ModelError
from dlcc.compiler.frontend.function import Function
from dlcc.compiler.frontend.graph import ALL_OUTPUTS, Attrs, FuncRef, Graph, Node, TensorRef
from dlcc.compiler.frontend.order import reached

BRANCHES = ("then_branch", "else_branch", "branches", "f")
LOOPS = ("While", "StatelessWhile")
CALLS = (
    "If", "StatelessIf", "Case", "StatelessCase", "PartitionedCall", "StatefulPartitionedCall",
)  # fmt: skip


def without_unread(graph: Graph) -> Graph:
    """The graph with functions that give what is read of them, and nothing else."""
    if not any(n.op in (*CALLS, *LOOPS) for n in graph.nodes):
        return graph
    made: dict[str, Function] = {}
    trim = _Trim(graph.functions, made)
    try:
        nodes, refs = trim.nodes(graph.nodes, [o.ref for o in graph.outputs])
    except (LookupError, ValueError) as error:
        raise ModelError(
            f"its functions are damaged: {type(error).__name__} {error}",
            hint="a branch or a loop does not give what is read of it; export it again",
        ) from error
    outputs = tuple(replace(o, ref=r) for o, r in zip(graph.outputs, refs, strict=True))
    graph = replace(graph, outputs=outputs, functions=_Joined(graph.functions, made))
    kept = reached({n.name: n for n in nodes}, [i.ref for i in graph.inputs], refs)
    return replace(graph, nodes=tuple(n for n in nodes if n.name in kept))


class _Joined(Mapping[str, Function]):
    """The functions of a graph, with those made of them."""

    def __init__(self, own: Mapping[str, Function], made: Mapping[str, Function]) -> None:
        self._own, self._made = own, made

    def __getitem__(self, name: str) -> Function:
        return self._made[name] if name in self._made else self._own[name]

    def __iter__(self) -> Any:
        return iter(dict.fromkeys((*self._own, *self._made)))

    def __len__(self) -> int:
        return len(set(self._own) | set(self._made))


class _Trim:
    def __init__(self, functions: Mapping[str, Function], made: dict[str, Function]) -> None:
        self.functions = functions
        self.made = made

    def nodes(
        self, nodes: Sequence[Node], results: Sequence[TensorRef]
    ) -> tuple[list[Node], list[TensorRef]]:
        """Nodes whose calls give what is read, and the results under their new numbers."""
        read = {r for n in nodes for r in n.inputs} | set(results)
        numbers: dict[TensorRef, TensorRef] = {}
        trimmed = []
        for node in nodes:
            count = self._count(node)
            if not count:
                trimmed.append(node)
                continue
            own = [TensorRef(node.name, i) for i in range(count)]
            everything = TensorRef(node.name, ALL_OUTPUTS) in read
            kept = [i for i, ref in enumerate(own) if everything or ref in read]
            trim = self._loop if node.op in LOOPS else self._call
            node, kept = trim(node, kept or [0])
            numbers |= {own[i]: TensorRef(node.name, k) for k, i in enumerate(kept)}
            trimmed.append(node)
        renumbered = [
            replace(n, inputs=tuple(numbers.get(r, r) for r in n.inputs)) for n in trimmed
        ]
        return renumbered, [numbers.get(r, r) for r in results]

    def _count(self, node: Node) -> int:
        """How many results a node has that can be trimmed; 0 for any other, and a damaged one."""
        refs = _functions(node)
        if not refs or any(r.name not in self.functions for r in refs):
            return 0
        called = [self.functions[r.name] for r in refs]
        counts = {len(f.results) for f in called[node.op in LOOPS :]}  # not of a loop's condition
        if node.op in LOOPS:
            counts |= {len(node.inputs), *(len(f.arguments) for f in called)}
        return counts.pop() if len(counts) == 1 else 0

    def _call(self, node: Node, kept: list[int]) -> tuple[Node, list[int]]:
        attrs = dict(_undecoded(node))
        for attr in (a for a in BRANCHES if a in node.attrs):
            refs = node.attrs[attr]
            if isinstance(refs, tuple):
                attrs[attr] = tuple(self._function(r.name, kept) for r in refs)
            else:
                attrs[attr] = self._function(refs.name, kept)
        return replace(node, attrs=attrs), kept

    def _loop(self, node: Node, kept: list[int]) -> tuple[Node, list[int]]:
        """Only the variables that are read, or that the condition or one of these needs."""
        cond, body = (self.functions[node.attrs[a].name] for a in ("cond", "body"))
        live = set(kept) | _needed(cond, cond.results)
        while not (more := _needed(body, [body.results[i] for i in live])) <= live:
            live |= more
        variables = sorted(live)
        attrs = {
            **_undecoded(node),
            "cond": self._function(node.attrs["cond"].name, [0], variables),
            "body": self._function(node.attrs["body"].name, variables, variables),
        }
        inputs = tuple(node.inputs[i] for i in variables)
        return replace(node, inputs=inputs, attrs=attrs), variables

    def _function(
        self, name: str, kept: Sequence[int], arguments: Sequence[int] | None = None
    ) -> FuncRef:
        """The function with these of its results, and of its arguments."""
        function = self.functions[name]
        given = range(len(function.arguments)) if arguments is None else arguments
        key = f"{name}/reads {list(kept)} of {list(given)}"
        if key not in self.made:
            self.made[key] = function  # a function that calls itself
            results = [function.results[i] for i in kept]
            nodes, results = self.nodes(_reached(function, results), results)
            bound = tuple(function.arguments[i] for i in given)
            self.made[key] = replace(
                function, nodes=tuple(nodes), arguments=bound, results=tuple(results)
            )
        return FuncRef(key, Attrs({}))


def _functions(node: Node) -> list[FuncRef]:
    if node.op not in (*CALLS, *LOOPS):
        return []
    found: list[FuncRef] = []
    for attr in ("cond", "body") if node.op in LOOPS else BRANCHES:
        value = node.attrs.get(attr)
        found += [v for v in (value if isinstance(value, tuple) else (value,)) if v is not None]
    return found if all(isinstance(f, FuncRef) for f in found) else []


def _undecoded(node: Node) -> dict[str, Any]:
    """The attributes of a call: none of them is a weight."""
    return {name: node.attrs[name] for name in node.attrs}


def _reached(function: Function, results: Sequence[TensorRef]) -> list[Node]:
    kept = reached({n.name: n for n in function.nodes}, function.arguments, results)
    return [n for n in function.nodes if n.name in kept]


def _needed(function: Function, results: Sequence[TensorRef]) -> set[int]:
    """The numbers of the arguments that some results need."""
    read = {r for n in _reached(function, results) for r in n.inputs} | set(results)
    return {i for i, ref in enumerate(function.arguments) if ref in read}
