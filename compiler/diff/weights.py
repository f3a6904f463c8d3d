"""Two constants, compared a piece at a time, so that neither need be in memory as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from dlcc.compiler.inspect.tensor_table import chunks, real
from dlcc.compiler.network.network import Quantization, Tensor


@dataclass(frozen=True, slots=True)
class WeightDifference:
    """beyond: elements with |a - b| > atol + rtol * |a|; NaN equals NaN.
    cosine: of the angle between both as vectors, None where one is all zero."""

    max_absolute: float
    mean_absolute: float
    cosine: float | None
    beyond: int


@dataclass(slots=True)
class _Sums:
    most: float = 0.0
    total: float = 0.0
    product: float = 0.0
    a_squares: float = 0.0
    b_squares: float = 0.0
    beyond: int = 0

    def add(self, a: np.ndarray, b: np.ndarray, rtol: float, atol: float) -> None:
        """Take up a piece of both."""
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.where(same, 0.0, np.abs(a - b))
            near = np.isfinite(a) & (apart <= atol + rtol * np.abs(a))
            self.beyond += int(np.count_nonzero(~same & ~near))
            self.most = float(np.maximum(self.most, apart.max()))
            self.total += float(apart.sum())
            self.product += float(np.vdot(a, b).real)
            self.a_squares += float(np.vdot(a, a).real)
            self.b_squares += float(np.vdot(b, b).real)


def compare(a: Tensor, b: Tensor, rtol: float = 0.0, atol: float = 0.0) -> WeightDifference | None:
    """How two constants of one shape differ; None where they are equal in every bit.

    Both must have values. Stored integers are compared as the numbers that they stand for."""
    assert a.value is not None
    assert b.value is not None
    if _same_storage(a.quantization, b.quantization) and _same_bits(a.value, b.value):
        return None
    sums = _Sums()
    for x, y in zip(chunks(a.value), chunks(b.value), strict=True):
        sums.add(real(x, a.quantization), real(y, b.quantization), rtol, atol)
    length = sqrt(sums.a_squares) * sqrt(sums.b_squares)
    return WeightDifference(
        max_absolute=sums.most,
        mean_absolute=sums.total / max(1, a.value.size),
        cosine=sums.product / length if length else None,
        beyond=sums.beyond,
    )


def _same_storage(a: Quantization | None, b: Quantization | None) -> bool:
    if a is None or b is None:
        return a is b
    return (a.scale, a.offset) == (b.scale, b.offset)


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype != b.dtype:
        return False
    if a.ctypes.data == b.ctypes.data:
        return True
    pairs = zip(chunks(a), chunks(b), strict=True)
    return all(np.array_equal(x.view(np.uint8), y.view(np.uint8)) for x, y in pairs)
