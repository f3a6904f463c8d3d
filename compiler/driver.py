"""The driver: from a model file to a container."""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from dlcc.compiler.container.container import Container
from dlcc.compiler.container.pack import Compiled
from dlcc.compiler.errors import ShapeNeeded, UnknownTarget, UsageError
from dlcc.compiler.tuning import NONE, Choices, choices_for
from dlcc.targets.chips import Chip
from dlcc.targets.registry import Runtime, find_chip, kind

if TYPE_CHECKING:
    from dlcc.compiler.frontend.graph import Graph
    from dlcc.compiler.frontend.guards import Checks
    from dlcc.compiler.user_ops import UserOps
    from dlcc.compiler.user_ops.table import OpsInForce

log = logging.getLogger("dlcc")

Way = tuple[Chip, Runtime, Choices]
Model = str | os.PathLike[str] | Any


def compile(
    model: Model,
    target: str = "host",
    *,
    inputs: Mapping[str, Sequence[int | str | None] | None] | None = None,
    outputs: Sequence[str] | None = None,
    database: str | os.PathLike[str] | None = None,
    signature: str | None = None,
    tag: str | None = None,
    checks: Literal["drop", "keep"] = "drop",
    runtime: str | None = None,
    fp16: bool = False,
    ops: Sequence[str | os.PathLike[str] | UserOps] = (),
) -> Container:
    """Compile a TensorFlow model; raises DlccError: see `errors`.

    model: path of a frozen graph, SavedModel, checkpoint or Keras model; or a GraphDef message.
    target: kinds or chips, joined by commas ("host,arm").
    inputs: {name: shape}; a str names a dimension, one name is one size in all inputs; None, and
        what neither this nor the model fixes, stays symbolic where the target allows it.
    outputs: default: the signature's, or the graph's sinks.   database: folder of tuning records,
        which count before those that come with dlcc; "none": not even these.
    signature, tag: which of a SavedModel's; several names joined by commas, or "all", go into one
        container; default: "serving_default" and "serve", or the only.
    checks: "keep": `Session.run` raises CheckFailed where an Assert or CheckNumerics fails.
    runtime: "aot" for CPUs: libraries with a C API.   fp16: half precision on GPUs that have it.
    ops: Python files of ops, whose code is run, or `UserOps`; "none": no installed ones.
    """
    _require_checks(checks)
    times_s: dict[str, float] = defaultdict(float)  # over all graphs and targets
    ways = _ways(target, runtime, fp16, database)
    with _timed("import", times_s):
        from dlcc.compiler.frontend.load import load_all
    with _timed("load", times_s):
        in_force = _in_force(ops)
        which: Any = {"signature": signature, "tag": tag, "op_outputs": in_force.outputs}
        graphs = load_all(model, inputs, outputs, checks=checks, **which)
        require_shapes(graphs, [chip.kind for chip, runtime, _ in ways if runtime.static_shapes])
    parts = [_compiled(graph, ways, checks, in_force, times_s) for graph in graphs]
    return _packaged(graphs, parts, ways, _options(graphs, fp16, in_force), times_s)


def _in_force(ops: Sequence[str | os.PathLike[str] | UserOps]) -> OpsInForce:
    from dlcc.compiler.user_ops.table import ops_in_force

    return ops_in_force(ops)


def _packaged(
    graphs: Sequence[Graph],
    parts: Sequence[Compiled],
    ways: Sequence[Way],
    options: Mapping[str, str],
    times_s: dict[str, float],
) -> Container:
    with _timed("package", times_s):
        told = {**options, **_choices_used(parts, ways)}
        container = Container.of(graphs[0].name, parts, told)
        container.tuned.update((chip.name, choices.tuned) for chip, _, choices in ways)
    return _with_times(container, times_s)


def _choices_used(parts: Sequence[Compiled], ways: Sequence[Way]) -> dict[str, str]:
    """How many kernels of each chip tuning made, for the manifest; the log says it, too."""
    told = []
    for number, (chip, _, choices) in enumerate(ways):
        rows = [choices.used(part.artifacts[number]) for part in parts]
        chosen, shipped, kernels = (sum(column) for column in zip(*rows, strict=True))
        if chosen:
            told.append(f"{chip.name} {chosen}" + (f" ({shipped} shipped)" if shipped else ""))
        if shipped:
            log.info(
                "%s: %d of %d kernels are made as records say that come with dlcc; "
                "`--database %s` leaves them out", chip.name, shipped, kernels, NONE,
            )  # fmt: skip
    return {"tuned": ", ".join(told)} if told else {}


