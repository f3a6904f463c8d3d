"""A TensorFlow graph as plain values: nodes, the tensors between them, inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from dlcc.compiler.frontend.dtypes import array_of, dtype_name, shape_of


@dataclass(frozen=True, slots=True, order=True)
class TensorRef:
    """Output `index` of a node."""

    node: str
    index: int

    def __str__(self) -> str:
        return f"{self.node}:{self.index}"


def parse_ref(text: str) -> TensorRef:
    """ "conv1" and "conv1:0" are both output 0 of conv1."""
    name, colon, index = text.rpartition(":")
    if colon and index.isdigit():
        return TensorRef(name, int(index))
    return TensorRef(text, 0)


@dataclass(frozen=True, slots=True)
class FuncRef:
    """A function of the library that an attribute names."""

    name: str
    attrs: Attrs


class Attrs(Mapping[str, Any]):
    """A node's attributes, each decoded when first asked for; tensors each time.

    string -> str, type -> NumPy's name, shape -> tuple of int or None (None: unknown rank),
    tensor -> numpy.ndarray, function -> FuncRef, list -> tuple of these.
    """

    def __init__(self, protos: Mapping[str, Any]) -> None:
        self._protos = protos
        self._decoded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._decoded:
            if name not in self._protos:
                raise KeyError(name)
            value = decode(self._protos[name])
            if isinstance(value, np.ndarray):
                return value  # kept by who needs it: weights would lie in memory twice
            self._decoded[name] = value
        return self._decoded[name]

    def __iter__(self) -> Any:
        return iter(self._protos)

    def __len__(self) -> int:
        return len(self._protos)


def decode(proto: Any) -> Any:
    """An AttrValue as a Python value."""
    kind = proto.WhichOneof("value")
    if kind is None:
        return None
    value = getattr(proto, kind)
    if kind == "list":
        for part, decoder in _DECODERS.items():
            if values := getattr(value, part, ()):
                return tuple(decoder(v) for v in values)
        return ()
    return _DECODERS[kind](value)


_DECODERS: dict[str, Any] = {
    "s": lambda v: v.decode("utf-8", "replace"),
    "i": int,
    "f": float,
    "b": bool,
    "type": dtype_name,
    "shape": shape_of,
    "tensor": array_of,
    "func": lambda v: FuncRef(v.name, Attrs(v.attr)),
    "placeholder": str,
}


@dataclass(frozen=True)
class Node:
    """One operation. `inputs` are data inputs in order; control inputs order side effects only."""

    name: str
    op: str
    inputs: tuple[TensorRef, ...]
    attrs: Mapping[str, Any]
    control_inputs: tuple[str, ...] = ()

    def attr(self, name: str, default: Any = None) -> Any:
        """The attribute, or `default` where the graph leaves it out."""
        return self.attrs.get(name, default)


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor that the user feeds.

    shape: an int, a symbol that the user gave a dimension, or None for one that is left open.
    """

    name: str
    ref: TensorRef
    dtype: str
    shape: tuple[int | str | None, ...]

    @property
    def is_open(self) -> bool:
        return not all(isinstance(d, int) for d in self.shape)


ALL_OUTPUTS = -1


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor that the user gets; all outputs of the node where the index is -1 (ALL_OUTPUTS)."""

    name: str
    ref: TensorRef


@dataclass(frozen=True)
class Graph:
    """The nodes that the outputs need, in an order in which each follows its inputs.

    options: which part of the model it is (tag, signature), to show.
    hosts: the nodes whose work is left to the host: the graph was cut there of itself.
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    functions: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[tuple[str, str], ...] = ()
    hosts: tuple[Node, ...] = ()

    @property
    def signature(self) -> str:
        """The signature of the model that this is, "" for none."""
        return dict(self.options).get("signature", "")

    @cached_property
    def by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}
