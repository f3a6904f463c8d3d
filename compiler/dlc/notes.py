"""`dlcc/tables.json`: what a network says that the tables of a DLC have no words for.

These are the order of inputs and outputs, names of open dimensions, dtypes without a code, and
numbers that neither 32-bit integers nor float32 hold. With it, the tables of dlcc's own files give
back the network that they were made of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from dlcc.compiler.container.checked import Checked, Malformed
from dlcc.compiler.dlc.codes import UNDEFINED, dtype_code
from dlcc.compiler.network.network import Attribute, Layer, Network, Quantization, Tensor

NOTES = "dlcc/tables.json"
INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class NotedAttribute:
    """An attribute of a layer. value: a number; of an array, its dtype."""

    layer: int
    attribute: str
    value: int | float | str


@dataclass(frozen=True, slots=True)
class GraphNotes:
    """Of one graph. graph: its name in the tables, where no two are equal.

    dtypes, shapes, quantization: of tensors, by name.
    numbers: that the tables cannot hold.   arrays: whose dtype has no code.
    """

    graph: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dtypes: Mapping[str, str]
    shapes: Mapping[str, tuple[int | str, ...]]
    quantization: Mapping[str, Quantization]
    numbers: Sequence[NotedAttribute]
    arrays: Sequence[NotedAttribute]


def notes_of(network: Network, graph: str) -> GraphNotes:
    """What is to be noted of a network; graph: its name in the tables."""
    tensors = network.tensors.values()
    rows = [(i, k, v) for i, r in enumerate(network.layers) for k, v in r.attributes.items()]
    arrays = [(i, k, v.dtype.name) for i, k, v in rows if isinstance(v, np.ndarray)]
    return GraphNotes(
        graph=graph,
        name=network.name,
        inputs=network.inputs,
        outputs=network.outputs,
        dtypes={t.name: t.dtype for t in tensors if tensor_code(t) == UNDEFINED},
        shapes={t.name: t.shape for t in tensors if t.shape is not None and not _plain(t.shape)},
        quantization={
            t.name: t.quantization
            for t in tensors
            if t.quantization is not None and _rounded(t.quantization) != t.quantization
        },
        numbers=[
            NotedAttribute(i, k, v)
            for i, k, v in rows
            if isinstance(v, (int, float)) and not fits(v)
        ],
        arrays=[NotedAttribute(*row) for row in arrays if dtype_code(row[2]) == UNDEFINED],
    )


def tensor_code(tensor: Tensor) -> int:
    """The code of what a tensor stores."""
    return dtype_code(tensor.dtype, tensor.quantization is not None)


def _plain(shape: Sequence[int | str]) -> bool:
    return all(isinstance(dim, int) and dim <= INT32_MAX for dim in shape)


def _rounded(found: Quantization) -> Quantization:
    """What is left of it in the tables, which hold float32."""
    scale, minimum, maximum = map(decimal, (found.scale, found.minimum, found.maximum))
    return replace(found, scale=scale, minimum=minimum, maximum=maximum)


def decimal(value: float) -> float:
    """A float32 as the shortest decimal that stands for it: 0.001, not 0.0010000000474974513."""
    with np.errstate(over="ignore"):
        return float(str(np.float32(value)))


def fits(value: int | float) -> bool:
    """Whether the tables hold a number as it is."""
    if isinstance(value, float):
        return value != value or decimal(value) == value
    return -(2**31) <= value < 2**32


def encode_notes(notes: Sequence[GraphNotes]) -> bytes:
    """Sorted JSON, the same bytes for equal notes."""
    content = {"graphs": [asdict(graph) for graph in notes]}
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def decode_notes(content: bytes) -> list[GraphNotes]:
    """Raises Malformed."""
    return [_graph(row) for row in Checked.parse(content, NOTES).rows("graphs")]


def _graph(row: Checked) -> GraphNotes:
    shapes = row.table("shapes")
    return GraphNotes(
        graph=row.text("graph"),
        name=row.text("name"),
        inputs=row.list_of_texts("inputs"),
        outputs=row.list_of_texts("outputs"),
        dtypes=row.texts("dtypes"),
        shapes={name: shapes.symbolic_shape(name) or () for name in shapes.value},
        quantization={k: _quantization(v) for k, v in row.tables("quantization").items()},
        numbers=[_noted(r, r.number("value")) for r in row.rows("numbers")],
        arrays=[_noted(r, r.text("value")) for r in row.rows("arrays")],
    )


def _quantization(row: Checked) -> Quantization:
    numbers = map(row.number, ("scale", "offset", "minimum", "maximum"))
    scale, offset, minimum, maximum = numbers
    return Quantization(row.integer("bits"), scale, int(offset), minimum, maximum)


def _noted(row: Checked, value: int | float | str) -> NotedAttribute:
    return NotedAttribute(row.integer("layer"), row.text("attribute"), value)


def noted_tensor(tensor: Tensor, notes: GraphNotes) -> Tensor:
    """A tensor as the tables describe it, with what is noted of it."""
    return replace(
        tensor,
        dtype=notes.dtypes.get(tensor.name, tensor.dtype),
        shape=notes.shapes.get(tensor.name, tensor.shape),
        quantization=notes.quantization.get(tensor.name, tensor.quantization),
    )


def noted_layers(layers: Sequence[Layer], notes: GraphNotes) -> tuple[Layer, ...]:
    """Layers with the numbers that are noted of them. Raises Malformed."""
    found = list(layers)
    for note in notes.numbers:
        if note.layer >= len(found) or note.attribute not in found[note.layer].attributes:
            raise Malformed(f"{NOTES}: layer {note.layer} has no attribute {note.attribute!r}")
        attributes: dict[str, Attribute] = dict(found[note.layer].attributes)
        attributes[note.attribute] = note.value
        found[note.layer] = replace(found[note.layer], attributes=attributes)
    return tuple(found)
