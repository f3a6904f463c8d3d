"""Where a container's target runs layers, and with which kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dlcc.compiler.errors import UsageError
from dlcc.compiler.inspect.kernels import KernelsByLayer, kernels_of
from dlcc.compiler.inspect.source import Source
from dlcc.compiler.network import Network
from dlcc.compiler.places import choose_targets


@dataclass(frozen=True, slots=True)
class Placements:
    """target: "" where it is not told.   engines: layer -> "cpu", "gpu" and so on.
    kernels: layer -> those that compute it, alone or with others."""

    target: str
    engines: Mapping[str, str]
    kernels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def placements_of(source: Source, network: Network, target: str | None) -> Placements | None:
    """Of a container's target, by default the first; None where there is none.

    Raises UnknownTarget, BadContainer, and UsageError for a target of what has none."""
    if source.container is None:
        if target is not None:
            raise UsageError(
                f"{source.path} is no container, and holds no code for {target}",
                hint="compile it first, or leave --target out",
            )
        return None
    if target is None and not source.targets:
        return None
    row = choose_targets(source.targets, target).rows[0]
    joined = KernelsByLayer({row.name: kernels_of(source.container, row)})
    found = {layer.name: joined.of(layer).get(row.name, ()) for layer in network.layers}
    engines = {name: dict.fromkeys(k.placement for k in ks) for name, ks in found.items()}
    return Placements(
        row.name,
        {name: ", ".join(filter(None, places)) for name, places in engines.items() if any(places)},
        {name: tuple(k.name for k in kernels) for name, kernels in found.items() if kernels},
    )
