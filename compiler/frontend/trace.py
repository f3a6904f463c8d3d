"""Which Relax variables each node became: so that a kernel can be traced back to the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tvm import relax

from dlcc.compiler.frontend.emitter import Emitter, Known
from dlcc.compiler.frontend.graph import Node

How = Literal["converted", "folded", "passed on"]


@dataclass(frozen=True, slots=True)
class Trace:
    """What a node became. variables: name of each Relax variable -> the operator it calls.

    how: "folded" into a constant, "passed on" where its result is another node's.
    """

    how: How
    variables: Mapping[str, str]


def trace(g: Emitter, main: relax.Function, results: Mapping[Any, relax.Var]) -> dict[str, Trace]:
    """Node name -> what it became, from `main` as it was emitted.

    results: tensors that leave the function, each with the variable that stands for it from now on.
    Nodes are converted one after another: what was bound between the last variable of the node
    before and that of this node is of this node.
    """
    bound = [b for block in main.body.blocks for b in block.bindings]
    leaving = {t.name: r.name for t, r in results.items() if isinstance(t, relax.Var)}
    position = {b.var.name: i for i, b in enumerate(bound)}
    values: dict[str, list[Any]] = {}
    for ref, value in g.values.items():
        values.setdefault(ref.node, []).append(value)
    traced: dict[str, Trace] = {}
    done = 0
    for node in g.graph.nodes:
        ends = [position.get(name, -1) for name in _names(values.get(node.name, ()))]
        own = bound[done : max(ends, default=-1) + 1]
        done += len(own)
        calls = [b for b in own if isinstance(b.value, relax.Call)]
        variables = {leaving.get(b.var.name, b.var.name): op_name(b.value) for b in calls}
        traced[node.name] = Trace(_how(node, values, variables), variables)
    return traced


def _names(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        for part in (value, getattr(value, "real", None), getattr(value, "imag", None)):
            if isinstance(part, relax.Var):
                yield part.name


def _how(node: Node, values: Mapping[str, list[Any]], variables: Mapping[str, str]) -> How:
    if variables:
        return "converted"
    own = values.get(node.name, ())
    return "folded" if own and all(isinstance(v, Known) for v in own) else "passed on"


def op_name(value: Any) -> str:
    """`relax.nn.conv2d`; for a call of a kernel of the module, the kernel's name; else ""."""
    if not isinstance(value, relax.Call):
        return ""
    name = str(getattr(value.op, "name", getattr(value.op, "name_hint", "call")))
    return str(value.args[0].name_hint) if name.startswith("relax.call_tir") else name
