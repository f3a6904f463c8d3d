"""Which kernels of a container's targets compute a layer, and where they run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlcc.compiler.container import Container, TargetRow
from dlcc.compiler.errors import BadContainer
from dlcc.compiler.network.network import Layer
from dlcc.targets.artifact import PLACEMENT
from dlcc.targets.kernels import KERNELS

PROGRAM = "model.json"  # of code without TVM: its calls in order
MEMORY = "memory.json"  # of code for TVM's runtime, see `targets.storage`
# kind of target -> where a kernel runs of which the artifact does not say it
ENGINES = {"host": "cpu", "arm": "cpu", "hexagon": "dsp"}


@dataclass(frozen=True, slots=True)
class TargetKernel:
    """A kernel of a target.

    nodes: what of the graph it computes.   placement: "cpu", "gpu" or "dsp"; "" where unknown.
    workload: what tuning records name it by, "" for one without knobs.   tuned: whether a record
    chose its knobs.   macs: multiply-accumulates, None where not known.
    """

    name: str
    nodes: tuple[str, ...]
    placement: str
    workload: str = ""
    tuned: bool = False
    macs: int | None = None


def kernels_of(container: Container, target: TargetRow) -> tuple[TargetKernel, ...]:
    """The kernels of a target, those of a program in the order of its calls; () where its artifact
    does not tell them. Raises BadContainer."""
    try:
        if PROGRAM in target.files:
            rows = {
                str(row["name"]): (row.get("sources", ()), row)
                for row in table(container, target, PROGRAM)["kernels"]
            }
        else:
            found = table(container, target, KERNELS)
            rows = {name: (row["nodes"], row) for name, row in found.items()}
        places = table(container, target, PLACEMENT).get("kernels", {})
        return tuple(
            TargetKernel(
                name,
                tuple(map(str, nodes)),
                str(places.get(name, ENGINES.get(target.kind, ""))),
                str(row.get("workload", "")),
                bool(row.get("knobs")),
                None if row.get("macs") is None else int(row["macs"]),
            )
            for name, (nodes, row) in rows.items()
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise damaged(target, "table of kernels", error) from error


def table(container: Container, target: TargetRow, name: str) -> dict[str, Any]:
    """A JSON table of an artifact; {} where it has none. Raises BadContainer, ValueError."""
    if name not in target.files:
        return {}
    found = json.loads(bytes(container.read(target.files[name])))
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no table")
    return found


def damaged(target: TargetRow, what: str, error: Exception) -> BadContainer:
    """The error for an artifact that is not what it says."""
    return BadContainer(
        f"the {what} for {target.name} is damaged: {error}", hint="compile the model again"
    )


class KernelsByLayer:
    """The kernels of each layer, by target, found through the nodes that both compute."""

    def __init__(self, kernels: Mapping[str, tuple[TargetKernel, ...]]) -> None:
        """kernels: target's name -> its kernels."""
        self._kernels: dict[str, dict[str, list[TargetKernel]]] = {}
        for target, rows in kernels.items():
            by_node: dict[str, list[TargetKernel]] = defaultdict(list)
            for kernel in rows:
                for node in kernel.nodes:
                    by_node[node].append(kernel)
            self._kernels[target] = by_node

    def of(self, layer: Layer) -> dict[str, tuple[TargetKernel, ...]]:
        """Target -> the kernels that compute the layer, or some of its nodes; without those that
        have none, such as a reshape, which is another view of the same memory."""
        nodes = layer.nodes or (layer.name,)
        found = {
            target: {k.name: k for node in nodes for k in by_node.get(node, ())}
            for target, by_node in self._kernels.items()
        }
        return {target: tuple(rows.values()) for target, rows in found.items() if rows}
