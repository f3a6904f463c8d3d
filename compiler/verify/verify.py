"""The accuracy debugger: a model on a device against TensorFlow, layer by layer."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dlcc.compiler.container.container import Container, open_container
from dlcc.compiler.container.manifest import TensorSpec
from dlcc.compiler.errors import ModelError, UsageError
from dlcc.compiler.feeds import random_tensor
from dlcc.compiler.frontend.graph import TensorRef
from dlcc.compiler.verify.bisect import bisect
from dlcc.compiler.verify.expected import ByFile, ByTensorFlow, Expected
from dlcc.compiler.verify.layers import Comparison, Samples, Worst, layer_rows
from dlcc.compiler.verify.reproducer import write_reproducer
from dlcc.compiler.verify.rows import LayerRow, Layers, OutputRow, Rank, Verification, ranked
from dlcc.compiler.verify.subject import Making, Place, Subject, session_of, subject
from dlcc.targets.kernels import kernels_in

log = logging.getLogger("dlcc")

RTOL, HALF_RTOL, ATOL = 1e-3, 2e-2, 1e-6
WORST = 10  # nodes that are named


@dataclass(frozen=True, slots=True)
class Look:
    """How closely to look.

    layers: compare results of kernels, or all tensors, see `layer_rows`; None: outputs alone.
    bisect: find what makes the first layer that departs depart; looks at layers, too.
    reproducer: a folder to write that layer to.   rank: what the worst layers are chosen by.
    rtol: None: 1e-3, of half precision 2e-2.
    """

    layers: Layers | None = None
    bisect: bool = False
    reproducer: str | os.PathLike[str] | None = None
    rank: Rank = "snr"
    rtol: float | None = None
    atol: float = ATOL


@dataclass(frozen=True, slots=True)
class Data:
    """What is compared on.

    samples: {name of the sample: {input: array}}, or what makes that of the inputs' specs; none:
        random values by the seed.
    expect: tensors by name in TensorFlow's place, for one sample; with their source's name.
    """

    samples: Samples | Callable[[Sequence[TensorSpec]], Samples] = field(default_factory=dict)
    seed: int = 0
    expect: Mapping[str, np.ndarray] | None = None
    expect_name: str = "the reference"


def verify(
    model: str | os.PathLike[str] | Any,
    target: str = "host",
    *,
    data: Data | None = None,
    look: Look | None = None,
    making: Making | None = None,
    place: Place | None = None,
    against: str | os.PathLike[str] | None = None,
) -> Verification:
    """Run a model on a device and by TensorFlow, on the same inputs, and compare.

    model: as of `compile`; not a container.   target: one kind or chip.
    against: a container of the model, whose outputs are compared in place of a fresh compilation's.
    Raises what `compile` and `Session.run` raise; ToolchainError where TensorFlow is needed and
    missing.
    """
    data, look, place = data or Data(), look or Look(), place or Place()
    making = making or Making()
    _refuse_container(model)
    found = subject(model, target, making)
    rtol = look.rtol if look.rtol is not None else HALF_RTOL if found.half else RTOL
    samples = _samples(found, data)
    if data.expect is not None and len(samples) > 1:
        raise UsageError(
            f"a file of expected tensors is for one sample, and there are {len(samples)}",
            hint="leave --expect out: TensorFlow computes them",
        )
    with ExitStack() as stack:
        expected: Expected = stack.enter_context(_expected(found, data))
        comparison = Comparison(found, expected, samples, place, rtol, look.atol)
        made = found.container() if against is None else _given(found, Path(against))
        outputs, device = _outputs(comparison, made, making.signature if against else None)
        comparison = replace(comparison, place=replace(place, device=device))
        which = look.layers or ("kernels" if look.bisect or look.reproducer else None)
        layers = tuple(layer_rows(comparison, which)) if which else ()
        result = _result(comparison, device, outputs, layers, look.rank)
        return _explained(result, comparison, look, making)


def _explained(
    result: Verification, comparison: Comparison, look: Look, making: Making
) -> Verification:
    """With the cause of the first layer that departs, and with that layer in a folder."""
    wrong = suspect(result.layers)
    if look.bisect and wrong is not None:
        result = replace(result, bisection=bisect(comparison, result.layers, wrong))
    if look.reproducer is not None:
        row = wrong or next(iter(ranked(result.layers, look.rank)), None)
        if row is None:
            raise UsageError("no layer can be written: no tensor of the graph outlives the passes")
        made = write_reproducer(comparison, result.layers, row, Path(look.reproducer), making)
        result = replace(result, reproducer=made)
    return result


def suspect(layers: tuple[LayerRow, ...]) -> LayerRow | None:
    """The layer to look into: the first that is wrong on right inputs, else the first that
    departs."""
    own = [row for row in layers if not row.local.ok]
    return next(iter(own), None) or next((row for row in layers if not row.ok), None)


def _refuse_container(model: Any) -> None:
    if isinstance(model, str | os.PathLike) and Path(model).suffix == ".dlc":
        raise UsageError(
            f"{model} is a container, which TensorFlow cannot run",
            hint=f"give the model it was made of, with --against {model}; "
            "`dlcc run FILE --expect` compares with a file",
        )


def _samples(found: Subject, data: Data) -> Samples:
    """Raises BadFeed, and UsageError for a folder without samples or for open dimensions."""
    given = data.samples(found.specs) if callable(data.samples) else data.samples
    if given:
        return given
    random = {spec.name: random_tensor(spec, data.seed) for spec in found.specs}
    return {f"random {data.seed}": random}


def _expected(found: Subject, data: Data) -> AbstractContextManager[Expected]:
    if data.expect is not None:
        return ByFile(data.expect_name, data.expect, found)
    asked: list[TensorRef] = [*found.outputs.values(), *found.tensors.values()]
    return ByTensorFlow(found, list(dict.fromkeys(asked)))


def _given(found: Subject, path: Path) -> Container:
    """A container of the model; the log tells if its kernels are not those that layers have."""
    made = open_container(path)
    rows = {row.chip: row for row in made.targets}
    if found.chip.name in rows:
        held = {row.key for row in kernels_in(made.artifact(rows[found.chip.name])).values()}
        if any(call.key not in held for call in found.calls(found.module).values()):
            log.warning("%s has other kernels than the model compiles to now", path)
    return made


def _outputs(
    comparison: Comparison, made: Container, signature: str | None
) -> tuple[list[OutputRow], str]:
    """Outputs against the reference, and where they were computed."""
    outputs = comparison.subject.outputs
    worst = Worst()
    shown: dict[str, np.ndarray] = {}
    chip = comparison.subject.chip.name
    with session_of(made, comparison.place, chip, signature) as session:
        for sample in comparison.samples:
            found = session.run(comparison.samples[sample])
            with comparison.expected.tensors(
                comparison.inputs(sample), list(outputs.values())
            ) as known:
                for name, array in found.items():
                    if outputs.get(name) not in known:
                        raise ModelError(f"the reference does not compute the output {name!r}")
                    error = comparison.error(array, known[outputs[name]])
                    worst.add(name, error, sample)
                    shown.setdefault(name, array)
        device = session.device
    rows = []
    for name, (error, sample) in worst.errors.items():
        kind = shown[name].dtype.name, shown[name].shape
        rows.append(OutputRow(name, *kind, **asdict(error), sample=sample))
    return rows, device


def _result(
    comparison: Comparison,
    device: str,
    outputs: list[OutputRow],
    layers: tuple[LayerRow, ...],
    rank: Rank,
) -> Verification:
    other = sum(not (row.same_kernel and row.local_same_kernel) for row in layers)
    return Verification(
        model=comparison.subject.graph.name,
        target=comparison.subject.chip.name,
        device=device,
        reference=comparison.expected.name,
        samples=len(comparison.samples),
        rtol=comparison.rtol,
        atol=comparison.atol,
        ok=all(row.ok for row in outputs) and all(row.ok for row in layers),
        first=next((row.node for row in layers if not row.ok), None),
        worst=tuple(row.node for row in ranked(layers, rank)[:WORST]),
        kernels=f"{other} of {len(layers)} in other kernels" if other else "same",
        outputs=tuple(outputs),
        layers=layers,
    )
