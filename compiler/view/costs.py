"""What layers cost, out of what `dlcc profile --json` printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlcc.compiler.errors import UsageError
from dlcc.compiler.network import Layer, Network

HINT = "give the file that `dlcc profile FILE --json > profile.json` made of the same model"
UNITS = ("packets", "time_s", "instructions")  # the first that rows have is what they cost


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a layer. share: of the whole run, 0 to 1.   kernels: what computes it.

    within: the layer that carries the cost, where one kernel computes several; "" on that one."""

    amount: float
    share: float
    placement: str
    kernels: tuple[str, ...]
    within: str = ""


@dataclass(frozen=True, slots=True)
class Costs:
    """unit: "time_s", "packets" or "instructions".   total: of all rows, whatever they compute.

    rows, matched: how many kernels were profiled, and how many compute layers of this network.
    layers: by the layer's name, those alone that a kernel is known of."""

    target: str
    device: str
    unit: str
    total: float
    rows: int
    matched: int
    layers: Mapping[str, Cost] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    kernel: str
    nodes: tuple[str, ...]
    placement: str
    amount: float


def read_costs(path: str | Path, network: Network) -> Costs:
    """The costs of a network's layers.

    Raises UsageError for what is no profile, or one of another model."""
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", hint=HINT) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} holds no JSON: {error}", hint=HINT) from error
    try:
        costs = costs_of(content, network)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no profile: {error!r}", hint=HINT) from error
    if not costs.matched:
        raise UsageError(
            f"{path} is a profile of another model: none of its {costs.rows} kernels computes a "
            f"layer of {network.name}",
            hint=HINT,
        )
    return costs


def costs_of(profile: Mapping[str, Any], network: Network) -> Costs:
    """The costs of a network's layers, out of a profile's JSON."""
    content = profile["kernels"]
    unit = next((u for u in UNITS if any(_amount(row, u) is not None for row in content)), "")
    if not unit:
        raise ValueError("no kernel has a cost")
    rows = list(_rows(content, unit, str(profile.get("target", ""))))
    found: dict[str, Cost] = {}
    total = sum(row.amount for row in rows)
    matched = 0
    for row, layers in _computed(rows, network):
        if layers:
            matched += 1
            _add(found, layers, row, total)
    return Costs(
        target=str(profile.get("target", "")),
        device=str(profile.get("device", "")),
        unit=unit,
        total=total,
        rows=sum(bool(row.nodes) for row in rows) or len(rows),
        matched=matched,
        layers=found,
    )


def _rows(content: Sequence[Mapping[str, Any]], unit: str, target: str) -> Iterator[_Row]:
    for row in content:
        yield _Row(
            kernel=str(row["kernel"]),
            nodes=tuple(map(str, row.get("nodes") or ())),
            placement=str(row.get("placement") or target),
            amount=_amount(row, unit) or 0.0,
        )


def _amount(row: Mapping[str, Any], unit: str) -> float | None:
    """What a row costs in a unit: its own field, or one of its counts."""
    value = row.get(unit)
    if value is None:
        value = (row.get("counts") or {}).get(unit)
    return None if value is None else float(value)


def _layers_of_nodes(network: Network) -> Mapping[str, Sequence[int]]:
    """Numbers of layers, by their names and by the nodes that they compute."""
    found: dict[str, list[int]] = {}
    for number, layer in enumerate(network.layers):
        for name in {layer.name, *layer.nodes}:
            found.setdefault(name, []).append(number)
    return found


def _computed(rows: Sequence[_Row], network: Network) -> Iterator[tuple[_Row, Sequence[Layer]]]:
    """Each row with the layers that it computes. A kernel that is called several times has the
    nodes of all its calls in each row, so that the layers are dealt out to the calls."""
    where = _layers_of_nodes(network)
    calls: dict[tuple[str, tuple[str, ...]], list[_Row]] = {}
    for row in rows:
        calls.setdefault((row.kernel, row.nodes), []).append(row)
    for (_, nodes), same in calls.items():
        numbers = sorted({n for node in nodes for n in where.get(node, ())})
        for row, part in zip(same, _dealt(numbers, len(same), network), strict=True):
            yield row, [network.layers[n] for n in part]


def _dealt(numbers: Sequence[int], calls: int, network: Network) -> Sequence[Sequence[int]]:
    """The layers of each of some calls, which run in this order: those that are connected, or else
    equal parts; where neither fits, all layers belong to all calls."""
    if calls == 1:
        return [numbers]
    parts = _connected(numbers, network)
    if len(parts) == calls:
        return parts
    if len(numbers) % calls == 0:
        size = len(numbers) // calls
        return [numbers[n * size : (n + 1) * size] for n in range(calls)]
    return [numbers] * calls


def _connected(numbers: Sequence[int], network: Network) -> list[list[int]]:
    """Layers in groups that pass tensors to each other, in the order of their last ones."""
    group: dict[int, list[int]] = {}
    makers: dict[str, int] = {}
    for number in numbers:
        own = [number]
        for name in network.layers[number].inputs:
            if name in makers and (other := group[makers[name]]) is not own:
                own[:0] = other
                group |= dict.fromkeys(other, own)
        group[number] = own
        makers |= dict.fromkeys(network.layers[number].outputs, number)
    unique = {id(own): own for own in group.values()}
    return sorted((sorted(own) for own in unique.values()), key=lambda own: own[-1])


def _add(found: dict[str, Cost], layers: Sequence[Layer], row: _Row, total: float) -> None:
    """Put a kernel's cost on the last of its layers; the others say where it is."""
    *others, last = layers
    share = row.amount / total if total else 0.0
    for layer in others:
        found.setdefault(layer.name, Cost(0.0, 0.0, row.placement, (row.kernel,), last.name))
    before = found.get(last.name)
    if before is None or before.within:
        found[last.name] = Cost(row.amount, share, row.placement, (row.kernel,))
        return
    found[last.name] = Cost(
        before.amount + row.amount,
        before.share + share,
        before.placement,
        (*before.kernels, row.kernel),
    )
