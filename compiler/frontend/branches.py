"""TF1 conditions as nodes `If`: Switch and Merge lowered.

Switch(x, p) sends x to output 1 where p holds and to output 0 where it does not; the other output
is dead, and so is every node with a dead input. Merge gives the input that is alive. So a node
lives under a set of (predicate, branch), the union of what its inputs live under; a Merge takes
away the predicate on which its inputs differ. A constant in a branch is held there by a control
input alone, therefore these count as well.
Source: Yu et al., "Dynamic Control Flow in Large-Scale Machine Learning", EuroSys 2018, section 4.

    Before:  s = Switch(x, p);  m = Merge(f(s:0), g(s:1))
    After:   i = If(p, x, then=g, else=f);  m = Identity(i)

Merges with one predicate become one If, unless one of them needs the other. A tensor of a branch
that is read without a Merge is dead in TensorFlow half of the time; here it is computed always.
Expects loops to be nodes `While` already: without them the graph has no cycles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.frames import MERGE, SWITCH
from dlcc.compiler.frontend.function import Function
from dlcc.compiler.frontend.graph import Attrs, FuncRef, Node, TensorRef
from dlcc.compiler.frontend.order import in_order

# predicate -> branch, in the order in which the conditions were entered
Lives = dict[TensorRef, bool]


@dataclass(frozen=True)
class _Join:
    """A Merge: which of its inputs is alive where the predicate is false, and where it is true."""

    node: Node
    predicate: TensorRef
    inputs: tuple[TensorRef, TensorRef]
    numbers: tuple[int, int]  # their positions among the Merge's inputs
    level: int  # how many Merges, at most, a way from a source to this one passes


def lower_branches(
    nodes: Mapping[str, Node], results: Sequence[TensorRef], functions: dict[str, Function]
) -> dict[str, Node]:
    """The nodes that the results need, with every condition as one node `If`."""
    if not any(n.op in (*SWITCH, *MERGE) for n in nodes.values()):
        return dict(nodes)
    return _Lowering(nodes, functions).run(results)


class _Lowering:
    def __init__(self, nodes: Mapping[str, Node], functions: dict[str, Function]) -> None:
        self.nodes = nodes
        self.functions = functions
        self.lives: dict[str, Lives] = {}
        self.joins: dict[str, _Join] = {}
        self.levels: dict[str, int] = {}
        for node in in_order(nodes, control=True):
            self._place(node)

    # ---- which nodes live where

    def _place(self, node: Node) -> None:
        names = [*(r.node for r in node.inputs), *node.control_inputs]
        self.levels[node.name] = max((self.levels.get(n, 0) for n in names), default=0)
        if node.op in MERGE:
            self.joins[node.name] = join = self._join(node)
            self.levels[node.name] += 1
            both = self.under(join.inputs[0]) | self.under(join.inputs[1])
            self.lives[node.name] = {p: b for p, b in both.items() if p != join.predicate}
            return
        lives: Lives = {}
        for ref in (*node.inputs, *(TensorRef(n, -1) for n in node.control_inputs)):
            lives |= self.under(ref)
        self.lives[node.name] = lives

    def under(self, ref: TensorRef) -> Lives:
        """What a tensor lives under; a control input has the index -1."""
        lives = self.lives.get(ref.node, {})
        node = self.nodes.get(ref.node)
        if node is None or node.op not in SWITCH or ref.index < 0:
            return lives
        return lives | {self._predicate(node): ref.index == 1}

    def _predicate(self, switch: Node) -> TensorRef:
        ref = switch.inputs[1]
        while (node := self.nodes.get(ref.node)) and node.op == "Identity":
            ref = node.inputs[0]
        return ref

    def _join(self, node: Node) -> _Join:
        if len(node.inputs) != 2:
            raise BadNode(node, f"joins {len(node.inputs)} branches, 2 are supported")
        zero, one = (self.under(r) for r in node.inputs)
        apart = [p for p in zero if p in one and zero[p] != one[p]]
        alone = [p for p in zero if p not in one] + [p for p in one if p not in zero]
        if not apart and not alone:
            raise BadNode(node, "joins tensors that no predicate tells apart")
        predicate = (apart or alone)[-1]
        swapped = zero[predicate] if predicate in zero else not one[predicate]
        order = (1, 0) if swapped else (0, 1)
        inputs = (node.inputs[order[0]], node.inputs[order[1]])
        return _Join(node, predicate, inputs, order, self.levels[node.name])

    # ---- the graph without conditions

    def run(self, results: Sequence[TensorRef]) -> dict[str, Node]:
        """Nodes outside of all conditions, with an If for each group of Merges that is met."""
        plain: dict[str, Node] = {}
        met: dict[str, None] = {}
        stack = [self.passed(r) for r in results]
        while stack:
            ref = stack.pop()
            if ref.node in plain or ref.node in met or ref.node not in self.nodes:
                continue
            if ref.node in self.joins:
                met[ref.node] = None
                stack += self._reads_of([self.joins[ref.node]])
                continue
            node = self.nodes[ref.node]
            inputs = tuple(map(self.passed, node.inputs))
            plain[ref.node] = Node(node.name, node.op, inputs, node.attrs)
            stack += inputs
        groups: dict[tuple[TensorRef, int], list[_Join]] = {}
        for name in self.nodes:
            if name in met:
                join = self.joins[name]
                groups.setdefault((join.predicate, join.level), []).append(join)
        for group in groups.values():
            plain |= self._as_if(group)
        for ref in results:  # a result may be a Switch itself
            if (data := self.passed(ref)) != ref:
                plain[ref.node] = Node(ref.node, "IdentityN", (data, data), {})
        return plain

    def passed(self, ref: TensorRef) -> TensorRef:
        """The tensor behind Switches."""
        while (node := self.nodes.get(ref.node)) and node.op in SWITCH:
            ref = node.inputs[0]
        return ref

    def _reads_of(self, group: Sequence[_Join]) -> list[TensorRef]:
        predicate = self.passed(group[0].predicate)
        sides = (self._slice([j.inputs[b] for j in group], group[0])[2] for b in (0, 1))
        return list(dict.fromkeys([predicate, *(r for side in sides for r in side)]))

    def _slice(
        self, results: Iterable[TensorRef], join: _Join
    ) -> tuple[list[TensorRef], dict[str, Node], list[TensorRef]]:
        """The results, the nodes of one branch that they need, and what these read from outside."""
        ends = [self._resolved(r, join.predicate) for r in results]
        inner: dict[str, Node] = {}
        outside: dict[TensorRef, None] = {}
        stack = list(ends)
        while stack:
            ref = stack.pop()
            if ref.node in inner:
                continue
            if join.predicate not in self.under(ref):
                if ref.index >= 0:
                    outside[ref] = None
                continue
            node = self.nodes[ref.node]
            inputs = tuple(self._resolved(r, join.predicate) for r in node.inputs)
            inner[ref.node] = Node(node.name, node.op, inputs, node.attrs, node.control_inputs)
            stack += [*inputs, *(TensorRef(n, -1) for n in node.control_inputs)]
        kept = {n: inner[n] for n in self.nodes if n in inner}
        return ends, kept, list(outside)

    def _resolved(self, ref: TensorRef, predicate: TensorRef) -> TensorRef:
        while (node := self.nodes.get(ref.node)) and node.op in SWITCH:
            if self._predicate(node) != predicate:
                break
            ref = node.inputs[0]
        return ref

    def _as_if(self, group: Sequence[_Join]) -> dict[str, Node]:
        first = group[0]
        name = f"{first.node.name}/if"
        sides = [self._slice([j.inputs[b] for j in group], first) for b in (0, 1)]
        reads = tuple(dict.fromkeys(r for _, _, outside in sides for r in outside))
        attrs = {}
        for branch, (ends, inner, _) in enumerate(sides):
            label = ("else_branch", "then_branch")[branch]
            numbers = {
                f"{name}/index{k}": _number(f"{name}/index{k}", j.numbers[branch])
                for k, j in enumerate(group)
            }
            whole = (*ends, *(TensorRef(n, 0) for n in numbers))
            made = lower_branches({**inner, **numbers}, whole, self.functions)
            function = Function.of(f"{name}/{label}", made, reads, whole)
            self.functions[function.name] = function
            attrs[label] = FuncRef(function.name, Attrs({}))
        inputs = (self.passed(first.predicate), *map(self.passed, reads))
        made = {name: Node(name, "If", inputs, attrs)}
        for k, join in enumerate(group):
            refs = (TensorRef(name, k), TensorRef(name, len(group) + k))
            made[join.node.name] = Node(join.node.name, "IdentityN", refs, {})
        return made


def _number(name: str, value: int) -> Node:
    """A constant: the position of the input that a Merge passes on, its second output."""
    return Node(name, "Const", (), {"value": np.asarray(value, np.int32), "dtype": "int32"})
