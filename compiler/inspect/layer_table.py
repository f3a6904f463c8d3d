"""The layers of a model, a container or a DLC: `dlcc info --layers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlcc.compiler.inspect.kernels import KernelsByLayer, TargetKernel, kernels_of
from dlcc.compiler.inspect.source import Source, open_source
from dlcc.compiler.network.costs import macs, parameters
from dlcc.compiler.network.network import Dim, Network, Tensor

if TYPE_CHECKING:
    from dlcc.compiler.user_ops.load import OpsGiven


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer. id: its place in the order of the network, from 0.

    dtype, shape: of its first output; a symbol for a dimension that is open.
    inputs: constants among them, "" for one left out.   macs: see `item`; None where a size is
    open.   kernels: target -> those that compute it, alone or with other layers; a layer without
    any is no work there.   placement: target -> "cpu", "gpu" or "dsp".
    """

    id: int
    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dtype: str
    shape: tuple[Dim, ...] | None
    parameters: int
    macs: int | None
    kernels: Mapping[str, tuple[str, ...]]
    placement: Mapping[str, str]


def layers(
    path: str | Path,
    *,
    signature: str | None = None,
    tag: str | None = None,
    ops: OpsGiven = (),
) -> tuple[LayerRow, ...]:
    """A row for each layer.

    signature, tag, ops: of a model, as for `info`.   A layer fused with others names the
    kernel that they share. Kernels are known of dlcc's containers alone.
    Raises BadContainer, UnreadableModel, ModelError, UsageError."""
    source = open_source(path, signature, tag, ops=ops)
    return layer_rows(source.network(), kernels_by_target(source))


def kernels_by_target(source: Source) -> dict[str, tuple[TargetKernel, ...]]:
    """The kernels of each target of a container; of anything else nothing."""
    if source.container is None:
        return {}
    return {t.name: kernels_of(source.container, t) for t in source.targets}


def layer_rows(
    network: Network, kernels: Mapping[str, tuple[TargetKernel, ...]]
) -> tuple[LayerRow, ...]:
    """The rows of a network. kernels: target -> its kernels."""
    by_layer = KernelsByLayer(kernels)
    counted = item(network)
    rows = []
    for number, layer in enumerate(network.layers):
        first = network.tensors[layer.outputs[0]] if layer.outputs else None
        own = by_layer.of(layer)
        row = LayerRow(
            id=number,
            name=layer.name,
            op=layer.op,
            inputs=layer.inputs,
            outputs=layer.outputs,
            dtype=first.dtype if first else "",
            shape=first.shape if first else None,
            parameters=parameters(network, layer),
            macs=macs(counted, layer),
            kernels={target: tuple(k.name for k in found) for target, found in own.items()},
            placement={t: place for t, found in own.items() if (place := _places(found))},
        )
        rows.append(row)
    return tuple(rows)


def total_macs(network: Network) -> int | None:
    """Of all layers; None where the size of one is open."""
    counted = item(network)
    found = [macs(counted, layer) for layer in network.layers]
    return None if None in found else sum(n for n in found if n is not None)


def item(network: Network) -> Network:
    """The network for one item of an open batch: the symbol of an input's first dimension is 1.

    A symbol that also stands for another dimension stays open."""
    shapes = [network.tensors[name].shape or () for name in network.inputs]
    first = {shape[0] for shape in shapes if shape and isinstance(shape[0], str)}
    batch = first - {dim for shape in shapes for dim in shape[1:]}
    if not batch:
        return network

    def one(tensor: Tensor) -> Tensor:
        if not batch.intersection(tensor.shape or ()):
            return tensor
        return replace(tensor, shape=tuple(1 if d in batch else d for d in tensor.shape or ()))

    return replace(network, tensors={name: one(t) for name, t in network.tensors.items()})


def _places(kernels: tuple[TargetKernel, ...]) -> str:
    return ", ".join(dict.fromkeys(k.placement for k in kernels if k.placement))
