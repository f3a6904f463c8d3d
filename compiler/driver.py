"""The driver: from a model file to a container."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from dlcc.compiler.container.container import Container
from dlcc.compiler.errors import ShapeNeeded, UnknownTarget, UsageError
from dlcc.targets.chips import Chip
from dlcc.targets.registry import find_chip, kind

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.compiler.frontend.graph import Graph
    from dlcc.compiler.frontend.translate import Model as Translated
    from dlcc.targets.artifact import Artifact

log = logging.getLogger("dlcc")

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
) -> Container:
    """Compile a TensorFlow model.

    model: path of a frozen graph, SavedModel, checkpoint or Keras model; or a GraphDef message.
    target: kinds or chips, joined by commas ("host,arm").
    inputs: {name: shape}; a str names a dimension, one name is one size in all inputs; None, and
        what neither this nor the model fixes, stays symbolic where the target allows it.
    outputs: default: the signature's, or the graph's sinks.   database: folder of tuning records.
    signature, tag: which of a SavedModel's; default: "serving_default" and "serve", or the only.
    checks: "keep": `Session.run` raises CheckFailed where an Assert or CheckNumerics fails.
    Raises DlccError: see `dlcc.compiler.errors` for the tree.
    """
    _require_options(database, checks)
    times_s, chips = dict[str, float](), find_chips(target)
    with _timed("import", times_s):
        from dlcc.compiler.frontend.load import load
        from dlcc.compiler.frontend.translate import translate
        from dlcc.compiler.passes.pipeline import optimize
    with _timed("load", times_s):
        graph = load(model, inputs, outputs, signature=signature, tag=tag, checks=checks)
        _require_shapes(graph, chips)
    with _timed("translate", times_s):
        translated = translate(graph, checks)
    with _timed("passes", times_s):
        module = optimize(translated.module)
    artifacts = [kind(chip.kind).build(module, chip) for chip in chips]
    with _timed("package", times_s):
        container = _packed(graph, translated, module, artifacts)
    container.times_s.update(_sum_of_parts(times_s, *(a.times_s for a in artifacts)))
    return container


def _require_options(database: object, checks: str) -> None:
    if database is not None:
        raise UsageError("tuning records are not read by this version", hint="leave `database` out")
    if checks not in ("drop", "keep"):
        raise UsageError(f"checks is {checks!r}", hint='"drop" or "keep"')


def _packed(
    graph: Graph, translated: Translated, module: IRModule, artifacts: Sequence[Artifact]
) -> Container:
    return Container.of(
        translated.name,
        module,
        translated.inputs,
        translated.outputs,
        artifacts,
        dict(graph.options),
    )


def _sum_of_parts(*times_s: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by part, over all targets, each said as a line of the log."""
    total_s: Counter[str] = Counter()  # counts seconds
    for parts in times_s:
        total_s.update(parts)
    for part, seconds in total_s.items():
        log.info("%-10s %7.3f s", part, seconds)
    return dict(total_s)


def _require_shapes(graph: Graph, chips: Sequence[Chip]) -> None:
    """Every open dimension at once, where a target needs fixed shapes; raises ShapeNeeded."""
    static = [chip.kind for chip in chips if kind(chip.kind).static_shapes]
    open_ = [i for i in graph.inputs if i.is_open]
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


@contextmanager
def _timed(part: str, times_s: dict[str, float]) -> Iterator[None]:
    start_s = time.perf_counter()
    yield
    times_s[part] = time.perf_counter() - start_s
