"""What the numbers of a constant are like: range, mean, spread, zeros and a histogram."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dlcc.compiler.network import Quantization

BINS = 32
CHUNK = 1 << 20  # elements at a time: a constant may be mapped from a file larger than the memory


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the finite numbers; `not_finite` counts the others.   zeros: their share, 0 to 1.

    histogram: counts in bins of one width from minimum to maximum."""

    elements: int
    not_finite: int
    minimum: float
    maximum: float
    mean: float
    deviation: float
    zeros: float
    histogram: tuple[int, ...]


def statistics(
    value: np.ndarray, quantization: Quantization | None = None, bins: int = BINS
) -> Statistics | None:
    """Of an array of numbers, None of anything else or of none; stored integers that stand for
    numbers are counted as those."""
    flat = value.reshape(-1)
    if value.size == 0 or not _is_number(value.dtype):
        return None
    finite, total, zeros = 0, 0.0, 0
    low, high = math.inf, -math.inf
    for part in _parts(flat, quantization):
        if part.size:
            finite += part.size
            total += float(part.sum())
            zeros += part.size - int(np.count_nonzero(part))
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    if not finite:
        return None
    mean = total / finite
    square, counts = 0.0, np.zeros(bins, np.int64)
    for part in _parts(flat, quantization):
        with np.errstate(over="ignore"):  # then the deviation is not known
            square += float(np.square(part - mean).sum())
        counts += _binned(part, low, high, bins)
    return Statistics(
        elements=value.size,
        not_finite=value.size - finite,
        minimum=low,
        maximum=high,
        mean=mean,
        deviation=math.sqrt(square / finite),
        zeros=zeros / finite,
        histogram=tuple(map(int, counts)),
    )


def _binned(part: np.ndarray, low: float, high: float, bins: int) -> np.ndarray:
    """How many are in each bin. NumPy's own histogram refuses a range whose bins no float can tell
    apart, and one wider than the largest float."""
    width = high / 2 - low / 2
    places = (part / 2 - low / 2) / width * bins if width else np.full(part.size, bins // 2)
    return np.bincount(np.minimum(places.astype(np.int64), bins - 1), minlength=bins)


def _is_number(dtype: np.dtype) -> bool:
    """Integers, floats, booleans, and the small floats that NumPy knows by extensions only."""
    return dtype.kind in "biuf" or "float" in dtype.name


def _parts(flat: np.ndarray, quantization: Quantization | None) -> Iterator[np.ndarray]:
    """The finite numbers, as float64, a part at a time."""
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK].astype(np.float64)
        if quantization is not None:
            part = quantization.scale * (part + quantization.offset)
        yield part[np.isfinite(part)]
