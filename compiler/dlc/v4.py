"""DLC files of version 4, which Qualcomm's tools write since SNPE 2, and dlcc."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dlcc.compiler.container.checked import Malformed
from dlcc.compiler.dlc.codes import (
    BOOL,
    FLOAT32,
    INT32,
    LONG_PARAMETERS_MARK,
    MODEL_MARK,
    NAMES,
    PARAMETERS_MARK,
    ROLES,
    STRING,
    UINT32,
    UNDEFINED,
)
from dlcc.compiler.dlc.flat import Flat, Table
from dlcc.compiler.dlc.notes import (
    GraphNotes,
    NotedAttribute,
    decimal,
    noted_layers,
    noted_tensor,
)
from dlcc.compiler.dlc.values import checked_shape, value_of
from dlcc.compiler.dlc.write import NODES
from dlcc.compiler.network.network import Attribute, Dim, Layer, Network, Quantization, Tensor

FORM = "Qualcomm DLC 4"
_UINT8 = 0x0108
Contents = Mapping[str, memoryview]


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Bytes of the tensors of a graph, and of the arrays of each of its nodes."""

    tensors: Contents
    nodes: Sequence[Contents]


_NONE = _Parameters({}, ())


def networks(
    model: Flat, params: Flat | None, notes: Mapping[str, GraphNotes] | None = None
) -> list[Network]:
    """The graphs of a DLC, in the order of the file, or of the notes where there are some.

    notes: what dlcc noted of each of its own graphs, by the graph's name in the tables.
    Raises BadContainer, and Malformed for notes that do not fit.
    """
    if model.identifier != MODEL_MARK:
        raise model.damaged(4, "it is no model")
    contents = {} if params is None else _parameters(params)
    graphs = [(table.text(0), table) for table in model.root().tables(0)]
    if notes is None:
        return [_network(name, table, contents.get(name, _NONE), None) for name, table in graphs]
    tables = dict(graphs)
    if tables.keys() != notes.keys() or len(tables) != len(graphs):
        raise Malformed("its graphs are not those of the model")
    return [
        _network(name, tables[name], contents.get(name, _NONE), noted)
        for name, noted in notes.items()
    ]


def _parameters(params: Flat) -> dict[str, _Parameters]:
    """Graph -> its parameters, from short or long vectors."""
    if params.identifier == PARAMETERS_MARK:
        return _of_graphs(params.root(), None)
    if params.identifier != LONG_PARAMETERS_MARK:
        raise params.damaged(4, "it holds no parameters")
    root = params.root()
    buffers = [table.long_content(0) for table in root.tables(0)]
    inner = root.content(1)
    if inner is None:
        raise root.damaged("it has no tables")
    return _of_graphs(Flat(inner, params.entry, params.bad).root(), buffers)


def _of_graphs(root: Table, buffers: Sequence[memoryview | None] | None) -> dict[str, _Parameters]:
    return {
        graph.text(0): _Parameters(
            _contents(graph, 1, buffers),
            [_contents(node, 0, buffers) for node in graph.tables(2)],
        )
        for graph in root.tables(0)
    }


def _contents(table: Table, slot: int, buffers: Sequence[memoryview | None] | None) -> Contents:
    """Tensor -> its bytes."""
    found = {}
    for row in table.tables(slot):
        content = row.content(1)
        if content is None and buffers is not None:
            number = row.long(2)
            if number >= len(buffers):
                raise row.damaged(f"there is no vector {number}")
            content = buffers[number]
        if content is not None:
            found[row.text(0)] = content
    return found


