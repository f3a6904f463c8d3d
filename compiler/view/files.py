"""Any model or container to a page: what `dlcc view` does."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dlcc.compiler.container import open_container
from dlcc.compiler.dlc.read import is_foreign
from dlcc.compiler.network.memory import target_arenas, timeline
from dlcc.compiler.network.network import Dim
from dlcc.compiler.network.read import is_container, read_network
from dlcc.compiler.view.costs import read_costs
from dlcc.compiler.view.page import write

log = logging.getLogger("dlcc")


@dataclass(frozen=True, slots=True)
class ViewRow:
    """A page that was written. kernels, matched: of the profile, None without one."""

    path: str
    size_bytes: int
    layers: int
    kernels: int | None
    matched: int | None


def view(
    path: str | Path,
    output: str | Path | None = None,
    *,
    profile: str | Path | None = None,
    signature: str | None = None,
    tag: str | None = None,
    inputs: Mapping[str, Sequence[Dim | None] | None] | None = None,
    outputs: Sequence[str] | None = None,
) -> ViewRow:
    """Write the page of a model or container.

    output: default: the model's name with .html, in this folder.   profile: what `dlcc profile
    --json` printed for it.   signature, tag, inputs, outputs: as for `read_network`.
    Raises what `read_network` does, and UsageError for a profile that does not fit."""
    path = Path(path)
    network = read_network(path, signature=signature, tag=tag, inputs=inputs, outputs=outputs)
    costs = None if profile is None else read_costs(profile, network)
    if costs is not None and costs.matched < costs.rows:
        log.warning(
            "%s: %d of its %d kernels compute layers of %s, the others are not shown",
            *(profile, costs.matched, costs.rows, network.name),
        )
    made = Path(output or f"{_file_name(network.name) or 'model'}.html")
    memory = timeline(network)
    if is_container(path) and not is_foreign(path):
        memory = replace(memory, targets=target_arenas(open_container(path), signature))
    write(network, made, costs=costs, memory=memory)
    return ViewRow(
        path=str(made),
        size_bytes=made.stat().st_size,
        layers=len(network.layers),
        kernels=None if costs is None else costs.rows,
        matched=None if costs is None else costs.matched,
    )


def _file_name(name: str) -> str:
    """A model's name without what would lead out of this folder, or be no name."""
    return "".join(c for c in name if c.isalnum() or c in "._- ").strip(". ")[:100]