def _options(graphs: Sequence[Graph], fp16: bool, in_force: OpsInForce) -> dict[str, str]:
    """What the user asked for, for the manifest, and the ops of users that count."""
    options = dict(graphs[0].options)
    if len(graphs) > 1:
        options["signature"] = ",".join(graph.signature for graph in graphs)
    return options | ({"fp16": "yes"} if fp16 else {}) | in_force.used(graphs)


def _with_times(container: Container, times_s: Mapping[str, float]) -> Container:
    for part, seconds in times_s.items():
        log.info("%-10s %7.3f s", part, seconds)
    container.times_s.update(times_s)
    return container


def _compiled(
    graph: Graph,
    ways: Sequence[Way],
    checks: Checks,
    in_force: OpsInForce,
    times_s: dict[str, float],
) -> Compiled:
    """The code of one graph for every chip."""
    with _timed("import", times_s):
        from dlcc.compiler.frontend.translate import translate
        from dlcc.compiler.passes.pipeline import optimize
    with _timed("translate", times_s):
        translated = translate(graph, checks, in_force.table)
    with _timed("passes", times_s):
        module = optimize(translated.module)
    artifacts = [runtime.build(module, chip, choices.tuned) for chip, runtime, choices in ways]
    for part, seconds in (row for a in artifacts for row in a.times_s.items()):
        times_s[part] += seconds
    names = translated.inputs, translated.outputs
    return Compiled(module, *names, artifacts, graph.signature)


def _require_checks(checks: str) -> None:
    if checks not in ("drop", "keep"):
        raise UsageError(f"checks is {checks!r}", hint='"drop" or "keep"')


def _ways(
    target: str, runtime: str | None, fp16: bool, database: str | os.PathLike[str] | None
) -> list[Way]:
    """Every chip with how models are built for it; raises UnknownTarget, UsageError, BadRecords."""
    chips = in_half(find_chips(target)) if fp16 else find_chips(target)
    return [(chip, kind(chip.kind).run_by(runtime), choices_for(chip, database)) for chip in chips]


def require_shapes(graphs: Sequence[Graph], static: Sequence[str]) -> None:
    """Every open dimension of a graph at once, where targets need fixed shapes; raises
    ShapeNeeded.   static: kinds of those that do."""
    open_ = next(filter(None, ([i for i in g.inputs if i.is_open] for g in graphs)), [])
    if static and open_:
        options = " ".join(
            f"--input {i.name}=" + ",".join("N" if d is None else str(d) for d in i.shape)
            for i in open_
        )
        raise ShapeNeeded(
            f"target {static[0]} needs fixed shapes; open: {', '.join(i.name for i in open_)}",
            hint=f"give them: {options}",
        )


def find_chips(target: str) -> list[Chip]:
    """The chips of a comma-joined list; raises UnknownTarget."""
    names = [name.strip() for name in target.split(",") if name.strip()]
    if not names:
        raise UnknownTarget("no target given", hint="`dlcc target list` shows them")
    chips = [find_chip(name) for name in names]
    return list({chip.name: chip for chip in chips}.values())


def in_half(chips: Sequence[Chip]) -> list[Chip]:
    """The chips, to compute in half precision where they can; raises UsageError if none can."""
    able = [chip.name for chip in chips if chip.gpu is not None and chip.gpu.fp16]
    if not able:
        raise UsageError(
            f"{', '.join(chip.name for chip in chips)} cannot compute in half precision",
            hint="--fp16 is for GPUs that can: `dlcc target show CHIP` tells",
        )
    for chip in chips:
        log.info("%s: %s", chip.name, "half precision" if chip.name in able else "float32")
    return [
        replace(chip, gpu=replace(chip.gpu, half=True))
        if chip.gpu is not None and chip.name in able
        else chip
        for chip in chips
    ]


@contextmanager
def _timed(part: str, times_s: dict[str, float]) -> Iterator[None]:
    start_s = time.perf_counter()
    yield
    times_s[part] += time.perf_counter() - start_s
