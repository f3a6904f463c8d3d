"""A GraphDef that is being rewritten: nodes by name, who reads them, values of constants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dlcc.compiler.frontend.dtypes import array_of
from dlcc.compiler.frontend.graph import decode, parse_ref
from dlcc.compiler.frontend.schema import message_class

PASSED_ON = ("Identity", "StopGradient", "PreventGradient", "Snapshot")


class Editable:
    """graph: the message, changed in place.   outputs: nodes whose results are the model's, and
    inputs: those that the model is fed; both stay as they are."""

    def __init__(self, graph: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.graph = graph
        self.inputs = frozenset(inputs)
        self.outputs = frozenset(outputs)
        self.nodes: dict[str, Any] = {node.name: node for node in graph.node}

    def source(self, name: str) -> str:
        """The node that an input of another names."""
        return parse_ref(name.removeprefix("^")).node

    def readers(self) -> dict[str, list[tuple[str, int]]]:
        """Node -> who reads it, and at which input; -1 for who only waits for it."""
        found: dict[str, list[tuple[str, int]]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for place, name in enumerate(node.input):
                place = -1 if name.startswith("^") else place
                if self.source(name) in found:
                    found[self.source(name)].append((node.name, place))
        return found

    def data_inputs(self, name: str) -> list[str]:
        """The nodes whose results a node reads, past those that only pass them on."""
        inputs = self.nodes[name].input
        return [self.past(self.source(i)) for i in inputs if not i.startswith("^")]

    def past(self, name: str) -> str:
        """The node whose result it is that a chain of identities passes on."""
        while name not in self.inputs and self.op(name) in PASSED_ON:
            name = self.source(self.nodes[name].input[0])
        return name

    def op(self, name: str) -> str:
        return str(self.nodes[name].op) if name in self.nodes else ""

    def attr(self, name: str, key: str, default: Any = None) -> Any:
        """An attribute as a plain value."""
        attrs = self.nodes[name].attr
        return decode(attrs[key]) if key in attrs else default

    def value(self, name: str) -> np.ndarray | None:
        """The value of a constant, past identities; None of anything else."""
        name = self.past(name)
        if self.op(name) != "Const" or name in self.inputs:
            return None
        return array_of(self.nodes[name].attr["value"].tensor)

    def add_constant(self, wanted: str, like: str, value: np.ndarray) -> str:
        """A new constant of the dtype of another; its name."""
        name, again = wanted, 1
        while name in self.nodes:
            name, again = f"{wanted}_{again}", again + 1
        node = self.graph.node.add(name=name, op="Const")
        kind = self.nodes[self.past(like)].attr["dtype"].type
        node.attr["dtype"].type = kind
        node.attr["value"].tensor.CopyFrom(tensor_proto(value, kind))
        self.nodes[name] = node
        return name

    def replace_input(self, name: str, place: int, by: str) -> None:
        """Let a node read another result."""
        self.nodes[name].input[place] = by

    def redirect(self, old: str, new: str) -> None:
        """Let all that read a node read another, those that wait for it, too."""
        for node in self.nodes.values():
            for place, name in enumerate(node.input):
                if self.source(name) == old:
                    node.input[place] = f"^{new}" if name.startswith("^") else new

    def keep_reachable(self) -> int:
        """Drop the nodes that no output needs, inputs aside; how many."""
        needed = self._reached()
        gone = [node for node in self.graph.node if node.name not in needed]
        for node in gone:
            self.graph.node.remove(node)
        self.nodes = {node.name: node for node in self.graph.node}
        return len(gone)

    def _reached(self) -> set[str]:
        needed: set[str] = set()
        open_ = [*self.outputs, *self.inputs]
        while open_:
            name = open_.pop()
            if name in needed or name not in self.nodes:
                continue
            needed.add(name)
            open_ += [self.source(i) for i in self.nodes[name].input]
        return needed

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.nodes))


def tensor_proto(value: np.ndarray, kind: int) -> Any:
    """A TensorProto of a DataType."""
    proto = message_class("TensorProto")(dtype=kind)
    for size in value.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.SetInParent()
    proto.tensor_content = np.ascontiguousarray(value).tobytes()
    return proto
