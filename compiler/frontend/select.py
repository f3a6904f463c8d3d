"""Which tensors of a graph are its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlcc.compiler.errors import BadAttr, BadNode, ModelError, ShapeNeeded, UnknownName, UsageError
from dlcc.compiler.frontend.graph import (
    ALL_OUTPUTS,
    Input,
    Node,
    Output,
    TensorRef,
    parse_ref,
)
from dlcc.compiler.frontend.order import reached

Shape = tuple[int | None, ...]

PLACEHOLDERS = ("Placeholder", "PlaceholderV2")
# what nobody reads and is no result all the same: side effects, and leftovers
_NO_RESULT = ("NoOp", "Assert", "Const", "Print", "PrintV2", *PLACEHOLDERS)


def choose_outputs(nodes: Mapping[str, Node], asked: Sequence[str] | None) -> tuple[Output, ...]:
    """The tensors asked for, or the sinks: nodes that nobody reads.

    Raises UnknownName; ModelError for a graph without sinks.
    """
    if asked:
        for name in asked:
            if parse_ref(name).node not in nodes:
                raise UnknownName("output", name, _sinks(nodes))
        return tuple(Output(name, parse_ref(name)) for name in asked)
    sinks = _sinks(nodes)
    if not sinks:
        raise ModelError("the graph has no outputs", hint="name them with --output")
    return tuple(Output(name, TensorRef(name, ALL_OUTPUTS)) for name in sinks)


def _sinks(nodes: Mapping[str, Node]) -> list[str]:
    read = {ref.node for node in nodes.values() for ref in node.inputs}
    ends = [n for n in nodes.values() if n.name not in read and n.op not in _NO_RESULT]
    return [n.name for n in ends if not _is_pivot(n, nodes)]


def _is_pivot(node: Node, nodes: Mapping[str, Node]) -> bool:
    """Whether a node is a leftover of a TF1 condition: a Switch, or what only marks its branch."""
    sources = [nodes[r.node].op for r in node.inputs if r.node in nodes]
    return node.op == "Switch" or (node.op == "Identity" and sources == ["Switch"])


def choose_inputs(
    nodes: Mapping[str, Node],
    asked: Mapping[str, Sequence[int | None] | None],
    outputs: Sequence[Output],
) -> tuple[Input, ...]:
    """The tensors asked for, first, then every placeholder that the outputs still need.

    A tensor inside the graph may be an input too: the graph is cut there.
    Raises UnknownName, ShapeNeeded, UsageError.
    """
    chosen: dict[TensorRef, Input] = {}
    for name, shape in asked.items():
        ref = parse_ref(name)
        if ref.node not in nodes:
            known = [n.name for n in nodes.values() if n.op.startswith("Placeholder")]
            raise UnknownName("input", name, known)
        if ref in chosen:
            raise UsageError(f"input {name!r} is given twice")
        chosen[ref] = _input(name, ref, nodes[ref.node], shape)
    for name in reached(nodes, chosen, [o.ref for o in outputs]):
        ref = TensorRef(name, 0)
        if nodes[name].op in PLACEHOLDERS and ref not in chosen:
            chosen[ref] = _input(name, ref, nodes[name], None)
    return tuple(chosen.values())


def _input(name: str, ref: TensorRef, node: Node, shape: Sequence[int | None] | None) -> Input:
    dtype, own = _facts(node)
    if dtype is None:
        raise BadNode(node, "cannot become an input: its dtype is not known")
    if shape is None and own is None:
        raise ShapeNeeded(
            f"input {name!r} has no shape of its own", hint=f"give it: --input {name}=1,224,224,3"
        )
    return Input(name, ref, dtype, _merged(name, shape, own))


def _facts(node: Node) -> tuple[str | None, Shape | None]:
    """The dtype of a node's first output and a placeholder's shape, where the node tells them."""
    try:
        own = node.attr("shape") if node.op.startswith("Placeholder") else None
        types = [node.attr(name) for name in ("dtype", "T", "DstT")]
    except ValueError as error:
        raise BadNode(node, f"cannot become an input: {error}") from error
    if not isinstance(own, tuple | None) or not all(isinstance(d, int | None) for d in own or ()):
        raise BadAttr(node, "shape", found=own, expected=("a shape",))
    if node.op == "PlaceholderV2" and own == ():
        own = None
    return next((t for t in types if isinstance(t, str)), None), own


def _merged(name: str, given: Sequence[int | None] | None, own: Shape | None) -> Shape:
    """The shape given, which must fit the model's own where that is known."""
    if given is None:
        assert own is not None
        return own
    shape = tuple(None if d is None or d < 0 else int(d) for d in given)
    if own is None:
        return shape
    fits = len(shape) == len(own) and all(
        g is None or o is None or g == o for g, o in zip(shape, own, strict=True)
    )
    if not fits:
        # TensorFlow itself lets a feed differ from an unranked or legacy () shape only
        if own == ():
            return shape
        raise UsageError(
            f"input {name!r} has shape {_text(own)} in the model, {_text(shape)} was given",
            hint="dimensions shown as ? may be chosen, others are fixed by the model",
        )
    return tuple(o if g is None else g for g, o in zip(shape, own, strict=True))


def _text(shape: Shape) -> str:
    return "(" + ", ".join("?" if d is None else str(d) for d in shape) + ")"
