"""The memory of intermediate tensors over the layers of a network, and a plan for it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlcc.compiler.errors import BadContainer
from dlcc.compiler.network.network import Network, Tensor
from dlcc.targets.aot.pack import Interval, pack

if TYPE_CHECKING:
    from dlcc.compiler.container import Container

PLAN = "planned layer by layer, before fusion"
DESCRIPTION = "model.json"  # of code that plans its memory ahead


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """A layer while it runs.

    live_bytes: of the tensors that it reads or writes, or that a later layer reads; of a size that
    is not known, nothing.   unknown: how many are of such a size.
    """

    layer: str
    live_bytes: int
    tensors: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor in the arena, alive from layer number `first` to `last`, both included, from 0."""

    tensor: str
    offset: int
    size_bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TargetArena:
    """The arena that a target of a container really takes: planned after fusion, with the scratch
    memory of its kernels."""

    target: str
    arena_bytes: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Inputs and outputs of the network are the caller's and are not counted; nor are constants.

    plan: how this one was made. A target fuses layers, so that its own plan has fewer tensors.
    peak_bytes: the most that is alive at one layer, `peak_layer`; no arena can be smaller.
    unknown: tensors whose shape is not fixed, which are in neither sum.
    targets: arenas of a container's code; those of TVM's runtime are not planned ahead.
    """

    plan: str
    arena_bytes: int
    peak_bytes: int
    peak_layer: str
    unknown: tuple[str, ...]
    rows: tuple[MemoryRow, ...]
    placed: tuple[Placed, ...]
    targets: tuple[TargetArena, ...] = ()


def timeline(network: Network) -> Memory:
    """What is alive at each layer, in the network's order, and the smallest arena that was found.

    Tensors keep their place for as long as they live, as targets place them for fused layers."""
    spans = _spans(network)
    sizes = {name: tensor_bytes(network.tensors.get(name)) for name in spans}
    known = {name: size for name, size in sizes.items() if size is not None}
    intervals = [Interval(size, *spans[name]) for name, size in known.items()]
    places, arena_bytes = pack(intervals)
    rows = tuple(_rows(network, spans, sizes))
    peak = max(rows, key=lambda row: row.live_bytes, default=None)
    return Memory(
        plan=PLAN,
        arena_bytes=arena_bytes,
        peak_bytes=peak.live_bytes if peak else 0,
        peak_layer=peak.layer if peak else "",
        unknown=tuple(name for name, size in sizes.items() if size is None),
        rows=rows,
        placed=tuple(
            Placed(name, place, size, *spans[name])
            for (name, size), place in zip(known.items(), places, strict=True)
        ),
    )


def target_arenas(container: Container, signature: str | None = None) -> tuple[TargetArena, ...]:
    """Of the targets of a container whose code plans its memory ahead.   Raises BadContainer."""
    found = []
    for target in container.signature(signature).targets:
        if DESCRIPTION not in target.files:
            continue
        try:
            told = json.loads(bytes(container.read(target.files[DESCRIPTION])))
            found.append(TargetArena(target.name, int(told["arena_bytes"])))
        except (KeyError, ValueError, TypeError) as error:
            raise BadContainer(
                f"what {target.name} says of its code is damaged: {error!r}",
                hint="compile the model again",
            ) from error
    return tuple(found)


def tensor_bytes(tensor: Tensor | None) -> int | None:
    """Bytes of a tensor, None where its shape is not fixed or its dtype has no size."""
    if tensor is None or tensor.shape is None:
        return None
    bits = _bits(tensor.dtype)
    extents = [dim for dim in tensor.shape if isinstance(dim, int)]
    if bits is None or len(extents) < len(tensor.shape):
        return None
    return -(-math.prod(extents) * bits // 8)


def _bits(dtype: str) -> int | None:
    """32 of "float32", 8 of "float8_e4m3fn"."""
    if dtype == "bool":
        return 8
    found = re.match(r"[a-z]+(\d+)", dtype)
    return int(found[1]) if found else None


def _spans(network: Network) -> Mapping[str, tuple[int, int]]:
    """The layers at which each intermediate tensor is alive, the first and the last."""
    outside = {*network.inputs, *network.outputs}
    spans: dict[str, tuple[int, int]] = {}
    for number, layer in enumerate(network.layers):
        for name in layer.inputs:
            if name in spans:
                spans[name] = (spans[name][0], number)
        spans |= {name: (number, number) for name in layer.outputs if name not in outside}
    return spans


def _rows(
    network: Network, spans: Mapping[str, tuple[int, int]], sizes: Mapping[str, int | None]
) -> Iterator[MemoryRow]:
    starts: dict[int, list[str]] = {}
    for name, (first, _) in spans.items():
        starts.setdefault(first, []).append(name)
    alive: set[str] = set()
    for number, layer in enumerate(network.layers):
        alive |= set(starts.get(number, ()))
        found = [sizes[name] for name in alive]
        known = [size for size in found if size is not None]
        yield MemoryRow(layer.name, sum(known), len(found), len(found) - len(known))
        alive -= {name for name in alive if spans[name][1] == number}