def _network(name: str, graph: Table, params: _Parameters, notes: GraphNotes | None) -> Network:
    tensors: dict[str, Tensor] = {}
    for table in graph.tables(2):
        tensor = _tensor(table, params.tensors, notes)
        if tensor.name in tensors:
            raise table.damaged(f"a second tensor is named {tensor.name[:60]!r}")
        tensors[tensor.name] = tensor
    arrays = {(a.layer, a.attribute): a for a in notes.arrays} if notes else {}
    layers: Sequence[Layer] = [
        _layer(number, table, params, arrays) for number, table in enumerate(graph.tables(1))
    ]
    for layer in layers:
        for used in filter(None, (*layer.inputs, *layer.outputs)):
            tensors.setdefault(used, Tensor(used, NAMES[UNDEFINED], None, "intermediate"))
    if notes is not None:
        layers = noted_layers(layers, notes)
        ends = notes.inputs, notes.outputs
        name = notes.name
    else:
        ends = _with_role(tensors, "input"), _with_role(tensors, "output")
    return Network(name, FORM, tuple(layers), tensors, *ends)


def _with_role(tensors: Mapping[str, Tensor], role: str) -> tuple[str, ...]:
    return tuple(t.name for t in tensors.values() if t.role == role)


def _tensor(table: Table, contents: Contents, notes: GraphNotes | None) -> Tensor:
    location = table.integer(2)
    if location not in ROLES:
        raise table.damaged(f"no tensor is in such a place: {location}")
    tensor = Tensor(
        name=table.text(1),
        dtype=_dtype(table),
        shape=_shape(table),
        role=ROLES[location],
        quantization=_quantization(table),
    )
    if notes is not None:
        tensor = noted_tensor(tensor, notes)
    if tensor.role != "constant":
        return tensor
    value = value_of(table, contents.get(tensor.name), tensor.dtype, tensor.shape)
    return replace(tensor, value=value)


def _dtype(table: Table) -> str:
    code = table.unsigned(6)
    if code not in NAMES:
        raise table.damaged(f"no dtype has the code {code:#x}")
    return NAMES[code]


def _shape(table: Table) -> tuple[Dim, ...] | None:
    shape = checked_shape(table, table.integers(3))
    return None if shape is None else tuple("?" if dim < 0 else dim for dim in shape)


def _quantization(table: Table) -> Quantization | None:
    """Of a whole tensor; what a file says of single channels is not read."""
    info = table.table(5)
    encoding = None if info is None else info.table(2)
    if encoding is None:
        return None
    return Quantization(
        bits=encoding.integer(0),
        scale=decimal(encoding.real(3)),
        offset=encoding.integer(4),
        minimum=decimal(encoding.real(1)),
        maximum=decimal(encoding.real(2)),
    )


def _layer(
    number: int,
    node: Table,
    params: _Parameters,
    arrays: Mapping[tuple[int, str], NotedAttribute],
) -> Layer:
    contents = params.nodes[number] if number < len(params.nodes) else {}
    attributes: dict[str, Attribute] = {}
    for table in node.tables(4):
        name = table.text(0)
        if table.integer(1) == 1:
            noted = arrays.get((number, name))
            attributes[name] = _array(table, contents, None if noted is None else str(noted.value))
        else:
            attributes[name] = _value(table)
    nodes = attributes.pop(NODES, "")
    return Layer(
        name=node.text(0),
        op=node.text(1),
        inputs=node.texts(2),
        outputs=node.texts(3),
        attributes=attributes,
        nodes=tuple(nodes.split("\n")) if isinstance(nodes, str) and nodes else (),
    )


def _array(attribute: Table, contents: Contents, dtype: str | None) -> Attribute:
    """An array; the description of one whose numbers the file does not hold."""
    table = attribute.table(4)
    if table is None:
        raise attribute.damaged("it has no tensor")
    tensor = Tensor(table.text(1), dtype or _dtype(table), _shape(table), "constant")
    value = value_of(table, contents.get(tensor.name), tensor.dtype, tensor.shape)
    return str(tensor) if value is None else value


def _value(attribute: Table) -> bool | int | float | str:
    table = attribute.table(3)
    if table is None:
        raise attribute.damaged("it has no value")
    kind = table.unsigned(0)
    if kind == BOOL:
        return table.integer(1) != 0
    if kind == FLOAT32:
        return decimal(table.real(2))
    if kind == INT32:
        return table.integer(1)
    if kind in (UINT32, _UINT8):
        return table.unsigned(1)
    if kind in (STRING, UNDEFINED):
        return table.text(3)
    raise table.damaged(f"no attribute has the code {kind:#x}")
