"""Functions of a graph: the bodies that If, While and calls name, and GraphDef's own library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dlcc.compiler.errors import ModelError
from dlcc.compiler.frontend.graph import Attrs, Node, TensorRef
from dlcc.compiler.frontend.op_outputs import OUTPUTS
from dlcc.compiler.frontend.order import in_order, reached


@dataclass(frozen=True, slots=True)
class Function:
    """Nodes in order, the tensors that a caller binds, and the tensors that it gets.

    named: whether it is of the model's library, so that its nodes' names hold within it alone.
    """

    name: str
    nodes: tuple[Node, ...]
    arguments: tuple[TensorRef, ...]
    results: tuple[TensorRef, ...]
    named: bool = False

    @classmethod
    def of(
        cls,
        name: str,
        nodes: Mapping[str, Node],
        arguments: tuple[TensorRef, ...],
        results: tuple[TensorRef, ...],
    ) -> Function:
        """The function with only those of the nodes that its results need."""
        kept = reached(nodes, arguments, results)
        return cls(name, in_order({n: nodes[n] for n in nodes if n in kept}), arguments, results)


def output_index(node: Any, names: Sequence[str], name: str, position: int) -> int:
    """The number of output `name:position` of a node as GraphDef has it.

    names: of the called function's outputs, where the op is one. The position counts within an
    output that is a list.
    """
    before = 0
    for output in names or OUTPUTS.get(node.op, ()):
        plain, _, attribute = output.partition("*")
        if plain == name:
            return before + position
        before += _length(node.attr[attribute]) if attribute else 1
    return position


def _length(attribute: Any) -> int:
    """How many tensors a list has: a number, or as many as dtypes."""
    return len(attribute.list.type) if attribute.HasField("list") else int(attribute.i)


class Library(Mapping[str, Function]):
    """A GraphDef's functions, each decoded when first asked for.

    lowered: from the nodes of a function to those without TF1's control flow.
    op_outputs: op of the user's -> names of its outputs, () where it was not told.
    """

    def __init__(
        self, protos: Mapping[str, Any], lowered: Any, op_outputs: Mapping[str, Sequence[str]]
    ) -> None:
        self._protos = protos
        self._lowered = lowered
        self._op_outputs = op_outputs
        self._decoded: dict[str, Function] = {}
        self._seen: dict[str, tuple[str, ...]] = {}

    def __getitem__(self, name: str) -> Function:
        if name not in self._decoded:
            if name not in self._protos:
                raise KeyError(name)
            whole = self._function(self._protos[name])
            self._decoded[name] = replace(whole, nodes=self._lowered(whole, self._decoded))
        return self._decoded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._protos.keys() | self._decoded.keys())

    def __len__(self) -> int:
        return len(self._protos.keys() | self._decoded.keys())

    def add(self, functions: Mapping[str, Function]) -> None:
        """Functions made of the graph's own nodes."""
        self._decoded.update(functions)

    def _outputs_of(self, op: str, name: str) -> Sequence[str]:
        """The outputs of a called function or of an op of the user's, one of which has the name;
        () for any other op. Raises ModelError."""
        if op in self._protos:
            return [a.name for a in self._protos[op].signature.output_arg]
        if op not in self._op_outputs:
            return ()
        names = self._op_outputs[op] or self._seen.setdefault(op, (name,))
        if name not in [n.partition("*")[0] for n in names]:
            raise ModelError(
                f"the op {op} has an output {name!r} beside {', '.join(map(repr, names))}",
                hint='name its outputs in their order: @OPS.op(…, outputs=("y", "z"))',
            )
        return names

    def _function(self, proto: Any) -> Function:
        made = {n.name: n for n in proto.node_def}
        arguments = tuple(TensorRef(a.name, 0) for a in proto.signature.input_arg)

        def ref(text: str) -> TensorRef:
            node, _, rest = text.partition(":")
            name, _, position = rest.partition(":")
            number = int(position or 0)
            if node not in made:  # an argument
                return TensorRef(node, number)
            names = self._outputs_of(made[node].op, name)
            return TensorRef(node, output_index(made[node], names, name, number))

        nodes = []
        for n in proto.node_def:
            data = tuple(ref(i) for i in n.input if not i.startswith("^"))
            control = tuple(i[1:] for i in n.input if i.startswith("^"))
            nodes.append(Node(n.name, n.op, data, Attrs(n.attr), control))
        results = tuple(ref(proto.ret[a.name]) for a in proto.signature.output_arg)
        return Function(proto.signature.name, tuple(nodes), arguments, results, named=True)
