"""What each node of the TensorFlow graph costs. Nodes in one kernel are not measured apart, so what
each of them takes is an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlcc.compiler.profile.calls import Call, Calls, amount

if TYPE_CHECKING:
    from dlcc.compiler.network.network import Network


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node, or a kernel or copy that computes none: `node` is "" then.

    macs: its part of the kernels' multiply-accumulates.   of_peak: of the kernels it is in.
    estimated: whether it shares a kernel with others.
    """

    node: str
    time_s: float | None
    counts: Mapping[str, int]
    share: float
    macs: int | None
    estimated: bool
    kernels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """One inference by nodes, in the order in which they are computed first.

    estimate: how the cost of a kernel was put on its nodes."""

    target: str
    device: str
    time_s: float | None
    counts: Mapping[str, int]
    estimate: str
    nodes: tuple[NodeRow, ...]


BY_MACS = "a kernel's cost is on its nodes in proportion to their multiply-accumulates; where they "
BY_MACS += "have none, on the last"
ON_LAST = "a kernel's cost is on the last of its nodes"


@dataclass(slots=True)
class _Sum:
    cost: float = 0.0
    share: float = 0.0
    macs: int | None = None
    estimated: bool = False
    kernels: dict[str, None] = field(default_factory=dict)


def by_nodes(calls: Calls, weights: Mapping[str, int] | None = None) -> NodeProfile:
    """The cost of each node. weights: node -> multiply-accumulates, as of `node_macs`."""
    sums: dict[tuple[str, str], _Sum] = {}
    for call in calls.calls:
        for node, part in parts(call, weights or {}).items():
            found = sums.setdefault((node, "" if node else call.kernel), _Sum())
            found.cost += call.cost * part
            found.share += call.share * part
            if call.macs is not None and part:
                found.macs = (found.macs or 0) + round(call.macs * part)
            found.estimated |= len(call.nodes) > 1
            found.kernels[call.kernel] = None
    rows = tuple(
        NodeRow(
            node=node,
            share=found.share,
            macs=found.macs,
            estimated=found.estimated,
            kernels=tuple(found.kernels),
            **amount(found.cost, calls.unit),
        )
        for (node, _), found in sums.items()
    )
    estimate = BY_MACS if weights else ON_LAST
    whole = amount(calls.cost, calls.unit)
    return NodeProfile(calls.target, calls.device, estimate=estimate, nodes=rows, **whole)


def parts(call: Call, weights: Mapping[str, int]) -> dict[str, float]:
    """Node -> its part of a call's cost; they sum to 1. "" stands for a call without nodes."""
    known = {node: weights.get(node, 0) for node in call.nodes}
    if total := sum(known.values()):
        return {node: weight / total for node, weight in known.items()}
    return {node: float(node == call.nodes[-1]) for node in call.nodes} or {"": 1.0}


def node_macs(network: Network) -> dict[str, int]:
    """The multiply-accumulates of each node. A layer of several nodes has them on its first, which
    is the product: what follows are its bias and its bounds."""
    from dlcc.compiler.network.costs import macs

    found: dict[str, int] = {}
    for layer in network.layers:
        if layer.nodes and (count := macs(network, layer)):
            found[layer.nodes[0]] = found.get(layer.nodes[0], 0) + count
    return found
