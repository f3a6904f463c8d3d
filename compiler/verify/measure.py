"""How far a tensor is from what is expected."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BLOCK = 1 << 20  # elements that are widened at a time


@dataclass(frozen=True, slots=True)
class Error:
    """A tensor against its reference.

    max_abs: largest |y - expected|; infinite where one of them is no number and the other is.
    max_rel: that over the largest |expected| of the tensor.
    snr_db: 10 log10(sum expected² / sum (y - expected)²), infinite where all is equal.
    cosine: of the angle between both tensors; None where a value is not finite.
    beyond: elements with |y - expected| > atol + rtol * the largest |expected|; NaN equals NaN.
    ok: whether there are none, and the shapes are the same.   note: what the figures do not tell.
    """

    max_abs: float
    max_rel: float
    snr_db: float
    cosine: float | None
    beyond: int
    ok: bool
    note: str = ""


def error_of(found: np.ndarray, wanted: np.ndarray, rtol: float, atol: float) -> Error:
    """Compare a tensor with its reference.

    The tolerance is relative to the largest value of the tensor rather than to each: sums of large
    terms that cancel are near zero, and their error is not.
    """
    if found.shape != wanted.shape:
        note = f"shape {_shown(found.shape)}, expected {_shown(wanted.shape)}"
        return Error(math.inf, math.inf, -math.inf, None, max(found.size, 1), ok=False, note=note)
    y, e = found.reshape(-1), wanted.reshape(-1)
    largest = _largest(e)
    sums = _Sums(atol + rtol * largest)
    for start in range(0, y.size, BLOCK):
        sums.add(_wide(y[start : start + BLOCK]), _wide(e[start : start + BLOCK]))
    far = sums.far
    return Error(
        max_abs=far,
        max_rel=far / largest if largest else (0.0 if far == 0 else math.inf),
        snr_db=_snr_db(sums.signal, sums.noise),
        cosine=sums.cosine(),
        beyond=sums.beyond,
        ok=sums.beyond == 0,
        note=_note(sums, found.dtype, wanted.dtype),
    )


class _Sums:
    """What all figures follow from, block by block."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self.far = self.signal = self.noise = 0.0
        self._dot = self._own = 0.0
        self.beyond = self.not_numbers = 0
        self.finite = True

    def add(self, y: np.ndarray, e: np.ndarray) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            same = (y == e) | (np.isnan(y) & np.isnan(e))
            apart = np.where(same, 0.0, np.abs(y - e))
        both = np.isfinite(y) & np.isfinite(e)
        apart[~same & ~both] = math.inf
        self.not_numbers += int(np.count_nonzero(np.isnan(y) != np.isnan(e)))
        self.finite &= bool(both.all())
        self.far = max(self.far, float(apart.max(initial=0.0)))
        self.beyond += int(np.count_nonzero(apart > self._tolerance))
        self.noise += float(np.square(apart).sum())
        y, e = np.where(both, y, 0.0), np.where(both, e, 0.0)
        self.signal += float(np.square(np.abs(e)).sum())
        self._own += float(np.square(np.abs(y)).sum())
        self._dot += float(np.real(np.vdot(e, y)))

    def cosine(self) -> float | None:
        if not self.finite:
            return None
        if not self.signal or not self._own:
            return 1.0 if self.signal == self._own else 0.0
        return min(1.0, self._dot / math.sqrt(self.signal) / math.sqrt(self._own))


def _largest(e: np.ndarray) -> float:
    """The largest finite |value|."""
    largest = 0.0
    for start in range(0, e.size, BLOCK):
        size = np.abs(_wide(e[start : start + BLOCK]))
        largest = max(largest, float(size[np.isfinite(size)].max(initial=0.0)))
    return largest


def _snr_db(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 and noise < math.inf else -math.inf


def _note(sums: _Sums, found: np.dtype, wanted: np.dtype) -> str:
    notes = []
    if sums.not_numbers:
        plural = "s are" if sums.not_numbers > 1 else " is"
        notes.append(f"{sums.not_numbers} value{plural} NaN on one side alone")
    if found.name != wanted.name:
        notes.append(f"{found.name}, expected {wanted.name}")
    return "; ".join(notes)


def _shown(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _wide(array: np.ndarray) -> np.ndarray:
    """float64, or complex128: wide enough to subtract without a further error."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
