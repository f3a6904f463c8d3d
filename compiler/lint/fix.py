"""Rewrites what the rules found, checks that results are the same, and writes a frozen graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcc.compiler.errors import Mismatch, ModelError, UsageError
from dlcc.compiler.lint.lint import lint
from dlcc.compiler.lint.products import LEAST_REST, padded_to
from dlcc.compiler.lint.rewrite.batch import fix_batch
from dlcc.compiler.lint.rewrite.channels import pad_channels
from dlcc.compiler.lint.rewrite.editable import Editable
from dlcc.compiler.lint.rewrite.tidy import tidy
from dlcc.compiler.lint.rewrite.transposes import cancel_transposes
from dlcc.targets.atomic import written_whole
from dlcc.targets.registry import find_chip

SEED = 20
TOLERANCE = 1e-5  # of the largest value of an output: sums of another order differ by less
OPEN = 2  # what an open dimension is, for the check
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

    checked: the targets on which both gave the same on random data.
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
    measure: bool = False,
) -> Fixed:
    """Rewrite a model for one chip, and write it as a frozen graph.

    target: a kind or chip.   measure: whether to run both on the target's default device, too, and
    tell what they cost.   The other arguments are those of `lint`. Both models are compiled for
    host and run on the same random inputs before anything is written.
    Raises Mismatch where they differ, UsageError, ModelError, and what `lint` raises."""
    part: Any = {"signature": signature, "tag": tag, "inputs": inputs, "outputs": outputs}
    found = lint(path, target, **part)
    graph, names, results = _editable(path, **part)
    before = len(graph.nodes)
    rows = _rewritten(graph, target, {f.fix for f in found})
    again = {"inputs": dict.fromkeys(names.values()), "outputs": results}
    off = _checked(path, part, graph.graph, again)
    with written_whole(output) as file:
        file.write(graph.graph.SerializeToString(deterministic=True))
    left = lint(output, target, outputs=results)
    models: list[tuple[Any, Mapping[str, Any]]] = [(path, part), (graph.graph, again)]
    costs = [_cost(*model, target) if measure else {} for model in models]
    return Fixed(
        path=str(output),
        target=find_chip(target).name,
        nodes=(before, len(graph.nodes)),
        checked=("host",),
        off=off,
        findings=(len(found), len(left)),
        before=costs[0],
        after=costs[1],
        rows=tuple(rows),
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


def _editable(
    path: str | Path,
    *,
    signature: str | None,
    tag: str | None,
    inputs: Shapes | None,
    outputs: Sequence[str] | None,
) -> tuple[Editable, dict[str, str], list[str]]:
    """The GraphDef, what the names of inputs are in it, and its outputs by tensor."""
    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.frontend.read import read_model
    from dlcc.compiler.network.read import is_container

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
    graph = load(path, inputs or None, outputs or None, signature=signature, tag=tag)
    names = {i.name: i.ref.node for i in graph.inputs}
    results = [str(o.ref) if o.ref.index > 0 else o.ref.node for o in graph.outputs]
    kept = [o.ref.node for o in graph.outputs]
    return Editable(source.graph_def, list(names.values()), kept), names, results


def _checked(
    path: str | Path,
    part: Mapping[str, Any],
    fixed: Any,
    again: Mapping[str, Any],
) -> float:
    """The largest difference of both models on random inputs; raises Mismatch."""
    from dlcc.compiler.driver import compile

    models = [compile(path, "host", **part), compile(fixed, "host", **again)]
    specs = [model.inputs for model in models]
    values = _random(specs[0], [spec.shape for spec in specs[1]])
    results = []
    for model, own in zip(models, specs, strict=True):
        with model.session() as session:
            results.append(session.run({s.name: v for s, v in zip(own, values, strict=True)}))
    expected, found = list(results[0].values()), results[1]
    off = [_off(x, y) for x, y in zip(expected, found.values(), strict=True)]
    for name, apart in zip(found, off, strict=True):
        if not apart <= TOLERANCE:
            raise Mismatch(
                f"the rewritten model is off by {apart:.1e} of the largest value of {name}",
                hint="nothing was written; please report it with the model",
            )
    return max(off, default=0.0)


def _cost(model: Any, part: Mapping[str, Any], target: str) -> dict[str, float]:
    """What one inference costs on the target's device."""
    from dlcc.compiler.driver import compile

    made = compile(model, target, **part)
    values = _random(made.inputs, [spec.shape for spec in made.inputs])
    with made.session() as session:
        feeds = {spec.name: value for spec, value in zip(made.inputs, values, strict=True)}
        found = session.bench(feeds)
    return dict(found.counts) or {"time_s": min(found.times_s)}


def _random(specs: Sequence[Any], fixed: Sequence[Any]) -> list[np.ndarray]:
    """Inputs that both models take, in their order."""
    rng = np.random.default_rng(SEED)
    values = []
    for spec, other in zip(specs, fixed, strict=True):
        pairs = zip(spec.shape, other, strict=True)
        shape = [next((d for d in pair if isinstance(d, int)), OPEN) for pair in pairs]
        dtype = np.dtype(spec.dtype)
        whole = rng.integers(0, 100, shape) if dtype.kind in "iu" else rng.normal(size=shape)
        values.append((whole > 0 if dtype.kind == "b" else whole).astype(dtype))
    return values


def _off(expected: np.ndarray, found: np.ndarray) -> float:
    """The largest difference, over the largest value; 0 where both are the same, NaN included."""
    if expected.shape != found.shape:
        return np.inf
    if np.array_equal(expected, found, equal_nan=expected.dtype.kind in "fc"):
        return 0.0
    a, b = expected.astype(np.float64), found.astype(np.float64)
    return float(np.abs(a - b).max() / max(np.abs(a).max(), np.finfo(np.float32).tiny))
