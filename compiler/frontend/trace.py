"""Which Relax variables each node became: so that a kernel can be traced back to the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.frontend.journal import Entry, Journal

How = Literal["converted", "folded", "passed on"]


@dataclass(frozen=True, slots=True)
class Trace:
    """What a node became. variables: name of each Relax variable -> the operator it calls.

    how: "folded" into a constant, "passed on" where its result is another node's.
    functions: name of each variable -> the Relax function that it is in.
    times: how often it was translated: once for each call of its function, and for each iteration
        of a loop that is written out.
    notes: what became of a loop, a branch or a call.
    """

    how: How
    variables: Mapping[str, str]
    functions: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    notes: tuple[str, ...] = ()


def trace(journal: Journal, module: IRModule, results: Mapping[Any, relax.Var]) -> dict[str, Trace]:
    """Node name -> what it became, from the module as it was emitted.

    results: tensors that leave `main`, each with the variable that stands for it from now on.
    """
    leaving = {t.name: r.name for t, r in results.items() if isinstance(t, relax.Var)}
    calls = _calls(journal, module)
    entries: dict[str, list[Entry]] = {}
    for entry in journal.entries:
        entries.setdefault(entry.node, []).append(entry)
    return {node: _traced(own, calls, leaving) for node, own in entries.items()}


@dataclass(frozen=True, slots=True)
class _Call:
    """A binding of a call. function: the Relax function that it is in."""

    variable: str
    op: str
    function: str


def _calls(journal: Journal, module: IRModule) -> dict[str, list[_Call]]:
    """The calls that each noted variable stands for.

    An expression within another is bound in front of it, under a name that nobody noted.
    """
    noted = {v for entry in journal.entries for v in entry.variables}
    found: dict[str, list[_Call]] = {}
    for function, bindings in bindings_of(module):
        waiting: list[_Call] = []
        for binding in bindings:
            name = str(binding.var.name)
            value = getattr(binding, "value", None)
            if isinstance(value, relax.Call | relax.If):
                waiting.append(_Call(name, op_name(value), function))
            if name in noted:
                found.setdefault(name, []).extend(waiting)
                waiting = []
    return found


def bindings_of(module: IRModule) -> Iterator[tuple[str, Sequence[relax.Binding]]]:
    """Name and bindings of each Relax function."""
    for var in module.get_global_vars():
        func = module[var]
        if isinstance(func, relax.Function) and isinstance(func.body, relax.SeqExpr):
            yield str(var.name_hint), [b for block in func.body.blocks for b in block.bindings]


def _traced(
    entries: Sequence[Entry], calls: Mapping[str, Sequence[_Call]], leaving: Mapping[str, str]
) -> Trace:
    own = [c for entry in entries for v in entry.variables for c in calls.get(v, ())]
    variables = {leaving.get(c.variable, c.variable): c.op for c in own}
    functions = {leaving.get(c.variable, c.variable): c.function for c in own}
    folded = all(entry.folded for entry in entries)
    how: How = "converted" if variables else "folded" if folded else "passed on"
    notes = tuple(dict.fromkeys(note for entry in entries for note in entry.notes))
    return Trace(how, variables, functions, len(entries), notes)


def op_name(value: Any) -> str:
    """`relax.nn.conv2d`; for a call of a function of the module, its name; "if" for a choice."""
    if isinstance(value, relax.If):
        return "if"
    if not isinstance(value, relax.Call):
        return ""
    name = str(getattr(value.op, "name", getattr(value.op, "name_hint", "call")))
    return str(value.args[0].name_hint) if name.startswith("relax.call_tir") else name
