"""DLC files of version 3, which Qualcomm's tools wrote up to SNPE 1.

A node is all there is: inputs of the model and constants are nodes, too, and the shape of what a
node computes is among its attributes. Activations are floats; quantisation is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlcc.compiler.dlc.codes import MODEL_MARK, PARAMETERS_MARK
from dlcc.compiler.dlc.flat import Flat, Table
from dlcc.compiler.dlc.values import checked_shape, value_of
from dlcc.compiler.network.network import Attribute, Layer, Network, Role, Tensor

FORM = "Qualcomm DLC 3"
MAX_DEPTH = 16  # of attributes within attributes
_DTYPES = {6: "uint8", 9: "float32"}
_SHAPES = "OutputDims"
Value = Attribute | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class _Node:
    """A row of the table; weights: what stands in the parameters under its name."""

    layer: Layer
    shapes: Sequence[tuple[int, ...]]
    weights: Sequence[Tensor] = ()


def network(model: Flat, params: Flat | None, name: str) -> Network:
    """The graph of a DLC; raises BadContainer."""
    if model.identifier != MODEL_MARK:
        raise model.damaged(4, "it is no model")
    weights = {} if params is None else _weights(params)
    nodes = [_node(table) for table in model.root().tables(1)]
    nodes = [replace(n, weights=weights.get(n.layer.name, ())) for n in nodes]
    tensors = _tensors(nodes)
    layers = tuple(_with_weights(node) for node in nodes if node.layer.op not in ("Input", "Const"))
    inputs = [out for n in nodes if n.layer.op == "Input" for out in n.layer.outputs]
    outputs = [t.name for t in tensors.values() if t.role == "output"]
    return Network(name, FORM, layers, tensors, tuple(inputs), tuple(outputs))


def _weights(params: Flat) -> dict[str, list[Tensor]]:
    """Node -> the tensors of its parameters."""
    if params.identifier != PARAMETERS_MARK:
        raise params.damaged(4, "it holds no parameters")
    return {
        node.text(0): [_weight(node, table) for table in node.tables(1)]
        for node in params.root().tables(0)
    }


def _weight(node: Table, table: Table) -> Tensor:
    """A weight, named NODE/WEIGHT."""
    name = f"{node.text(0)}/{table.text(0)}"
    shape = checked_shape(table, table.integers(1))
    data = table.table(2)
    if data is None:
        return Tensor(name, "undefined", shape, "constant")
    code = data.byte(0)
    if code not in _DTYPES:
        raise data.damaged(f"no dtype has the code {code}")
    dtype = _DTYPES[code]
    content = data.content(1) if dtype == "uint8" else data.content(2, item_bytes=4)
    value = value_of(data, content, dtype, shape)
    return Tensor(name, dtype, shape, "constant", value=value)


def _node(table: Table) -> _Node:
    values: dict[str, Value] = {row.text(0): _value(row, MAX_DEPTH) for row in table.tables(5)}
    shapes = values.pop(_SHAPES, {})
    attributes: dict[str, Attribute] = {}
    for name, value in values.items():
        _flatten(table, name, value, attributes)
    layer = Layer(table.text(1), table.text(2), table.texts(3), table.texts(4), attributes)
    return _Node(layer, _shapes(table, shapes))


def _shapes(table: Table, found: Value) -> list[tuple[int, ...]]:
    """Of each output; fewer where the file says less."""
    rows = list(found.values()) if isinstance(found, dict) else []
    lists = [tuple(map(int, row)) for row in rows if isinstance(row, np.ndarray)]
    return [shape for shape in (checked_shape(table, row) for row in lists) if shape is not None]


def _flatten(table: Table, name: str, value: Value, into: dict[str, Attribute]) -> None:
    """Attributes within an attribute under names such as `encoding/min`."""
    table.flat.spend(len(name))
    if not isinstance(value, dict):
        into[name] = value
        return
    for key, inner in value.items():
        _flatten(table, f"{name}/{key}", inner, into)


def _value(row: Table, depth: int) -> Value:
    match row.byte(1):
        case 1:
            return row.byte(2) != 0
        case 2:
            return row.integer(3)
        case 3:
            return row.unsigned(4)
        case 4:
            return row.real(5)
        case 5:
            return row.text(6)
        case 7:
            return np.frombuffer(row.content(8) or b"", np.int8)
        case 8:
            return np.frombuffer(row.content(9, item_bytes=4) or b"", "<i4")
        case 9:
            return np.frombuffer(row.content(10, item_bytes=4) or b"", "<f4")
        case 11 if depth:
            return {inner.text(0): _value(inner, depth - 1) for inner in row.tables(12)}
        case 11:
            raise row.damaged("its attributes lie too deep in each other")
    raise row.damaged(f"no attribute has the type {row.byte(1)}")


def _tensors(nodes: Sequence[_Node]) -> dict[str, Tensor]:
    """What nodes compute, inputs of the model, and constants."""
    read = {name for node in nodes for name in node.layer.inputs if node.layer.op != "Input"}
    tensors: dict[str, Tensor] = {}
    for node in nodes:
        for number, name in enumerate(node.layer.outputs):
            shape = node.shapes[number] if number < len(node.shapes) else None
            role: Role = "intermediate" if name in read else "output"
            if node.layer.op == "Input":
                role = "input"
            tensors[name] = _constant(node, name) or Tensor(name, "float32", shape, role)
        if node.layer.op != "Const":
            tensors.update((weight.name, weight) for weight in node.weights)
    for name in sorted(read - tensors.keys()):
        tensors[name] = Tensor(name, "undefined", None, "intermediate")
    return tensors


def _constant(node: _Node, name: str) -> Tensor | None:
    """What a node of the type Const stands for."""
    if node.layer.op != "Const":
        return None
    if not node.weights:
        shape = node.shapes[0] if node.shapes else None
        return Tensor(name, "float32", shape, "constant")
    return replace(node.weights[0], name=name)


def _with_weights(node: _Node) -> Layer:
    """The layer, its weights as inputs."""
    weights = (weight.name for weight in node.weights)
    return replace(node.layer, inputs=(*node.layer.inputs, *weights))
