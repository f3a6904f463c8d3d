"""Which tensors of a graph are its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlcc.compiler.errors import ShapeNeeded, UnknownName, UsageError
from dlcc.compiler.frontend.cut import dtype_of, shape_of_source
from dlcc.compiler.frontend.graph import ALL_OUTPUTS, Input, Node, Output, TensorRef
from dlcc.compiler.frontend.order import reached
from dlcc.compiler.frontend.signature import NO_NAMES, Names
from dlcc.compiler.frontend.sinks import PLACEHOLDERS, results, sinks

Shape = tuple[int | str | None, ...]


def choose_outputs(
    nodes: Mapping[str, Node], asked: Sequence[str] | None, names: Names = NO_NAMES
) -> tuple[Output, ...]:
    """The tensors asked for, or those of the signature, or the graph's sinks.

    Raises UnknownName; ModelError for a graph without sinks.
    """
    asked = asked or list(names.outputs)
    if asked:
        chosen = tuple(Output(name, names.ref(name, names.outputs)) for name in asked)
        for output in chosen:
            if output.ref.node not in nodes:
                raise UnknownName("output", output.name, list(names.outputs) or sinks(nodes))
        return chosen
    return tuple(Output(name, TensorRef(name, ALL_OUTPUTS)) for name in results(nodes))


def choose_inputs(
    nodes: Mapping[str, Node],
    asked: Mapping[str, Sequence[int | str | None] | None],
    outputs: Sequence[Output],
    names: Names = NO_NAMES,
) -> tuple[Input, ...]:
    """The tensors asked for, first, then those of the signature and every placeholder that the
    outputs still need.

    A tensor inside the graph may be an input too: the graph is cut there.
    Raises UnknownName, ShapeNeeded, UsageError.
    """
    chosen: dict[TensorRef, Input] = {}
    for name, shape in asked.items():
        ref = names.ref(name, names.inputs)
        if ref.node not in nodes:
            known = [n.name for n in nodes.values() if n.op.startswith("Placeholder")]
            raise UnknownName("input", name, list(names.inputs) or known)
        if ref in chosen:
            raise UsageError(f"input {name!r} is given twice")
        chosen[ref] = _input(name, ref, nodes[ref.node], shape)
    called = {names.ref(name, names.inputs): name for name in names.inputs}
    needed = reached(nodes, chosen, [o.ref for o in outputs])
    # in the signature's order: that of the outputs' needs changes with the outputs asked for
    for ref, name in called.items():
        if ref.node in needed and ref not in chosen:
            chosen[ref] = _input(name, ref, nodes[ref.node], None)
    for name in reached(nodes, chosen, [o.ref for o in outputs]):
        ref = TensorRef(name, 0)
        if nodes[name].op in PLACEHOLDERS and ref not in chosen:
            chosen[ref] = _input(name, ref, nodes[name], None)
    return tuple(chosen.values())


def _input(
    name: str, ref: TensorRef, node: Node, shape: Sequence[int | str | None] | None
) -> Input:
    own = shape_of_source(node, ref)
    dtype = dtype_of(node, ref)
    if shape is None and own is None:
        raise ShapeNeeded(
            f"input {name!r} has no shape of its own", hint=f"give it: --input {name}=1,224,224,3"
        )
    return Input(name, ref, dtype, _merged(name, shape, own))


def _merged(name: str, given: Sequence[int | str | None] | None, own: Shape | None) -> Shape:
    """The shape given, which must fit the model's own where that is known."""
    if given is None:
        assert own is not None
        return own
    shape = tuple(_dim(name, d) for d in given)
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


def _dim(name: str, given: int | str | None) -> int | str | None:
    """A size, a symbol, or None where the dimension is left open; raises UsageError."""
    if given is None or given == "?":
        return None
    if not isinstance(given, str):
        return None if given < 0 else int(given)
    if not given.isidentifier():
        raise UsageError(
            f"input {name!r}: {given!r} is neither a size nor the name of a dimension",
            hint="a name is made of letters, digits and _",
        )
    return given


def _text(shape: Shape) -> str:
    return "(" + ", ".join("?" if d is None else str(d) for d in shape) + ")"
