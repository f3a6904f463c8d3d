"""A model file as a Graph: read, choose inputs and outputs, keep what the outputs need."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from dlcc.compiler.errors import UnreadableModel, did_you_mean
from dlcc.compiler.frontend.function import Function
from dlcc.compiler.frontend.graph import Attrs, Graph, Node, parse_ref
from dlcc.compiler.frontend.lowering import library, lowered
from dlcc.compiler.frontend.order import reached
from dlcc.compiler.frontend.schema import message_class
from dlcc.compiler.frontend.select import choose_inputs, choose_outputs

Shapes = Mapping[str, Sequence[int | None] | None]

_FORMS = "dlcc reads frozen GraphDefs: .pb (binary) or .pbtxt (text)"
MAX_BYTES = (1 << 31) - 1


def load(
    model: str | os.PathLike[str] | Any,
    inputs: Shapes | None = None,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """Read a frozen graph.

    model: a path, or a GraphDef message.
    inputs: {name, with or without ":0": shape, or None to take the model's}; default: all
        placeholders that the outputs need.
    outputs: names of tensors; default: the graph's sinks.
    Raises UnreadableModel, UnknownName, ShapeNeeded, ModelError.
    """
    if hasattr(model, "SerializeToString"):
        proto, name = message_class("GraphDef")(), "model"
        proto.ParseFromString(model.SerializeToString())
    else:
        path = Path(model)
        proto, name = read_graph_def(path), path.stem
    nodes = _nodes(proto)
    functions = library({f.signature.name: f for f in proto.library.function})
    chosen_outputs = choose_outputs(nodes, outputs)
    made: dict[str, Function] = {}
    cut, results = [parse_ref(name) for name in inputs or {}], [o.ref for o in chosen_outputs]
    kept = lowered(nodes, cut, results, made)
    functions.add(made)
    # a condition may be read by control inputs alone until it is lowered
    chosen_inputs = choose_inputs(nodes | {n.name: n for n in kept}, inputs or {}, chosen_outputs)
    needed = reached({n.name: n for n in kept}, [i.ref for i in chosen_inputs], results)
    ordered = tuple(node for node in kept if node.name in needed)
    return Graph(name, ordered, chosen_inputs, chosen_outputs, functions)


def read_graph_def(path: Path) -> Any:
    """The GraphDef message in a binary or text file; raises UnreadableModel."""
    data = _read(path)
    if path.name == "saved_model.pb":
        raise UnreadableModel(
            f"{path} is a SavedModel, not a frozen graph", hint=f"{_FORMS}; freeze it first"
        )
    proto = message_class("GraphDef")()
    if path.suffix == ".pbtxt" or _looks_like_text(data):
        _parse_text(path, data, proto)
    else:
        try:
            proto.ParseFromString(data)
        except DecodeError as error:
            raise UnreadableModel(
                f"{path} is not a GraphDef, or is cut short ({len(data):,} bytes read)",
                hint=f"{_FORMS}; copy or export it again",
            ) from error
    if not proto.node:
        raise UnreadableModel(f"{path} holds no nodes", hint=_FORMS)
    if any(not n.name or not n.op for n in proto.node):
        raise UnreadableModel(f"{path} has nodes without name or op: not a GraphDef", hint=_FORMS)
    return proto


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise UnreadableModel(f"{path} is a folder, not a frozen graph", hint=_FORMS)
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableModel(f"{path} is larger than a GraphDef can be (2 GiB)", hint=_FORMS)
        data = path.read_bytes()
    except FileNotFoundError as error:
        near = did_you_mean(path.name, _names_beside(path))
        raise UnreadableModel(f"no such file: {path}", hint=near) from error
    except OSError as error:
        raise UnreadableModel(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise UnreadableModel(f"{path} is empty", hint=_FORMS)
    return data


def _names_beside(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []


def _looks_like_text(data: bytes) -> bool:
    """A binary GraphDef starts with a tag byte (0x0a, 0x12, 0x22) and soon has control bytes."""
    head = data[:512]
    return all(byte >= 0x20 or byte in b"\t\r\n" for byte in head) and not head.startswith(b"PK")


def _parse_text(path: Path, data: bytes, proto: Any) -> None:
    try:
        text_format.Parse(data.decode("utf-8"), proto, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise UnreadableModel(
            f"{path} is text, but not a GraphDef in text form: {str(error).splitlines()[0]}",
            hint=_FORMS,
        ) from error


def _nodes(proto: Any) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for n in proto.node:
        if n.name in nodes:
            raise UnreadableModel(f"two nodes are named {n.name!r}: not a valid GraphDef")
        data = tuple(parse_ref(i) for i in n.input if not i.startswith("^"))
        control = tuple(i[1:] for i in n.input if i.startswith("^"))
        nodes[n.name] = Node(n.name, n.op, data, Attrs(n.attr), control)
    return nodes
