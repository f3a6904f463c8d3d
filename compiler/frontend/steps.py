"""The integers of a dtype as steps of a range of real numbers: TF1's quantised tensors.

Source: tensorflow/core/kernels/quantization_utils.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from dlcc.compiler.frontend.loops import wide


def real(value: Any, dtype: str = "float32") -> Any:
    """A number or an expression as a real number."""
    if isinstance(value, int | float):
        return tirx.const(float(value), dtype)
    return tirx.Cast(dtype, value)


def away(x: Any) -> Any:
    """Rounded to the nearest integer, halves away from zero, as C's round."""
    whole = tirx.trunc(x)
    one, none = tirx.const(1, x.ty.dtype), tirx.const(0, x.ty.dtype)
    step = tirx.Select(x < none, -one, one)
    return whole + tirx.Select(tirx.abs(x - whole) >= tirx.const(0.5, x.ty.dtype), step, none)


@dataclass(frozen=True, slots=True)
class Steps:
    """The integers of a dtype as steps of a range.

    TensorFlow has two ways from one to the other, which round differently: functions of one
    number, in double precision, and those for whole tensors, in single precision.
    """

    dtype: str

    @property
    def low(self) -> int:
        return int(np.iinfo(self.dtype).min)

    @property
    def high(self) -> int:
        return int(np.iinfo(self.dtype).max)

    @property
    def count(self) -> int:
        return self.high - self.low + 1

    def zero(self, low: float, high: float) -> int:
        """`unbounded` of 0 for a range (two numbers of float32) that is known."""
        if low == high:
            return self.low
        span = float(np.float32(high) - np.float32(low)) * (self.count / (self.count - 1.0))
        first = float(np.float32(low)) * (self.count / span)
        whole = math.trunc(first)
        nearest = whole + int(math.copysign(abs(first - whole) >= 0.5, first))
        return self.low - nearest

    def unbounded(self, x: Any, low: Any, high: Any) -> Any:
        """The integer (int64) of a real number, also outside: FloatToQuantizedUnclamped."""
        span = real(high - low, "float64") * real(self.count / (self.count - 1.0), "float64")
        scale = real(self.count, "float64") / span
        first, place = (away(real(v, "float64") * scale) for v in (low, x))
        step = wide(place - first) + tirx.const(self.low, "int64")
        return tirx.if_then_else(low == high, wide(self.low), step)

    def of_real(self, x: Any, low: Any, high: Any) -> Any:
        """The integer (int64) of a real number: FloatToQuantized."""
        return self.bounded(self.unbounded(x, low, high))

    def bounded(self, step: Any) -> Any:
        """The nearest integer that the dtype has."""
        return tirx.min(tirx.max(step, wide(self.low)), wide(self.high))

    def to_real(self, x: Any, low: Any, high: Any) -> Any:
        """The real number of an integer: QuantizedToFloat."""
        span = real(high - low, "float64") * real(self.count / (self.count - 1.0), "float64")
        scale = span / real(self.count, "float64")
        narrow = real(scale)
        first = away(low / narrow) * narrow
        offset = real(x, "float64") - real(self.low, "float64")
        result = real(real(first, "float64") + offset * scale)
        return tirx.if_then_else(low == high, low, result)

    def of_tensor(self, x: Any, low: Any, high: Any) -> Any:
        """The integer (float32) of a real number: QUANTIZE_WITH_EIGEN."""
        scale = real(real(self.count - 1.0, "float64") / real(high - low, "float64"))
        scale = tirx.if_then_else(high == low, real(0), scale)
        step = away(x * scale) - (away(low * scale) - real(self.low))
        top = min(float(np.float32(self.high)), 2147483520.0)
        return tirx.min(tirx.max(step, real(self.low)), real(top))

    def to_tensor(self, x: Any, low: Any, high: Any) -> Any:
        """The real number of an integer: DEQUANTIZE_WITH_EIGEN."""
        scale = real(real(high - low, "float64") / real(self.count - 1.0, "float64"))
        first = tirx.if_then_else(high == low, low, away(low / scale) * scale)
        return (first - real(self.low) * scale) + real(x) * scale
