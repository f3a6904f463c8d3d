"""What became of one node of a model: `dlcc check --why NODE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from dlcc.compiler.driver import find_chips
from dlcc.compiler.errors import UnknownName, UsageError
from dlcc.targets.registry import kind

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.compiler.frontend.graph import Graph
    from dlcc.compiler.frontend.trace import Trace

Shapes = Mapping[str, Sequence[int | str | None] | None]


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
) -> Fate:
    """What became of a node on its way to kernels of a target; the rest is as for `compile`.

    Raises UsageError for a node that the model does not have, and what `compile` raises."""
    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.frontend.translate import translate

    chips = find_chips(target)
    read = partial(load, model, inputs or None, signature=signature, tag=tag)
    graph = read(outputs or None)
    name = name.removesuffix(":0")
    node = graph.by_name.get(name)
    if node is None or any(i.ref.node == name for i in graph.inputs):
        return _not_converted(graph, name, read)
    translated = translate(graph)
    made = translated.traces[name]
    steps = [Step("translate", _translation(made))]
    followed = dict.fromkeys(made.variables)
    module = _through_passes(translated.module, followed, steps)
    for chip in chips if followed else ():
        kernels = kind(chip.kind).kernels(module, chip)
        steps += [Step(chip.name, text) for text in _kernels(kernels, followed)]
    outcome: str = made.how
    if made.how == "converted":
        outcome = "kept" if set(made.variables) & set(followed) else "merged"
    return Fate(name, node.op, outcome, tuple(steps))


def _not_converted(graph: Graph, name: str, read: Callable[[list[str]], Graph]) -> Fate:
    """The fate of an input, or of a node that no output needs."""
    if any(i.ref.node == name for i in graph.inputs):
        return Fate(name, "", "input", (Step("load", "it is fed: nothing is computed for it"),))
    try:
        op = read([name]).by_name[name].op
    except UnknownName as error:
        raise UsageError(f"the model has no node named {name!r}", hint=error.hint) from error
    asked = ", ".join(o.name for o in graph.outputs)
    return Fate(name, op, "pruned", (Step("load", f"no output needs it: {asked}"),))


def _translation(made: Trace) -> str:
    if made.how == "folded":
        return "its value is known: a constant"
    if made.how == "passed on":
        return "it adds nothing: its result is that of its input"
    return ", ".join(f"{var} = {op}" for var, op in made.variables.items())


def _through_passes(module: IRModule, followed: dict[str, None], steps: list[Step]) -> IRModule:
    """The optimised module; `followed` becomes the variables that the node's lived on in."""
    from dlcc.compiler.passes.pipeline import PIPELINE
    from dlcc.compiler.passes.rewrite import recorded

    for title, run in PIPELINE:
        with recorded() as events:
            module = run(module)
        there = {b.var.name for block in module["main"].body.blocks for b in block.bindings}
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
