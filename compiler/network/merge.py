"""Layers that belong together, as Qualcomm's converter writes them.

Before:  conv = Conv2d(x, weight); y = ElementWiseAdd(conv, bias); z = max(0, y); r = min(6, z)
After:   y = Conv2d(x, weight, bias); r = ReluMinMax(y, min_value=0, max_value=6)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from dlcc.compiler.network.network import Attribute, Layer, Network, Tensor

# with a weight and no bias yet
_BIASED = {"Conv1d", "Conv2d", "Conv3d", "DepthWiseConv2d", "TransposeConv2d", "FullyConnected"}
_BOUNDS = {"ElementWiseMaximum": "min_value", "ElementWiseMinimum": "max_value"}

Tensors = Mapping[str, Tensor]
# (the layer before, the one that reads it, tensors) -> both as one, None where they stay apart
Merge = Callable[[Layer, Layer, Tensors], Layer | None]


def merged(network: Network) -> Network:
    """Each layer with what comes after it, where that is a bias or a bound and nobody else reads
    what lies between."""
    layers = [_bounded(layer, network.tensors) for layer in network.layers]
    readers = Counter(name for layer in layers for name in layer.inputs)
    made: dict[str, int] = {}  # tensor -> place of the layer that makes it
    out: list[Layer | None] = []
    for layer in layers:
        for name in layer.inputs:
            between = network.tensors.get(name)
            if name in made and between and between.role == "intermediate" and readers[name] == 1:
                before = out[made[name]]
                whole = before and _whole(before, layer, network.tensors)
                if whole:
                    out[made[name]], layer = None, whole
                    break
        made.update((name, len(out)) for name in layer.outputs)
        out.append(layer)
    kept = tuple(layer for layer in out if layer is not None)
    return _with_tensors(network, kept)


def _whole(before: Layer, after: Layer, tensors: Tensors) -> Layer | None:
    return next((one for merge in _MERGES if (one := merge(before, after, tensors))), None)


def _with_bias(before: Layer, after: Layer, tensors: Tensors) -> Layer | None:
    if before.op not in _BIASED or len(before.inputs) != 2 or after.op != "ElementWiseAdd":
        return None
    other = [name for name in after.inputs if name not in before.outputs]
    bias, result = tensors.get(other[0]) if len(other) == 1 else None, tensors[after.outputs[0]]
    if bias is None or bias.role != "constant" or not bias.shape or not result.shape:
        return None
    if tensors[before.outputs[0]].shape != result.shape or bias.shape[-1] != result.shape[-1]:
        return None
    if any(d != 1 for d in bias.shape[:-1]):
        return None
    return replace(
        after,
        op=before.op,
        inputs=(*before.inputs, bias.name),
        attributes=before.attributes,
        nodes=_both(before, after),
    )


def _with_bounds(before: Layer, after: Layer, tensors: Tensors) -> Layer | None:  # noqa: ARG001
    """A bound below and one above; the one applied last wins where they cross, which is left."""
    kinds = before.op, after.op
    if kinds not in (("Relu", "ReluMinMax"), ("ReluMinMax", "ReluMinMax")):
        return None
    lower = {"min_value": 0.0} if before.op == "Relu" else dict(before.attributes)
    upper = dict(after.attributes)
    if set(lower) & set(upper) or float(upper.get("max_value", np.inf)) < float(
        lower.get("min_value", -np.inf)
    ):
        return None
    return replace(
        after,
        inputs=before.inputs,
        op="ReluMinMax",
        attributes=lower | upper,
        nodes=_both(before, after),
    )


_MERGES: tuple[Merge, ...] = (_with_bias, _with_bounds)


def _both(before: Layer, after: Layer) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before.nodes, *after.nodes)))


def _bounded(layer: Layer, tensors: Tensors) -> Layer:
    """max(0, x) as a Relu, max or min with another number as a ReluMinMax with one bound."""
    if layer.op not in _BOUNDS or len(layer.inputs) != 2:
        return layer
    numbers = {
        name: value for name in layer.inputs if (value := _scalar(tensors[name])) is not None
    }
    if len(numbers) != 1:
        return layer
    ((constant, bound),) = numbers.items()
    attributes: dict[str, Attribute] = {_BOUNDS[layer.op]: bound}
    op = "ReluMinMax"
    if attributes == {"min_value": 0.0}:
        op, attributes = "Relu", {}
    inputs = tuple(name for name in layer.inputs if name != constant)
    return replace(layer, op=op, inputs=inputs, attributes=attributes)


def _scalar(tensor: Tensor) -> float | None:
    """The number that a float constant of no dimensions is."""
    if tensor.value is None or tensor.shape or tensor.value.dtype.kind != "f":
        return None
    return float(tensor.value)


def _with_tensors(network: Network, layers: tuple[Layer, ...]) -> Network:
    """The network of these layers, without tensors that none of them knows, and with the weights
    and the bias of a layer named after it."""
    readers = Counter(name for layer in layers for name in layer.inputs)
    known = {*readers, *network.inputs, *network.outputs}
    known |= {name for layer in layers for name in layer.outputs}
    names = {
        name: f"{layer.name}/{role}"
        for layer in layers
        if layer.op in _BIASED
        for name, role in zip(layer.inputs[1:], ("weight", "bias"), strict=False)
        if network.tensors[name].role == "constant" and readers[name] == 1
    }
    names = {old: new for old, new in names.items() if new not in network.tensors}
    tensors = {
        names.get(name, name): replace(tensor, name=names.get(name, name))
        for name, tensor in network.tensors.items()
        if name in known
    }
    renamed = (replace(each, inputs=tuple(names.get(n, n) for n in each.inputs)) for each in layers)
    return replace(network, layers=tuple(renamed), tensors=tensors)
