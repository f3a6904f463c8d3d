"""Rules about shapes and layouts: open dimensions, transpositions, constants that repeat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dlcc.compiler.lint.found import Found
from dlcc.compiler.lint.subject import Subject
from dlcc.compiler.network.memory import tensor_bytes
from dlcc.compiler.network.network import Tensor

LEAST_BYTES = 1 << 16  # of a tensor that is worth a word
OPEN_BATCH_TIMES = 1.5  # the least that was measured of 3x3 convolutions; of 1x1 it is 1


def open_shapes(subject: Subject) -> Iterator[Found]:
    """Inputs with open dimensions."""
    for tensor in _open_inputs(subject):
        dims = ",".join("N" if isinstance(d, str) else str(d) for d in tensor.shape or ())
        what = f"{tensor}: --input {tensor.name}={dims} says it, too"
        yield Found(tensor.name, what, fixable=_only_batch(tensor))


def open_batch(subject: Subject) -> Iterator[Found]:
    """Inputs whose first dimension alone is open, of models with 3x3 convolutions."""
    weights = (subject.model.tensor(p.inputs[1]) for p in subject.model.products("Conv2d"))
    if not any(w is not None and (w.shape or ())[:2] == (3, 3) for w in weights):
        return
    for tensor in _open_inputs(subject):
        if _only_batch(tensor):
            yield Found(tensor.name, str(tensor), OPEN_BATCH_TIMES, fixable=True)


def transposes(subject: Subject) -> Iterator[Found]:
    """Transpositions that are left in the layout that targets compute in."""
    for layer in subject.model.item.layers:
        tensor = subject.model.tensor(layer.outputs[0])
        if layer.op != "Transpose" or tensor is None:
            continue
        before = subject.model.tensor(layer.inputs[0])
        size = tensor_bytes(tensor)
        if size is None or size >= LEAST_BYTES:
            moved = "an open size" if size is None else f"{2 * size:,} bytes an inference"
            yield Found(layer.name, f"{before} to {tensor}, {moved}", fixable=True)


def repeated_constants(subject: Subject) -> Iterator[Found]:
    """Large constants of elementwise operations, all of whose rows are equal."""
    seen: set[str] = set()
    for layer in subject.model.item.layers:
        for name in layer.inputs if layer.op.startswith("ElementWise") else ():
            tensor = subject.model.tensor(name)
            if tensor is None or tensor.role != "constant" or name in seen:
                continue
            seen.add(name)
            if tensor.value is not None and _repeats(tensor.value):
                yield Found(layer.name, f"{tensor}, {tensor.value.nbytes:,} bytes")


def _open_inputs(subject: Subject) -> Iterator[Tensor]:
    network = subject.model.network
    for name in network.inputs:
        if any(isinstance(d, str) for d in network.tensors[name].shape or ()):
            yield network.tensors[name]


def _only_batch(tensor: Tensor) -> bool:
    shape = tensor.shape or ()
    return isinstance(shape[0], str) and not any(isinstance(d, str) for d in shape[1:])


def _repeats(value: np.ndarray) -> bool:
    """Whether a large tensor is one row over and over."""
    if value.nbytes < LEAST_BYTES or value.ndim < 2 or value.dtype.kind not in "biuf":
        return False
    row = value.reshape(-1, value.shape[-1])[0]
    if row.size < value.shape[-1] or value.size == row.size:
        return False
    rows = value.reshape(-1, row.size)
    return all(np.array_equal(r, row) for r in rows[:2]) and all(
        bool((chunk.reshape(-1, row.size) == row).all()) for chunk in _rows(rows)
    )


def _rows(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Whole rows, so many at a time."""
    if rows.shape[1] > 1 << 20:
        return iter(rows[i : i + 1] for i in range(len(rows)))
    step = max(1, (1 << 20) // rows.shape[1])
    return iter(rows[i : i + step] for i in range(0, len(rows), step))
