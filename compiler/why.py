"""What became of one node of a model: `dlcc check --why NODE`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlcc.compiler.driver import find_chips
from dlcc.compiler.errors import UsageError
from dlcc.targets.registry import kind

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.compiler.frontend.function import Function
    from dlcc.compiler.frontend.graph import Graph
    from dlcc.compiler.frontend.trace import Trace
    from dlcc.compiler.user_ops import UserOps

Shapes = Mapping[str, Sequence[int | str | None] | None]
# what loops and conditions of TF1 are made of: frontend/frames.py
LOWERED = {
    ref + op for op in ("Enter", "Exit", "Merge", "NextIteration", "Switch") for ref in ("", "Ref")
} | {"LoopCond"}


@dataclass(frozen=True, slots=True)
class Step:
    """What happened at one place: a step of the import, a pass, or a target."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Fate:
    """One node. outcome: "pruned", "input", "folded", "passed on", "merged" or "kept"."""

    node: str
    op: str
    outcome: str
    steps: tuple[Step, ...]


def why(
    model: Any,
    name: str,
    target: str = "host",
    inputs: Shapes | None = None,
    outputs: Sequence[str] | None = None,
    *,
    signature: str | None = None,
    tag: str | None = None,
    ops: Sequence[str | os.PathLike[str] | UserOps] = (),
) -> Fate:
    """What became of a node on its way to kernels of a target; the rest is as for `compile`.

    name: a node, also in loops and conditions of TF1; FUNCTION/NODE for one of a function.
    Raises UsageError for a node that the model does not have, and what `compile` raises."""
    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.frontend.translate import translate
    from dlcc.compiler.user_ops.table import ops_in_force

    chips = find_chips(target)
    in_force = ops_in_force(ops)
    which: dict[str, Any] = {"signature": signature, "tag": tag, "op_outputs": in_force.outputs}
    graph = load(model, inputs or None, outputs or None, **which)
    name = name.removesuffix(":0")
    if any(i.ref.node == name for i in graph.inputs):
        return Fate(name, "", "input", (Step("load", "it is fed: nothing is computed for it"),))
    nodes = _ops(model, signature, tag)
    if name not in nodes and name not in graph.by_name:
        raise _unknown(name, nodes)
    op = graph.by_name[name].op if name in graph.by_name else nodes[name]
    translated = translate(graph, table=in_force.table)
    if name not in translated.traces:
        return Fate(name, op, *_left_out(graph, name, op))
    made = translated.traces[name]
    steps = [Step("translate", _translation(made))]
    module = _through_passes(translated.module, followed := dict.fromkeys(made.variables), steps)
    for chip in chips if followed else ():
        kernels = kind(chip.kind).kernels(module, chip)
        steps += [Step(chip.name, text) for text in _kernels(kernels, followed)]
    return Fate(name, op, _outcome(made, followed), tuple(steps))


def _outcome(made: Trace, followed: Mapping[str, None]) -> str:
    if made.how != "converted":
        return made.how
    return "kept" if set(made.variables) & set(followed) else "merged"


def _ops(model: Any, signature: str | None, tag: str | None) -> dict[str, str]:
    """The op of every node of a model, those of its functions under FUNCTION/NODE."""
    from dlcc.compiler.frontend.read import read_model

    graph_def = read_model(model, signature, tag)[0].graph_def
    ops = {str(n.name): str(n.op) for n in graph_def.node}
    for function in graph_def.library.function:
        scope = function.signature.name
        ops |= {f"{scope}/{n.name}": str(n.op) for n in function.node_def}
    return ops


def _unknown(name: str, ops: Mapping[str, str]) -> UsageError:
    """The error for a node that is not there, with those that look like it."""
    inner = [known for known in ops if known.endswith(f"/{name}")]
    near = inner or difflib.get_close_matches(name, ops, 3)
    hint = f"is it one of these? {', '.join(near[:3])}" if near else ""
    return UsageError(f"the model has no node named {name!r}", hint=hint)


def _left_out(graph: Graph, name: str, op: str) -> tuple[str, tuple[Step, ...]]:
    """Outcome and steps of a node that was not translated."""
    if op in LOWERED:
        text = "a part of a loop or a condition of TF1, which became one node While or If"
        return "passed on", (Step("load", text),)
    asked = ", ".join(o.name for o in graph.outputs)
    also = ""
    if any(name in _nodes_of(graph.functions[f], f) for f in graph.functions):
        also = ", or what it decides is settled at compile time (a known condition)"
    return "pruned", (Step("load", f"no output needs it{also}: {asked}"),)


def _nodes_of(function: Function, called: str) -> set[str]:
    """The nodes of a function, as they are asked for."""
    return {f"{called}/{n.name}" if function.named else n.name for n in function.nodes}


def _translation(made: Trace) -> str:
    """What a node became, in words."""
    said = list(made.notes)
    if made.times > 1:
        said.append(f"translated {made.times} times")
    if made.how == "folded":
        said.append("its value is known: a constant")
    elif made.how == "passed on" and not made.notes:
        said.append("it adds nothing: its result is that of its input")
    if said and made.variables:
        return f"{'; '.join(said)}: {_calls(made)}"
    return "; ".join(said) or _calls(made)


def _calls(made: Trace) -> str:
    """The calls that a node became, by the function of the module that they are in."""
    groups: dict[str, list[str]] = {}
    for var, op in made.variables.items():
        groups.setdefault(made.functions.get(var, "main"), []).append(f"{var} = {op}")
    return "; ".join(
        ", ".join(calls) if function == "main" else f"in {function}: {', '.join(calls)}"
        for function, calls in groups.items()
    )


def _through_passes(module: IRModule, followed: dict[str, None], steps: list[Step]) -> IRModule:
    """The optimised module; `followed` becomes the variables that the node's lived on in."""
    from dlcc.compiler.frontend.trace import bindings_of
    from dlcc.compiler.passes.pipeline import PIPELINE
    from dlcc.compiler.passes.rewrite import recorded

    for title, run in PIPELINE:
        with recorded() as events:
            module = run(module)
        there = {str(b.var.name) for _, bindings in bindings_of(module) for b in bindings}
        gone = [v for v in followed if v not in there]
        for event in dict.fromkeys(events):
            about = [v for v in (event.variable, *event.reads) if v in followed]
            if event.why and event.variable in followed:
                steps.append(Step(title, f"{event.rule} declined at {event.variable}: {event.why}"))
            elif not event.why and about:
                steps.append(Step(title, f"{event.rule} applied at {event.variable}"))
                if event.variable in there:
                    followed[event.variable] = None
        for variable in gone:
            del followed[variable]
            steps.append(Step(title, f"{variable} is gone"))
    return module


def _kernels(kernels: Mapping[str, Sequence[str]], followed: Mapping[str, None]) -> Iterator[str]:
    for kernel, variables in kernels.items():
        if own := [v for v in variables if v in followed]:
            rest = [v for v in variables if v not in followed]
            beside = f", together with {', '.join(rest)}" if rest else ""
            yield f"{', '.join(own)} in kernel {kernel}{beside}"
