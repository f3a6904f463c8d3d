"""`dlcc check`: which ops of a model have a converter."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlcc.compiler.cli.verbs import Part
from dlcc.compiler.errors import Mismatch
from dlcc.targets.registry import KINDS, Kind, find_chip, kind

if TYPE_CHECKING:
    from dlcc.compiler.user_ops.table import OpsInForce


@dataclass(frozen=True, slots=True)
class Coverage:
    """One op. converter: module:function, None where there is none; nodes: the first few.

    targets: kind of target -> "yes", or why the op cannot run there.
    """

    op: str
    count: int
    converter: str | None
    targets: Mapping[str, str]
    nodes: tuple[str, ...]


def rows(
    model: str,
    inputs: Mapping[str, Sequence[int | str | None] | None],
    outputs: Sequence[str],
    target: str | None,
    part: Part,
    ops: Sequence[str] = (),
) -> tuple[list[Coverage], str]:
    """Every op between inputs and outputs, those without converter first, and the way around them.

    target: a kind or chip, for one column only; default: every kind.
    part: the signature and tag of a SavedModel.   ops: files with ops of the user's own.
    Raises UnknownTarget, UnreadableModel, UnknownName."""
    from dlcc.compiler.frontend.check import missing_nodes, way_out
    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.user_ops.table import ops_in_force

    in_force = ops_in_force(ops)
    table = in_force.table
    kinds = [kind(name) for name in KINDS] if target is None else [kind(find_chip(target).kind)]
    which: Any = {**part._asdict(), "op_outputs": in_force.outputs}
    graph = load(model, inputs or None, outputs or None, **which)
    cut = {i.ref.node for i in graph.inputs}
    counts = Counter(n.op for n in graph.nodes if n.name not in cut)
    nodes: dict[str, list[str]] = defaultdict(list)
    for node in graph.nodes:
        nodes[node.op].append(node.name)
    found = [
        Coverage(
            op,
            n,
            table[op].source if op in table else None,
            _targets(op, kinds, in_force),
            tuple(nodes[op][:3]),
        )
        for op, n in counts.items()
    ]
    found += _cut({n.name: n.op for n in graph.hosts}, {k.name: "yes" for k in kinds})
    found.sort(key=lambda row: (row.converter is not None, -row.count, row.op))
    return found, way_out(graph, missing_nodes(graph, table))


def _targets(op: str, kinds: Sequence[Kind], in_force: OpsInForce) -> dict[str, str]:
    """Kind of target -> "yes", or why an op cannot run there."""
    if op not in in_force.table:
        return {k.name: "no converter" for k in kinds}
    own = in_force.targets(op)
    return {k.name: own[k.name] if own is not None else k.lacks.get(op, "yes") for k in kinds}


def _cut(hosts: Mapping[str, str], everywhere: Mapping[str, str]) -> list[Coverage]:
    """The ops whose work is left to a host. hosts: node -> op."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, op in hosts.items():
        names[op].append(name)
    return [
        Coverage(op, len(own), "input: cut here", everywhere, tuple(own[:3]))
        for op, own in names.items()
    ]


def require_all(found: Sequence[Coverage], hint: str) -> None:
    """Raises Mismatch (exit code 1) that names the ops without converter, or without target."""
    if missing := [f"{row.op} ({row.count})" for row in found if row.converter is None]:
        raise Mismatch(f"no converter for {', '.join(missing)}", hint=hint)
    nowhere = [row.op for row in found if "yes" not in row.targets.values()]
    if nowhere:
        raise Mismatch(f"{', '.join(nowhere)} cannot run there", hint="choose another target")
