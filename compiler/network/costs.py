"""What layers cost, from their shapes alone."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dlcc.compiler.network.network import Layer, Network, Tensor

_CONVOLUTIONS = {"Conv1d", "Conv2d", "Conv3d", "DepthWiseConv2d"}
_OTHERS = {"TransposeConv2d", "FullyConnected", "MatMul"}


def macs(network: Network, layer: Layer) -> int | None:
    """Multiply-accumulates of a layer, 0 for one that is no product; None where a size is open.

    A convolution has out_elements * kernel elements * input channels / groups: its weight has one
    element for each of these and each channel of the result. A transposed one has for each element
    of its input what its weight has for each input channel; a product of matrices out_elements *
    depth.
    """
    if layer.op not in _CONVOLUTIONS | _OTHERS or len(layer.inputs) < 2:
        return 0
    first, weight = (network.tensors[name] for name in layer.inputs[:2])
    result = network.tensors[layer.outputs[0]]
    if layer.op in _CONVOLUTIONS:
        return _product([elements(result), _without(weight, layer, "O")])
    if layer.op == "TransposeConv2d":
        return _product([elements(first), _without(weight, layer, "I")])
    return _product([elements(result), _size(first.shape and first.shape[-1:])])


def _without(weight: Tensor, layer: Layer, axis: str) -> int | None:
    """The product of a weight's dimensions but for its inputs "I" or outputs "O"."""
    if weight.shape is None:
        return None
    order = str(layer.attributes.get("weight_layout", "IO".rjust(len(weight.shape), ".")))
    place = order.find(axis)
    if place < 0 or len(order) != len(weight.shape):
        return None  # a layout that its file makes up
    return _size((*weight.shape[:place], *weight.shape[place + 1 :]))


def parameters(network: Network, layer: Layer) -> int:
    """Elements of the constants that a layer takes."""
    taken = (network.tensors[name] for name in dict.fromkeys(layer.inputs) if name)
    return sum(elements(t) or 0 for t in taken if t.role == "constant")


def elements(tensor: Tensor) -> int | None:
    """How many; None where a dimension is open."""
    return _size(tensor.shape)


def _size(shape: Iterable[int | str] | None) -> int | None:
    return _product(d if isinstance(d, int) else None for d in shape) if shape is not None else None


def _product(factors: Iterable[int | None]) -> int | None:
    known = list(factors)
    return None if None in known else math.prod(f for f in known if f is not None)
