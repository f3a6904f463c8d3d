"""A model as layers and tensors: what `info --layers`, `diff`, `view` and `lint` look at.

It is made of a TensorFlow model, of a container of dlcc or of a DLC of Qualcomm's, in the words of
that format, so that all of them can be looked at and compared by the same tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Dim = int | str
Attribute = bool | int | float | str | np.ndarray  # an array: of integers or floats
Role = Literal["input", "output", "intermediate", "constant"]


@dataclass(frozen=True, slots=True)
class Quantization:
    """How stored integers stand for numbers: real = scale * (stored + offset).

    bits: of a stored integer.   minimum, maximum: the least and the greatest number that it can be.
    offset: an integer, 0 or less for unsigned integers, as Qualcomm's tools write it.
    """

    bits: int
    scale: float
    offset: int
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that layers read or write.

    dtype: NumPy's name of what is stored.   shape: a symbol for a dimension that stays open; None
    where not even the rank is known.   value: of a constant, read-only, mapped from its file where
    that is possible; None where the file does not hold it.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...] | None
    role: Role
    quantization: Quantization | None = None
    value: np.ndarray | None = None

    def __str__(self) -> str:
        """`float32[n, 224, 224, 3]`"""
        inner = "?" if self.shape is None else ", ".join(map(str, self.shape))
        return f"{self.dtype}[{inner}]"


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation.

    op: its type in the words of DLC files, such as "Conv2d"; an operation that they have no word
        for keeps TensorFlow's or Relax's name.
    inputs, outputs: names of tensors, constants among the inputs; "" for an input left out.
    nodes: what of the TensorFlow graph it computes, the last one gives its value; () where unknown.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """A function of a model: layers in an order in which they can run.

    form: what it was read from: "TensorFlow graph", "container", "Qualcomm DLC 3" or 4.
    inputs, outputs: names of tensors, in the order of the function's.
    metadata: what the file says of its making.
    """

    name: str
    form: str
    layers: tuple[Layer, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
