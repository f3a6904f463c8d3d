"""Any model or container to a page: what `dlcc view` does."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlcc.compiler.errors import UsageError
from dlcc.compiler.inspect.source import open_source
from dlcc.compiler.network.memory import target_arenas, timeline
from dlcc.compiler.network.network import Dim, Network
from dlcc.compiler.view.costs import Costs, read_costs
from dlcc.compiler.view.page import write
from dlcc.compiler.view.placed import placements_of

if TYPE_CHECKING:
    from dlcc.compiler.user_ops.load import OpsGiven

log = logging.getLogger("dlcc")


@dataclass(frozen=True, slots=True)
class ViewRow:
    """A page that was written. kernels, matched: of the profile, None without one.

    target: of the container or the profile, whose placement is shown; None without either."""

    path: str
    size_bytes: int
    layers: int
    kernels: int | None
    matched: int | None
    target: str | None


def view(
    path: str | Path,
    output: str | Path | None = None,
    *,
    profile: str | Path | None = None,
    target: str | None = None,
    signature: str | None = None,
    tag: str | None = None,
    inputs: Mapping[str, Sequence[Dim | None] | None] | None = None,
    outputs: Sequence[str] | None = None,
    ops: OpsGiven = (),
) -> ViewRow:
    """Write the page of a model or container.

    output: default: the model's name with .html, in this folder.   profile: what `dlcc profile
    --json` printed for it.   target: of a container, whose kernels are shown; default: the first.
    signature, tag, inputs, outputs, ops: as for `read_network`.
    Raises what `read_network` does, UnknownTarget, and UsageError for a profile that does not
    fit."""
    if profile is not None and target is not None:
        raise UsageError("a profile tells its target", hint="leave --target or --profile out")
    source = open_source(path, signature, tag, inputs, outputs, ops)
    network = source.network()
    placements = placements_of(source, network, target) if profile is None else None
    costs = None if profile is None else _costs(profile, network)
    made = Path(output or f"{_file_name(network.name) or 'model'}.html")
    memory = timeline(network)
    if source.container is not None:
        memory = replace(memory, targets=target_arenas(source.container, signature))
    write(network, made, costs=costs, placements=placements, memory=memory)
    shown = costs or placements
    return ViewRow(
        path=str(made),
        size_bytes=made.stat().st_size,
        layers=len(network.layers),
        kernels=None if costs is None else costs.rows,
        matched=None if costs is None else costs.matched,
        target=None if shown is None else shown.target,
    )


def _costs(profile: str | Path, network: Network) -> Costs:
    """What a profile tells; the log tells what of it is not shown. Raises UsageError."""
    costs = read_costs(profile, network)
    if costs.matched < costs.rows:
        log.warning(
            "%s: %d of its %d kernels compute layers of %s, the others are not shown",
            *(profile, costs.matched, costs.rows, network.name),
        )
    return costs


def _file_name(name: str) -> str:
    """A model's name without what would lead out of this folder, or be no name."""
    return "".join(c for c in name if c.isalnum() or c in "._- ").strip(". ")[:100]
