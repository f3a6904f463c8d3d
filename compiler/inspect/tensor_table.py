"""The tensors of a model, a container or a DLC, and what its constants hold: `info --tensors`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlcc.compiler.inspect.source import open_source
from dlcc.compiler.network.network import Dim, Network, Quantization, Role, Tensor

if TYPE_CHECKING:
    from dlcc.compiler.user_ops.load import OpsGiven

CHUNK = 1 << 20  # elements that are looked at at once: a constant may be larger than the memory
FIRST = 4


@dataclass(frozen=True, slots=True)
class TensorRow:
    """A tensor.

    bits, scale, offset, least, greatest: of its quantisation: real = scale * (stored + offset),
    from least to greatest.   min, max, mean, values: of a constant, the first few in C order; of
    stored integers as the real numbers that they stand for. None where the file does not hold it,
    or where they are no real numbers.
    """

    name: str
    role: Role
    dtype: str
    shape: tuple[Dim, ...] | None
    bits: int | None
    scale: float | None
    offset: int | None
    least: float | None
    greatest: float | None
    min: float | None
    max: float | None
    mean: float | None
    values: tuple[float, ...]


def tensors(
    path: str | Path,
    *,
    signature: str | None = None,
    tag: str | None = None,
    ops: OpsGiven = (),
) -> tuple[TensorRow, ...]:
    """A row for each tensor, as for `layers`."""
    return tensor_rows(open_source(path, signature, tag, ops=ops).network())


def tensor_rows(network: Network) -> tuple[TensorRow, ...]:
    """The rows of a network, in its order."""
    return tuple(map(_row, network.tensors.values()))


def real(stored: np.ndarray, quantization: Quantization | None) -> np.ndarray:
    """The numbers in float64 that stored ones stand for; of complex ones complex128."""
    wide = stored.astype(np.complex128 if stored.dtype.kind == "c" else np.float64)
    if quantization is None:
        return wide
    return quantization.scale * (wide + quantization.offset)


def chunks(value: np.ndarray) -> Iterator[np.ndarray]:
    """A tensor's elements in C order, so many at a time; no copy of one that lies so."""
    flat = value.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        yield flat[start : start + CHUNK]


def _row(tensor: Tensor) -> TensorRow:
    found = tensor.quantization
    low, high, mean, values = _statistics(tensor)
    return TensorRow(
        name=tensor.name,
        role=tensor.role,
        dtype=tensor.dtype,
        shape=tensor.shape,
        bits=found.bits if found else None,
        scale=found.scale if found else None,
        offset=found.offset if found else None,
        least=found.minimum if found else None,
        greatest=found.maximum if found else None,
        min=low,
        max=high,
        mean=mean,
        values=values,
    )


def _statistics(
    tensor: Tensor,
) -> tuple[float | None, float | None, float | None, tuple[float, ...]]:
    """min, max, mean and the first values."""
    value = tensor.value
    if value is None or value.size == 0 or value.dtype.kind in "cOSU":
        return None, None, None, ()
    low, high, total = np.inf, -np.inf, 0.0
    for chunk in chunks(value):
        wide = real(chunk, tensor.quantization)
        # a NaN anywhere is told, as it would spoil every result
        low, high = float(np.minimum(low, wide.min())), float(np.maximum(high, wide.max()))
        total += float(wide.sum())
    first = real(next(chunks(value))[:FIRST], tensor.quantization)
    return low, high, total / value.size, tuple(float(f"{v:.6g}") for v in first.tolist())
