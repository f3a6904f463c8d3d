"""Whether a rewritten model gives what the model gave: on the host, and by TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcc.compiler.container.tools import package_version
from dlcc.compiler.errors import Mismatch, ModelError
from dlcc.compiler.frontend.graph import Graph
from dlcc.compiler.frontend.part import Fed, enum_of, part_of
from dlcc.compiler.frontend.read import Source
from dlcc.compiler.frontend.reference import Computed, TensorFlow, is_installed

SEED = 20
TOLERANCE = 1e-5  # of the largest value of an output: sums of another order differ by less
OPEN = 2  # what an open dimension is


@dataclass(frozen=True, slots=True)
class Asked:
    """What TensorFlow is asked, once of the model and once of the rewritten one.

    graph_def: the part of the model that is looked at, before it is rewritten.
    feeds: input -> its tensor in either.   fetches: output -> its tensor in either.
    """

    graph_def: Any
    feeds: Mapping[str, tuple[str, str]]
    fetches: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Same:
    """checked: who gave the same for both.   off: the largest difference of an output, over its
    largest value.   said: in words, with the reason where TensorFlow was not asked."""

    checked: tuple[str, ...]
    off: float
    said: str


def asked_of(source: Source, graph: Graph) -> Asked | None:
    """What to ask TensorFlow; None where it is not installed."""
    if not is_installed():
        return None
    given = {i.ref: Fed(enum_of(i.dtype)) for i in graph.inputs}
    results = {o.name: source.names.ref(o.name, source.names.outputs) for o in graph.outputs}
    part = part_of(source, given, list(dict.fromkeys(results.values())))
    own = {ref: f"{name}:0" for ref, name in part.names.items()}
    return Asked(
        part.graph_def,
        {i.name: (own[i.ref], str(i.ref)) for i in graph.inputs},
        {name: (own.get(ref, str(ref)), str(ref)) for name, ref in results.items()},
    )


def require_same(
    path: Any,
    part: Mapping[str, Any],
    fixed: Any,
    again: Mapping[str, Any],
    asked: Asked | None,
) -> Same:
    """Run both on random inputs, by the host and by TensorFlow; raises Mismatch.

    part, again: how either is compiled.   fixed: the rewritten graph.   asked: None: by the host
    alone."""
    values, off = _on_the_host(path, part, fixed, again)
    if asked is None:
        return Same(("host",), off, "only the host was asked: TensorFlow is not installed")
    theirs, why = _by_tensorflow(asked, fixed, values)
    if why:
        return Same(("host",), off, f"only the host was asked: {why}")
    name = f"TensorFlow {package_version('tensorflow')}"
    return Same(("host", name), max(off, theirs), f"the host and {name} give the same for both")


def _on_the_host(
    path: Any, part: Mapping[str, Any], fixed: Any, again: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], float]:
    """The inputs, by the model's names, and how far results are apart."""
    from dlcc.compiler.driver import compile

    models = [compile(path, "host", **part), compile(fixed, "host", **again)]
    specs = [model.inputs for model in models]
    values = random_inputs(specs[0], [spec.shape for spec in specs[1]])
    results = []
    for model, own in zip(models, specs, strict=True):
        with model.session() as session:
            results.append(session.run({s.name: v for s, v in zip(own, values, strict=True)}))
    expected, found = list(results[0].values()), results[1]
    off = dict(zip(found, map(_off, expected, found.values()), strict=True))
    _require_near(off, "")
    names = [spec.name for spec in specs[0]]
    return dict(zip(names, values, strict=True)), max(off.values(), default=0.0)


def _by_tensorflow(asked: Asked, fixed: Any, values: Mapping[str, np.ndarray]) -> tuple[float, str]:
    """How far its results are apart; why it cannot tell, "" where it can."""
    with TensorFlow(asked.graph_def, fixed) as process:
        try:
            with _run(process, asked, values, 0) as expected:
                if expected.failed:
                    return 0.0, f"TensorFlow has no {_first(expected.failed)}"
                return _apart(process, asked, values, expected.arrays)
        except ModelError as error:
            return 0.0, error.what


def _apart(
    process: TensorFlow,
    asked: Asked,
    values: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
) -> tuple[float, str]:
    """The same, from what TensorFlow gives for the model."""
    try:
        with _run(process, asked, values, 1) as found:
            if found.failed:
                raise _wrong(f"TensorFlow has no {_first(found.failed)} in the rewritten model")
            off = {
                name: _off(expected[before], found.arrays[after])
                for name, (before, after) in asked.fetches.items()
            }
    except ModelError as error:
        raise _wrong(f"of the rewritten model: {error.what}") from error
    if not all(apart <= TOLERANCE for apart in off.values()):
        with _run(process, asked, values, 0) as again:
            if any(_off(expected[n], again.arrays[n]) > TOLERANCE for n in again.arrays):
                return 0.0, "TensorFlow gives other results for the model each time"
    _require_near(off, " by TensorFlow")
    return max(off.values(), default=0.0), ""


def _run(
    process: TensorFlow, asked: Asked, values: Mapping[str, np.ndarray], which: int
) -> AbstractContextManager[Computed]:
    feeds = {asked.feeds[name][which]: value for name, value in values.items()}
    fetches = list(dict.fromkeys(names[which] for names in asked.fetches.values()))
    return process.computed(feeds, fetches, which)


def _first(failed: Mapping[str, str]) -> str:
    return next(f"{name}: {why}" for name, why in failed.items())


def _require_near(off: Mapping[str, float], by: str) -> None:
    for name, apart in off.items():
        if not apart <= TOLERANCE:
            raise _wrong(
                f"the rewritten model is off{by} by {apart:.1e} of the largest value of {name}"
            )


def _wrong(what: str) -> Mismatch:
    return Mismatch(what, hint="nothing was written; please report it with the model")


def random_inputs(specs: Sequence[Any], fixed: Sequence[Any]) -> list[np.ndarray]:
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
    """The largest difference, over the largest finite value; NaN equals NaN."""
    if expected.shape != found.shape:
        return np.inf
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, b = expected.astype(wide), found.astype(wide)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    with np.errstate(invalid="ignore"):  # of infinities
        apart = np.where(same, 0.0, np.abs(a - b)).max()
    largest = np.abs(a, where=np.isfinite(a), out=np.zeros(a.shape)).max()
    return float(apart / max(largest, np.finfo(np.float32).tiny))
