"""Networks as the tables of a DLC of version 4: `model`, `model.params` and what dlcc notes.

Each tensor's bytes stand in `model.params` once, whichever graphs use them, at a multiple of 64
bytes: there they are mapped and used in place, by the tables and by the code of the targets alike.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dlcc.compiler.container.archive import ALIGNMENT_BYTES
from dlcc.compiler.container.pieces import Pieces, sha256
from dlcc.compiler.container.tensors import tensor_bytes
from dlcc.compiler.dlc.build import Blob, Field, Layout, Scalar, Table, Vector
from dlcc.compiler.dlc.codes import (
    BOOL,
    FLOAT32,
    INT32,
    LONG_PARAMETERS_MARK,
    MARK,
    MODEL_MARK,
    OPEN,
    PARAMETERS_MARK,
    PREFIX,
    ROLES,
    UINT32,
    UNDEFINED,
    dtype_code,
)
from dlcc.compiler.dlc.notes import INT32_MAX, GraphNotes, fits, notes_of, tensor_code
from dlcc.compiler.network.network import Attribute, Dim, Layer, Network, Quantization, Tensor

NODES = "nodes"  # the attribute that keeps `Layer.nodes`, joined by line ends
MAX_SHORT_BYTES = 1 << 31  # beyond, vectors need offsets of 64 bits
_VERSION = 4
_LOCATIONS = {role: number for number, role in ROLES.items()}
_UNKNOWN_1, _UNKNOWN_2, _FLAG = 10, 1, 2  # what Qualcomm's tools write where nobody knows why


@dataclass(frozen=True, slots=True)
class Tables:
    """The entries, and where in `params` each tensor's bytes lie: sha256 -> offset and size."""

    model: bytes
    params: Pieces
    notes: Sequence[GraphNotes]
    places: Mapping[str, tuple[int, int]]


class _Constants:
    """Tensors in the order in which they are first met, equal ones once."""

    def __init__(self) -> None:
        self.tensors: list[np.ndarray] = []
        self.numbers: dict[str, int] = {}

    def number(self, value: np.ndarray) -> int:
        digest = sha256(tensor_bytes(value))
        if digest not in self.numbers:
            self.numbers[digest] = len(self.tensors)
            self.tensors.append(value)
        return self.numbers[digest]


def write_tables(
    networks: Sequence[Network], shown: int = 0, long_from: int = MAX_SHORT_BYTES
) -> Tables:
    """The tables of some networks.

    shown: the network that Netron shows: of several graphs that is the last.
    long_from: size from which `model.params` is written with offsets of 64 bits.
    Raises ModelError for a constant without a fixed size.
    """
    notes = [notes_of(n, name) for n, name in zip(networks, _names(networks), strict=True)]
    order = sorted(range(len(networks)), key=lambda i: i == shown)
    graphs = [(notes[i].graph, networks[i]) for i in order]
    model = Layout({0: [_graph(name, n) for name, n in graphs]}, MODEL_MARK, _prefix())
    constants = _Constants()
    parameters = [_parameters(name, n, constants) for name, n in graphs]
    params, places = _pieces(parameters, constants, long_from)
    return Tables(bytes(model.content), params, notes, places)


def _names(networks: Sequence[Network]) -> list[str]:
    """A name for each graph; no two are equal, since the parameters are found by it."""
    names: list[str] = []
    for network in networks:
        name, again = network.name, 1
        while name in names:
            again += 1
            name = f"{network.name} {again}"
        names.append(name)
    return names


def _prefix() -> bytes:
    return PREFIX.pack(MARK, _VERSION, 0, 0)


def _graph(name: str, network: Network) -> Table:
    tensors = enumerate(network.tensors.values(), start=1)
    return {
        0: name,
        1: [_node(layer) for layer in network.layers],
        2: [
            _tensor(number, t.name, tensor_code(t), t.shape, _location(t), t.quantization)
            for number, t in tensors
        ],
    }


def _location(tensor: Tensor) -> int:
    """Where a tensor is. Netron refuses a constant of which there is nothing in the parameters."""
    if tensor.role == "constant" and tensor.value is None:
        return _LOCATIONS["intermediate"]
    return _LOCATIONS[tensor.role]


def _node(layer: Layer) -> Table:
    attributes: dict[str, Attribute] = dict(layer.attributes)
    assert NODES not in attributes
    if layer.nodes:
        attributes[NODES] = "\n".join(layer.nodes)
    return {
        0: layer.name,
        1: layer.op,
        2: layer.inputs,
        3: layer.outputs,
        4: [_attribute(name, value) for name, value in attributes.items()],
    }


