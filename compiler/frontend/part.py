"""A part of a model as a graph of its own, for TensorFlow to run: constants for its variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcc.compiler.frontend.graph import Node, TensorRef
from dlcc.compiler.frontend.load import nodes_of
from dlcc.compiler.frontend.order import reached
from dlcc.compiler.frontend.read import Source
from dlcc.compiler.frontend.schema import DATA_TYPES, message_class
from dlcc.compiler.frontend.variables import VARIABLES, with_constants

# what a control input may come from that puts a node into the frame of a loop or a branch
_ANCHORS = ("Identity", "Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond")
_SHORT = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}


@dataclass(frozen=True, slots=True)
class Fed:
    """A tensor that is given. enum: the number of its dtype in TensorFlow.
    shape: None where any will do."""

    enum: int
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A GraphDef, and what the tensors that are fed are called in it."""

    graph_def: Any
    names: Mapping[TensorRef, str]


def enum_of(dtype: str) -> int:
    """TensorFlow's number of NumPy's name of a dtype."""
    return DATA_TYPES[_SHORT.get(dtype, f"DT_{dtype.upper()}")]


def part_of(source: Source, fed: Mapping[TensorRef, Fed], results: Sequence[TensorRef]) -> Part:
    """What computes the results from the tensors that are fed, which become placeholders.

    Raises ModelError for variables without a value."""
    nodes = nodes_of(source.graph_def)
    used = _used(nodes, fed, results)
    frozen = with_constants({n: nodes[n] for n in nodes if n in used}, nodes, source.checkpoint)
    names = {ref: _name(ref, used) for ref in fed}
    out = message_class("GraphDef")()
    out.versions.CopyFrom(source.graph_def.versions)
    out.library.CopyFrom(source.graph_def.library)
    for ref, given in fed.items():
        _add_placeholder(out, names[ref], given)
    for proto in source.graph_def.node:
        if proto.name in used:
            _add(out, proto, frozen[proto.name], names, used)
    return Part(out, names)


def _used(
    nodes: Mapping[str, Node], fed: Iterable[TensorRef], results: Sequence[TensorRef]
) -> dict[str, None]:
    used: dict[str, None] = {}
    wanted = list(results)
    cut = {ref.node for ref in fed}
    while wanted:
        used |= reached(nodes, fed, wanted)
        control = dict.fromkeys(c for name in used for c in nodes[name].control_inputs)
        wanted = [
            TensorRef(c, 0)
            for c in control
            if c in nodes and nodes[c].op in _ANCHORS and c not in used and c not in cut
        ]
    return used


def _name(ref: TensorRef, used: Mapping[str, None]) -> str:
    """A placeholder's: that of the node where it is free."""
    name = ref.node if ref.index == 0 else f"{ref.node}_{ref.index}"
    while name in used:
        name += "_given"
    return name


def _add_placeholder(out: Any, name: str, given: Fed) -> None:
    made = out.node.add(name=name, op="Placeholder")
    made.attr["dtype"].type = given.enum
    shape = made.attr["shape"].shape
    shape.unknown_rank = given.shape is None
    for size in given.shape or ():
        shape.dim.add(size=size)


def _add(
    out: Any, proto: Any, node: Node, names: Mapping[TensorRef, str], used: Mapping[str, None]
) -> None:
    """A node of the model, with the placeholders' names for what is fed."""
    made = out.node.add(name=node.name, op=node.op)
    made.input.extend(names.get(ref) or _input(ref) for ref in node.inputs)
    made.input.extend(f"^{c}" for c in node.control_inputs if c in used)
    if proto.op in VARIABLES:
        _set_value(made, np.asarray(node.attrs["value"]))
    elif proto.op != node.op:  # a read of a variable is one of a constant
        made.attr["T"].type = proto.attr["dtype"].type
    else:
        for key, value in proto.attr.items():
            made.attr[key].CopyFrom(value)


def _input(ref: TensorRef) -> str:
    return ref.node if ref.index == 0 else str(ref)


def _set_value(node: Any, value: np.ndarray) -> None:
    enum = enum_of(value.dtype.name)
    node.attr["dtype"].type = enum
    tensor = node.attr["value"].tensor
    tensor.dtype = enum
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    plain = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("<"), copy=False))
    tensor.tensor_content = plain.tobytes()
