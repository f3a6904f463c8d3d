"""Rewrites what the rules found, checks that results are the same, and writes a frozen graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcc.compiler.errors import ModelError, UsageError
from dlcc.compiler.lint.lint import lint
from dlcc.compiler.lint.products import LEAST_REST, padded_to
from dlcc.compiler.lint.rewrite.batch import fix_batch
from dlcc.compiler.lint.rewrite.channels import pad_channels
from dlcc.compiler.lint.rewrite.editable import Editable
from dlcc.compiler.lint.rewrite.tidy import tidy
from dlcc.compiler.lint.rewrite.transposes import cancel_transposes
from dlcc.compiler.lint.same import Asked, asked_of, random_inputs, require_same
from dlcc.targets.atomic import written_whole
from dlcc.targets.registry import find_chip

if TYPE_CHECKING:
    from dlcc.compiler.frontend.graph import Graph
    from dlcc.compiler.frontend.read import Source
    from dlcc.compiler.user_ops.load import OpsGiven

Shapes = Mapping[str, Sequence[int | str | None] | None]


@dataclass(frozen=True, slots=True)
class FixRow:
    """A rewrite. node: where, "" for the whole graph.   done: what was done, or why not."""

    fix: str
    node: str
    done: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """A model that was rewritten and checked.

    checked: where both gave the same on random data: "host", and "TensorFlow" with its version
    where it is installed and can run the model.
    off: the largest difference of an output, over its largest value.
    findings, nodes: before and after.
    before, after: what one inference costs on the target's device, with `measure`: counts where it
    is emulated, else the least of its times.
    """

    path: str
    target: str
    nodes: tuple[int, int]
    checked: tuple[str, ...]
    off: float
    findings: tuple[int, int]
    before: Mapping[str, float]
    after: Mapping[str, float]
    rows: tuple[FixRow, ...]


def fix(
    path: str | Path,
    output: str | Path,
    target: str,
    *,
    signature: str | None = None,
    tag: str | None = None,
    inputs: Shapes | None = None,
    outputs: Sequence[str] | None = None,
    ops: OpsGiven = (),
    measure: bool = False,
) -> Fixed:
    """Rewrite a model for one chip, and write it as a frozen graph.

    target: a kind or chip.   measure: whether to run both on the target's default device, too, and
    tell what they cost.   The other arguments are those of `lint`. Before anything is written
    the host runs both on the same random inputs, and TensorFlow, too, where it is installed.
    Raises Mismatch where they differ, UsageError, ModelError, and what `lint` raises."""
    part: Any = {"signature": signature, "tag": tag, "inputs": inputs, "outputs": outputs}
    part["ops"] = ops
    found = lint(path, target, **part)
    graph, again, asked = _editable(*_read(path, **part))
    before = len(graph.nodes)
    rows = _rewritten(graph, target, {f.fix for f in found})
    again["ops"] = ops
    same = require_same(path, part, graph.graph, again, asked)
    with written_whole(output) as file:
        file.write(graph.graph.SerializeToString(deterministic=True))
    left = lint(output, target, outputs=again["outputs"], ops=ops)
    return Fixed(
        path=str(output),
        target=find_chip(target).name,
        nodes=(before, len(graph.nodes)),
        checked=same.checked,
        off=same.off,
        findings=(len(found), len(left)),
        before=_cost(path, part, target) if measure else {},
        after=_cost(graph.graph, again, target) if measure else {},
        rows=(*rows, FixRow("check", "", same.said)),
    )


def _rewritten(graph: Editable, target: str, wanted: set[str]) -> list[FixRow]:
    """Apply what is wanted, in an order in which each leaves the next less to do."""
    chip = find_chip(target)
    rows = [("tidy", *row) for row in tidy(graph)]
    if "batch" in wanted:
        rows += [("batch", *row) for row in fix_batch(graph)]
    if "transposes" in wanted:
        rows += [("transposes", *row) for row in cancel_transposes(graph)]
    if "channels" in wanted:
        least = LEAST_REST if chip.kind == "hexagon" else 1
        padded = pad_channels(graph, padded_to(chip), least)
        rows += [("channels", *row) for row in padded]
    graph.keep_reachable()
    return [FixRow(*row) for row in rows]


def _read(
    path: str | Path,
    *,
    signature: str | None,
    tag: str | None,
    inputs: Shapes | None,
    outputs: Sequence[str] | None,
    ops: OpsGiven,
) -> tuple[Source, Graph]:
    """The model, and the part of it that is looked at; raises UsageError, ModelError."""
    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.frontend.read import read_model
    from dlcc.compiler.network.read import is_container
    from dlcc.compiler.user_ops.table import ops_in_force

    if is_container(Path(path)):
        raise UsageError(
            f"{path} is a container, which is not rewritten",
            hint="give the model that it was compiled of",
        )
    (source,) = read_model(path, signature, tag)
    if source.checkpoint is not None:
        raise ModelError(
            f"{path} keeps its weights in a checkpoint, and --fix rewrites frozen graphs",
            hint="freeze it first",
        )
    which: Any = {"signature": signature, "tag": tag, "op_outputs": ops_in_force(ops).outputs}
    return source, load(path, inputs or None, outputs or None, **which)


def _editable(source: Source, graph: Graph) -> tuple[Editable, dict[str, Any], Asked | None]:
    """The GraphDef to change, how it is compiled: by its own names of inputs and outputs, and what
    TensorFlow is asked."""
    asked = asked_of(source, graph)  # which keeps the model as it is
    inputs = [i.ref.node for i in graph.inputs]
    results = [str(o.ref) if o.ref.index > 0 else o.ref.node for o in graph.outputs]
    kept = [o.ref.node for o in graph.outputs]
    again = {"inputs": dict.fromkeys(inputs), "outputs": results}
    return Editable(source.graph_def, inputs, kept), again, asked


def _cost(model: Any, part: Mapping[str, Any], target: str) -> dict[str, float]:
    """What one inference costs on the target's device."""
    from dlcc.compiler.driver import compile

    made = compile(model, target, **part)
    values = random_inputs(made.inputs, [spec.shape for spec in made.inputs])
    with made.session() as session:
        feeds = {spec.name: value for spec, value in zip(made.inputs, values, strict=True)}
        found = session.bench(feeds)
    return dict(found.counts) or {"time_s": min(found.times_s)}
