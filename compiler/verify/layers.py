"""Every tensor of a model that outlives optimisation, against its reference."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dlcc.compiler.feeds import as_pairs, check_feeds
from dlcc.compiler.frontend.graph import TensorRef
from dlcc.compiler.verify import parts
from dlcc.compiler.verify.expected import Expected
from dlcc.compiler.verify.measure import Error, error_of
from dlcc.compiler.verify.rows import LayerRow, Layers
from dlcc.compiler.verify.subject import Call, Place, Subject, session_of

log = logging.getLogger("dlcc")

AT_ONCE_BYTES = 256_000_000  # of tensors that a run hands out or takes
Samples = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What all measurements share."""

    subject: Subject
    expected: Expected
    samples: Samples
    place: Place
    rtol: float
    atol: float

    def inputs(self, sample: str) -> list[np.ndarray]:
        """A sample's arrays in the order of the inputs; raises BadFeed."""
        return check_feeds(self.subject.specs, self.samples[sample])

    def error(self, found: np.ndarray, wanted: np.ndarray) -> Error:
        return error_of(found, wanted, self.rtol, self.atol)


@dataclass(slots=True)
class Worst:
    """The worst error of each tensor over the samples, with its sample."""

    errors: dict[str, tuple[Error, str]] = field(default_factory=dict)

    def add(self, key: str, error: Error, sample: str) -> None:
        held = self.errors.get(key)
        if held is None or (error.beyond, error.max_rel) > (held[0].beyond, held[0].max_rel):
            self.errors[key] = error, sample


@dataclass(slots=True)
class Measured:
    """keys: of the kernel that each tensor is the result of."""

    worst: Worst = field(default_factory=Worst)
    keys: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Boundary:
    """A tensor to compare. variable: of the optimised module.   size_bytes: of the first sample."""

    variable: str
    ref: TensorRef
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


def layer_rows(comparison: Comparison, which: Layers) -> list[LayerRow]:
    """One row for each tensor, in the order in which they are computed.

    which: "kernels": results of kernels alone, which leaves the kernels as they are; "tensors":
    all, so that kernels end at each.   Raises what building and running raise."""
    subject = comparison.subject
    calls = subject.calls(subject.module)
    tensors = boundaries(
        comparison, calls if which == "kernels" else parts.variables(subject.module)
    )
    able = parts.can_be_given(subject.module)
    given = [t.variable for t in tensors if t.variable in able]
    total, local = Measured(), Measured()
    for chunk in _chunks(tensors):
        log.info("comparing %d tensors of %d", len(chunk), len(tensors))
        _measure(comparison, tensors, chunk, (), total)
        _measure(comparison, tensors, chunk, given, local)
    return [_row(subject, i, t, calls, total, local) for i, t in enumerate(tensors, 1)]


def boundaries(
    comparison: Comparison, names: Mapping[str, object] | Sequence[str]
) -> list[Boundary]:
    """Those of the variables that hold a tensor of the graph which the reference has."""
    subject = comparison.subject
    held = subject.tensors
    wanted = [v for v in parts.variables(subject.module) if v in names and v in held]
    sample = next(iter(comparison.samples))
    with comparison.expected.tensors(comparison.inputs(sample), [held[v] for v in wanted]) as known:
        arrays = {v: known[held[v]] for v in wanted if held[v] in known}
        if missing := [str(held[v]) for v in wanted if v not in arrays]:
            log.info("the reference lacks %d tensors: %s", len(missing), ", ".join(missing[:3]))
        return [
            Boundary(v, held[v], array.dtype.name, array.shape, array.nbytes)
            for v, array in arrays.items()
        ]


def _chunks(tensors: Sequence[Boundary]) -> Iterator[list[Boundary]]:
    chunk: list[Boundary] = []
    for tensor in tensors:
        if chunk and sum(t.size_bytes for t in chunk) + tensor.size_bytes > AT_ONCE_BYTES:
            yield chunk
            chunk = []
        chunk.append(tensor)
    if chunk:
        yield chunk


def _measure(
    comparison: Comparison,
    tensors: Sequence[Boundary],
    chunk: Sequence[Boundary],
    given: Sequence[str],
    measured: Measured,
) -> None:
    """Errors of a chunk's tensors over all samples, and the kernels that they are results of.

    given: variables that may take the reference's values where layers read them."""
    subject = comparison.subject
    results = [t.variable for t in chunk]
    known = parts.reads(subject.module)
    read = {v for r in results for v in parts.read_by(known, r, set(given))}
    fed = [t for t in tensors if t.variable in read]
    module = parts.part(subject.module, results, [t.variable for t in fed])
    refs = [t.ref for t in (*chunk, *fed)]
    measured.keys |= {v: call.key for v, call in subject.calls(module).items() if v in results}
    with session_of(subject.built(module), comparison.place) as session:
        for sample in comparison.samples:
            inputs = comparison.inputs(sample)
            with comparison.expected.tensors(inputs, refs) as right:
                arrays = as_pairs(inputs)
                arrays += [as_read(subject, t.variable, right[t.ref]) for t in fed]
                found = session.run({str(i): a for i, a in enumerate(arrays)})
                for tensor, array in zip(chunk, found.values(), strict=True):
                    error = comparison.error(array, right[tensor.ref])
                    measured.worst.add(tensor.variable, error, sample)


def as_read(subject: Subject, variable: str, array: np.ndarray) -> np.ndarray:
    """The reference's tensor in the dtype that the module has it in."""
    dtype = str(parts.variables(subject.translated.module)[variable].ty.dtype)
    return np.asarray(array if array.dtype.name == dtype else array.astype(dtype))


def _row(
    subject: Subject,
    number: int,
    tensor: Boundary,
    calls: Mapping[str, Call],
    total: Measured,
    local: Measured,
) -> LayerRow:
    variable = tensor.variable
    call = calls.get(variable, Call("", "", ()))
    error, sample = total.worst.errors[variable]
    own, own_sample = local.worst.errors[variable]
    name = str(tensor.ref).removesuffix(":0")
    return LayerRow(
        layer=number,
        node=name,
        op=subject.op(tensor.ref),
        dtype=tensor.dtype,
        shape=tensor.shape,
        kernel=call.kernel,
        nodes=tuple(n for n in call.nodes if n != name),
        error=error,
        local=own,
        sample=sample,
        local_sample=own_sample,
        same_kernel=bool(call.key) and total.keys.get(variable) == call.key,
        local_same_kernel=bool(call.key) and local.keys.get(variable) == call.key,
        variable=variable,
    )
