"""A model of any form as a Graph: read, choose inputs and outputs, keep what the outputs need."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from dlcc.compiler.errors import UnknownName, UnreadableModel, UsageError
from dlcc.compiler.frontend.function import Function, Library
from dlcc.compiler.frontend.graph import Attrs, Graph, Node, parse_ref
from dlcc.compiler.frontend.guards import Checks, checking_functions, say_dropped, with_guards
from dlcc.compiler.frontend.host import cut_at_host
from dlcc.compiler.frontend.lowering import library, lowered
from dlcc.compiler.frontend.order import reached
from dlcc.compiler.frontend.read import Source, read_model
from dlcc.compiler.frontend.select import choose_inputs, choose_outputs
from dlcc.compiler.frontend.unread import without_unread
from dlcc.compiler.frontend.variables import with_constants

Shapes = Mapping[str, Sequence[int | str | None] | None]
OpOutputs = Mapping[str, Sequence[str]]


def load(
    model: str | os.PathLike[str] | Any,
    inputs: Shapes | None = None,
    outputs: Sequence[str] | None = None,
    *,
    signature: str | None = None,
    tag: str | None = None,
    checks: Checks = "drop",
    op_outputs: OpOutputs = MappingProxyType({}),
) -> Graph:
    """Read a model, or one signature of it; the arguments are those of `load_all`.

    Raises UsageError where several signatures are meant, and what `load_all` raises."""
    sources = read_model(model, signature, tag)
    if len(sources) > 1:
        raise UsageError(
            f"one signature is looked at here, and {len(sources)} were asked for",
            hint="choose one: " + ", ".join(f"--signature {s.signature}" for s in sources[:4]),
        )
    return graph_of(replace(sources[0], op_outputs=op_outputs), inputs or {}, outputs, checks)


def load_all(
    model: str | os.PathLike[str] | Any,
    inputs: Shapes | None = None,
    outputs: Sequence[str] | None = None,
    *,
    signature: str | None = None,
    tag: str | None = None,
    checks: Checks = "drop",
    op_outputs: OpOutputs = MappingProxyType({}),
) -> list[Graph]:
    """Read a model: a graph for each signature meant.

    model: a path (`read.py` lists the forms), or a GraphDef message.
    inputs: {name, with or without ":0": shape, or None to take the model's}; a dimension is a
        size, a symbol, or None; default: those of the signature, or all placeholders that the
        outputs need. Of several signatures, each takes the shapes of its own inputs.
    outputs: names of the signature's or of tensors; default: the signature's, or the graph's sinks.
    signature, tag: which of a SavedModel's; several names joined by commas, or "all";
        default: "serving_default" and "serve", or the only.
    checks: "keep" ties what runs behind an Assert to it: see guards.py.
    op_outputs: op of the user's -> names of its outputs.
    Raises UnreadableModel, UnknownName, ShapeNeeded, ModelError, UsageError, ToolchainError.
    """
    sources = [replace(s, op_outputs=op_outputs) for s in read_model(model, signature, tag)]
    if len(sources) == 1:
        return [graph_of(sources[0], inputs or {}, outputs, checks)]
    if outputs:
        raise UsageError("outputs can be chosen of one signature only", hint="leave --output out")
    pairs = zip(sources, _shared_out(sources, inputs or {}), strict=True)
    return [graph_of(source, own, None, checks) for source, own in pairs]


def _shared_out(sources: Sequence[Source], inputs: Shapes) -> list[Shapes]:
    """Each signature's own of the inputs; raises UnknownName for one that none has."""
    parts = [{k: v for k, v in inputs.items() if s.names.has_input(k)} for s in sources]
    for name in inputs:
        if not any(name in part for part in parts):
            raise UnknownName("input", name, sorted({n for s in sources for n in s.names.inputs}))
    return list(parts)


def graph_of(
    source: Source, inputs: Shapes, outputs: Sequence[str] | None, checks: Checks = "drop"
) -> Graph:
    """The part of a model that computes its outputs from its inputs; raises what `load` does."""
    names = source.names
    nodes, functions = _checked(source, checks)
    chosen_outputs = choose_outputs(nodes, outputs, names)
    made: dict[str, Function] = {}
    cut = [names.ref(name, names.inputs) for name in (*names.inputs, *inputs)]
    results = [o.ref for o in chosen_outputs]
    hosted = cut_at_host(nodes, cut, results)
    cut += [parse_ref(name) for name in hosted]
    # before loops and conditions become functions of their own, with variables in them
    used = {name: nodes[name] for name in reached(nodes, cut, results)}
    nodes |= with_constants(used, nodes, source.checkpoint)
    kept = {n.name: n for n in lowered(nodes, cut, results, made)}
    functions.add(made)
    # a condition may be read by control inputs alone until it is lowered
    chosen_inputs = choose_inputs(nodes | kept, {**inputs, **hosted}, chosen_outputs, names)
    needed = reached(kept, [i.ref for i in chosen_inputs], results)
    ordered = tuple(node for name, node in kept.items() if name in needed)
    graph = Graph(source.name, ordered, chosen_inputs, chosen_outputs, functions, source.options)
    hosts = tuple(nodes[parse_ref(name).node] for name in hosted)
    return without_unread(replace(graph, hosts=hosts))


def _checked(source: Source, checks: Checks) -> tuple[dict[str, Node], Library]:
    """Nodes and functions, with guards where checks are kept."""
    graph_def = source.graph_def
    nodes = nodes_of(graph_def)
    protos = {f.signature.name: f for f in graph_def.library.function}
    if checks == "keep":
        nodes = with_guards(nodes, checking_functions(protos))
    else:
        say_dropped(nodes, protos)
    return nodes, library(protos, checks, source.op_outputs)


def nodes_of(proto: Any) -> dict[str, Node]:
    """The nodes of a GraphDef by name; raises UnreadableModel where two have one name."""
    nodes: dict[str, Node] = {}
    for n in proto.node:
        if n.name in nodes:
            raise UnreadableModel(f"two nodes are named {n.name!r}: not a valid GraphDef")
        data = tuple(parse_ref(i) for i in n.input if not i.startswith("^"))
        control = tuple(i[1:] for i in n.input if i.startswith("^"))
        nodes[n.name] = Node(n.name, n.op, data, Attrs(n.attr), control)
    return nodes
