"""The numbers of a constant, on the memory of the file."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dlcc.compiler.container.checked import MAX_ELEMENTS, MAX_RANK
from dlcc.compiler.container.tensors import DTYPES, tensor_view
from dlcc.compiler.dlc.flat import Table


def checked_shape(table: Table, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """A shape from a file; raises BadContainer where no tensor can have it."""
    if shape is None:
        return None
    if len(shape) > MAX_RANK or math.prod(max(1, abs(d)) for d in shape) > MAX_ELEMENTS:
        raise table.damaged("no tensor has such a shape")
    return shape


def value_of(
    table: Table, content: memoryview | None, dtype: str, shape: Sequence[int | str] | None
) -> np.ndarray | None:
    """A read-only tensor on these bytes; None where there are none, or none of such a dtype.

    Raises BadContainer where their number is another than dtype and shape ask for."""
    sizes = [d for d in shape or () if isinstance(d, int)]
    if content is None or dtype not in DTYPES or shape is None or len(sizes) < len(shape):
        return None
    if _is_packed(len(content), dtype, math.prod(sizes)):
        return None
    try:
        return tensor_view(content, dtype, tuple(sizes))
    except ValueError as error:
        raise table.damaged(str(error)) from error


def _is_packed(size: int, dtype: str, count: int) -> bool:
    """Whether two values of 4 bits share a byte, which NumPy has no view for."""
    return dtype in ("int4", "uint4") and size != count and size == (count + 1) // 2