def _tensor(
    number: int,
    name: str,
    code: int,
    shape: Sequence[Dim] | None,
    location: int,
    quantization: Quantization | None = None,
) -> Table:
    table: dict[int, Field] = {
        0: Scalar("I", number),
        1: name,
        2: Scalar("i", location),
        4: Scalar("i", _UNKNOWN_1),
        5: {0: Scalar("i", UNDEFINED)} if quantization is None else {2: _encoding(quantization)},
        6: Scalar("i", code),
        7: Scalar("i", code if quantization is None else FLOAT32),
        8: Scalar("B", _UNKNOWN_2),
    }
    if shape is not None:
        sizes = [d if isinstance(d, int) and d <= INT32_MAX else OPEN for d in shape]
        table[3] = Vector(struct.pack(f"<{len(sizes)}i", *sizes), 4)
    return table


def _encoding(quantization: Quantization) -> Table:
    return {
        0: Scalar("i", quantization.bits),
        1: Scalar("f", _short(quantization.minimum)),
        2: Scalar("f", _short(quantization.maximum)),
        3: Scalar("f", _short(quantization.scale)),
        4: Scalar("i", quantization.offset),
    }


def _short(value: float) -> float:
    """The nearest float32; beyond the greatest, infinity."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _attribute(name: str, value: Attribute) -> Table:
    kind: dict[int, Field] = {0: name, 2: Scalar("B", _FLAG)}
    if isinstance(value, np.ndarray):
        code = dtype_code(value.dtype.name)
        tensor = _tensor(0, name, code, value.shape, _LOCATIONS["constant"])
        return kind | {1: Scalar("i", 1), 4: tensor}
    return kind | {1: Scalar("i", 0), 3: _value(value)}


def _value(value: bool | int | float | str) -> Table:
    if isinstance(value, bool):
        return {0: Scalar("i", BOOL), 1: Scalar("i", int(value))}
    if isinstance(value, float):
        return {0: Scalar("i", FLOAT32), 2: Scalar("f", _short(value))}
    if isinstance(value, int) and fits(value):
        form, code = ("i", INT32) if value < 0 else ("I", UINT32)
        return {0: Scalar("i", code), 1: Scalar(form, value)}
    return {0: Scalar("i", UNDEFINED), 3: str(value)}


def _parameters(name: str, network: Network, constants: _Constants) -> Table:
    """What the tensors and the arrays among the attributes of a graph hold."""
    return {
        0: name,
        1: [
            {0: t.name, 1: Blob(constants.number(t.value))}
            for t in network.tensors.values()
            if t.role == "constant" and t.value is not None
        ],
        2: [
            {0: [
                {0: key, 1: Vector(bytes(tensor_bytes(value)), 1)}
                for key, value in layer.attributes.items()
                if isinstance(value, np.ndarray)
            ]}
            for layer in network.layers
        ],
    }  # fmt: skip


def _pieces(
    graphs: Sequence[Table], constants: _Constants, long_from: int
) -> tuple[Pieces, dict[str, tuple[int, int]]]:
    """`model.params`: its tables, and behind them the tensors."""
    layout = Layout({0: graphs}, PARAMETERS_MARK, _prefix())
    sizes = [tensor.nbytes for tensor in constants.tensors]
    far = len(layout.content) + sum(size + ALIGNMENT_BYTES + 8 for size in sizes) >= long_from
    if far:
        layout = _long(graphs, len(sizes))
    width, lead = (8, layout.lead_far) if far else (4, layout.lead)
    parts: list[bytes | np.ndarray] = [b""]
    end, starts = len(layout.content), []
    for number, size in enumerate(sizes):
        padding = -(end + width) % ALIGNMENT_BYTES
        start = end + padding + width
        for at in layout.blobs[number]:
            lead(at, start - width)
        count = struct.pack("<Q" if far else "<I", size)
        parts += [bytes(padding) + count, constants.tensors[number]]
        starts.append(start)
        end = start + size
    parts[0] = bytes(layout.content)
    places = {digest: (starts[i], sizes[i]) for digest, i in constants.numbers.items()}
    return Pieces(parts), places


def _long(graphs: Sequence[Table], count: int) -> Layout:
    """The tables within others, whose vectors have offsets and sizes of 64 bits."""
    inner = Layout({0: [_by_number(graph) for graph in graphs]}, PARAMETERS_MARK)
    buffers: list[Table] = [{0: Blob(number, far=True)} for number in range(count)]
    content = Vector(bytes(inner.content), 1)
    return Layout({0: buffers, 1: content}, LONG_PARAMETERS_MARK, _prefix())


def _by_number(graph: Table) -> Table:
    """Parameters of a graph that name the number of a vector in its place."""
    tensors = graph[1]
    assert isinstance(tensors, list)
    return {**graph, 1: [{0: t[0], 2: Scalar("Q", t[1].number)} for t in tensors]}
