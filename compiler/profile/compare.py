"""Two profiles side by side, matched by the names of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dlcc.compiler.profile.calls import SECONDS, Call, Calls
from dlcc.compiler.profile.rows import ratio


@dataclass(frozen=True, slots=True)
class PairRow:
    """The calls of both sides that compute the same nodes.

    a_s, b_s: their seconds, or a, b: their counts, 0 on a side that has none of them.
    ratio: b over a, None where their units differ or one has none.   only: the side, where it is
    one alone.
    """

    a_s: float | None
    b_s: float | None
    a: int | None
    b: int | None
    ratio: float | None
    share_a: float
    share_b: float
    only: str
    kernels_a: tuple[str, ...]
    kernels_b: tuple[str, ...]
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two inferences. unit_a, unit_b: "seconds", "instructions" or "packets"."""

    profile_a: str
    profile_b: str
    unit_a: str
    unit_b: str
    a_s: float | None
    b_s: float | None
    a: int | None
    b: int | None
    ratio: float | None
    pairs: tuple[PairRow, ...]


def compare(a: Calls, b: Calls) -> Comparison:
    """The smallest sets of nodes that both sides compute in whole calls, in the order of `a`: so no
    cost is estimated, however differently their nodes are fused."""
    pairs = tuple(_pair(a, b, *group) for group in groups(a, b))
    return Comparison(
        profile_a=_title(a),
        profile_b=_title(b),
        unit_a=a.unit,
        unit_b=b.unit,
        **_costs(a, b, a.calls, b.calls),
        pairs=pairs,
    )


def groups(a: Calls, b: Calls) -> Iterator[tuple[list[Call], list[Call]]]:
    """Calls of both sides that hang together by the nodes they share. A call without nodes, such as
    a copy, goes with those of its kernel and placement."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    both = [(call, keys(call), side) for side, of in enumerate((a, b)) for call in of.calls]
    for _, own, _ in both:
        for key in own[1:]:
            parent[root(key)] = root(own[0])
    found: dict[str, tuple[list[Call], list[Call]]] = {}
    for call, own, side in both:
        found.setdefault(root(own[0]), ([], []))[side].append(call)
    yield from found.values()


def keys(call: Call) -> list[str]:
    """What a call is matched by."""
    return [f"node {node}" for node in call.nodes] or [f"{call.placement} {call.kernel}"]


def _pair(a: Calls, b: Calls, own_a: list[Call], own_b: list[Call]) -> PairRow:
    nodes = _each(node for call in (*own_a, *own_b) for node in call.nodes)
    return PairRow(
        nodes=nodes,
        **_costs(a, b, own_a, own_b),
        share_a=sum(call.share for call in own_a),
        share_b=sum(call.share for call in own_b),
        only="" if own_a and own_b else "a" if own_a else "b",
        kernels_a=_each(call.kernel for call in own_a),
        kernels_b=_each(call.kernel for call in own_b),
    )


def _costs(a: Calls, b: Calls, own_a: Iterable[Call], own_b: Iterable[Call]) -> dict[str, Any]:
    cost_a, cost_b = sum(c.cost for c in own_a), sum(c.cost for c in own_b)
    timed_a, timed_b = a.unit == SECONDS, b.unit == SECONDS
    return {
        "a_s": cost_a if timed_a else None,
        "b_s": cost_b if timed_b else None,
        "a": None if timed_a else round(cost_a),
        "b": None if timed_b else round(cost_b),
        "ratio": ratio(cost_b, cost_a) if a.unit == b.unit else None,
    }


def _each(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _title(of: Calls) -> str:
    return f"{of.name}: {of.target} on {of.device}"
