"""A network as the plain values that the page of `dlcc view` is drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from dlcc.compiler.network import Attribute, Layer, Network, Tensor
from dlcc.compiler.network.costs import macs, parameters
from dlcc.compiler.network.memory import Memory
from dlcc.compiler.view.costs import Costs
from dlcc.compiler.view.placed import Placements
from dlcc.compiler.view.statistics import statistics
from dlcc.tuning.wording import printable

SHOWN = 16  # elements of an attribute or of a small constant
DIGITS = 6


def graph(
    network: Network,
    memory: Memory,
    costs: Costs | None = None,
    placements: Placements | None = None,
) -> dict[str, Any]:
    """Everything about a network; layers and tensors are named by their numbers.

    placements: of a target; a profile's own go before them."""
    placed = placements or Placements("", {})
    number = {name: n for n, name in enumerate(network.tensors)}
    layers = {layer.name: n for n, layer in enumerate(network.layers)}
    return {
        "name": _text(network.name),
        "form": _text(network.form),
        "metadata": [[_text(k), _text(v)] for k, v in network.metadata.items()],
        "inputs": [number[name] for name in network.inputs if name in number],
        "outputs": [number[name] for name in network.outputs if name in number],
        "layers": [_layer(network, layer, number) for layer in network.layers],
        "tensors": [_tensor(tensor) for tensor in network.tensors.values()],
        "memory": _memory(memory, layers, number),
        "costs": None if costs is None else _costs(costs, layers),
        "placements": _placements(layers, costs, placed.engines),
        "target": _text(placed.target),
        "kernels": [
            [layers[name], [_text(kernel) for kernel in kernels]]
            for name, kernels in placed.kernels.items()
            if name in layers
        ],
    }


def _layer(network: Network, layer: Layer, number: Mapping[str, int]) -> dict[str, Any]:
    return {
        "name": _text(layer.name),
        "op": _text(layer.op),
        "inputs": [number.get(name, -1) for name in layer.inputs],
        "outputs": [number[name] for name in layer.outputs if name in number],
        "attributes": [[_text(k), _attribute(v)] for k, v in layer.attributes.items()],
        "nodes": [_text(node) for node in layer.nodes],
        "parameters": parameters(network, layer),
        "macs": macs(network, layer),
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": _text(tensor.name),
        "dtype": tensor.dtype,
        "shape": None if tensor.shape is None else [_dim(dim) for dim in tensor.shape],
        "role": tensor.role,
    }
    if tensor.quantization is not None:
        row["quantization"] = {k: _number(v) for k, v in asdict(tensor.quantization).items()}
    if tensor.value is not None:
        found = statistics(tensor.value, tensor.quantization)
        if found is not None:
            row["statistics"] = {
                key: list(value) if isinstance(value, tuple) else _number(value)
                for key, value in asdict(found).items()
            }
        if tensor.value.size <= SHOWN:
            row["value"] = _attribute(tensor.value)
    return row


def _dim(dim: int | str) -> int | str:
    return dim if isinstance(dim, int) else _text(dim)


def _attribute(value: Attribute) -> str:
    """`[1, 2, 2, 1]`; of a long array the start and its shape."""
    if isinstance(value, np.ndarray):
        if value.size <= SHOWN:
            return _text(np.array2string(value, separator=", ", precision=DIGITS).replace("\n", ""))
        start = ", ".join(str(item) for item in value.reshape(-1)[:SHOWN])
        return _text(f"{value.dtype}[{', '.join(map(str, value.shape))}]: {start}, …")
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value))


def _memory(memory: Memory, layers: Mapping[str, int], number: Mapping[str, int]) -> dict[str, Any]:
    return {
        "plan": memory.plan,
        "targets": [[_text(t.target), t.arena_bytes] for t in memory.targets],
        "arena": memory.arena_bytes,
        "peak": memory.peak_bytes,
        "peakLayer": layers.get(memory.peak_layer, -1),
        "unknown": len(memory.unknown),
        "live": [row.live_bytes for row in memory.rows],
        "placed": [
            [number[p.tensor], p.offset, p.size_bytes, p.first, p.last]
            for p in memory.placed
            if p.tensor in number
        ],
    }


def _costs(costs: Costs, layers: Mapping[str, int]) -> dict[str, Any]:
    return {
        "target": _text(costs.target),
        "device": _text(costs.device),
        "unit": costs.unit,
        "total": _number(costs.total),
        "rows": costs.rows,
        "matched": costs.matched,
        "layers": [
            {
                "layer": layers[name],
                "amount": _number(cost.amount),
                "share": _number(cost.share),
                "kernels": [_text(kernel) for kernel in cost.kernels],
                "within": layers.get(cost.within, -1),
            }
            for name, cost in costs.layers.items()
            if name in layers
        ],
    }


def _placements(
    layers: Mapping[str, int], costs: Costs | None, given: Mapping[str, str]
) -> list[list[int | str]]:
    found = dict(given)
    if costs is not None:
        found |= {name: cost.placement for name, cost in costs.layers.items() if cost.placement}
    return [[layers[name], _text(place)] for name, place in found.items() if name in layers]


def _number(value: float) -> float | int | None:
    """Short, and nothing that JSON has no word for."""
    if isinstance(value, int):
        return value
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _text(value: object) -> str:
    """Without control characters, and with nothing that UTF-8 cannot hold."""
    return printable(str(value)).encode("utf-8", "backslashreplace").decode()
