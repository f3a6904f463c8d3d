"""The driver: from a model file to a container."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dlcc.compiler.container.container import Container
from dlcc.compiler.errors import UnknownTarget
from dlcc.targets.chips import Chip
from dlcc.targets.registry import find_chip, kind

Model = str | os.PathLike[str] | Any


def compile(
    model: Model,
    target: str = "host",
    *,
    inputs: Mapping[str, Sequence[int | None] | None] | None = None,
    outputs: Sequence[str] | None = None,
    database: str | os.PathLike[str] | None = None,
) -> Container:
    """Compile a TensorFlow model.

    model: path of a frozen graph (.pb, .pbtxt), or a GraphDef message.
    target: kinds or chips, joined by commas ("host,arm").
    inputs: {name: shape}; None dimensions, and dimensions that neither this nor the model fixes,
        stay symbolic where the target allows it.   outputs: default: the graph's sinks.
    database: folder of tuning records.
    Raises DlccError: see `dlcc.compiler.errors` for the tree.
    """
    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.frontend.translate import translate
    from dlcc.compiler.passes.pipeline import optimize

    times_s: dict[str, float] = {}
    chips = find_chips(target)
    with _timed("load", times_s):
        graph = load(model, inputs, outputs)
    with _timed("translate", times_s):
        translated = translate(graph)
    with _timed("passes", times_s):
        module = optimize(translated.module)
    artifacts = [kind(chip.kind).build(module, chip) for chip in chips]
    with _timed("package", times_s):
        container = Container.of(
            translated.name, module, translated.inputs, translated.outputs, artifacts
        )
    return container


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
