"""What the tensors of a graph are while it is translated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from tvm import relax

from dlcc.compiler.frontend.dims import Dim, static_int


@dataclass(frozen=True, slots=True)
class Known:
    """A tensor known at compile time.

    array: its numbers, or an object array whose elements are int or symbolic dimensions.
    dtype: NumPy's name of the dtype it has in TensorFlow.
    """

    array: np.ndarray
    dtype: str

    @property
    def symbolic(self) -> bool:
        return self.array.dtype == object and self.dtype != "string"


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex tensor as two real ones of a shape: TVM has no complex dtype."""

    real: relax.Expr
    imag: relax.Expr


@dataclass(frozen=True, slots=True)
class ListValue:
    """A TensorList or TensorArray whose elements have one shape.

    rows: (size, *element), or None before the first element is there: then all are zero.
    element: shape of an element, None where it is not known; so may each of its dimensions be.
    grows: whether writing behind the end makes the list longer.
    """

    size: Dim
    element: tuple[Dim | None, ...] | None
    dtype: str
    rows: relax.Expr | None = None
    grows: bool = False


Value: TypeAlias = "relax.Expr | Known | Complex | ListValue"


def known(array: Any, dtype: str | None = None) -> Known:
    """A compile-time value; an object array of plain ints becomes an array of numbers."""
    array = np.asarray(array)
    if array.dtype == object and dtype not in (None, "string"):
        flat = [static_int(v) for v in array.reshape(-1)]
        if all(v is not None for v in flat):
            array = np.array(flat, dtype).reshape(array.shape)
    return Known(array, dtype or array.dtype.name)


def is_complex(value: Value) -> bool:
    return isinstance(value, Complex) or (
        isinstance(value, Known) and value.array.dtype.kind == "c"
    )


def part_of(value: Value, part: str) -> Value:
    """The "real" or "imag" part of a complex value; any other value itself."""
    if isinstance(value, Complex):
        return value.real if part == "real" else value.imag
    if isinstance(value, Known) and is_complex(value):
        return known(np.ascontiguousarray(getattr(value.array, part)))
    return value
