"""Dimensions: sizes, or expressions over those left open."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from tvm import tirx
from tvm_ffi import structural_equal

# an int, or a symbolic dimension: an integer expression over the dimensions left open
Dim: TypeAlias = int | Any


def static_int(dim: Any) -> int | None:
    """The int that a dimension is, or None where it is symbolic."""
    if isinstance(dim, tirx.IntImm):
        return int(dim.value)
    return int(dim) if isinstance(dim, int | np.integer) else None


def same_dim(a: Dim, b: Dim) -> bool:
    """Whether two dimensions are equal whatever the open ones turn out to be."""
    if isinstance(a, int) or isinstance(b, int):
        return isinstance(a, int) and isinstance(b, int) and a == b
    return bool(structural_equal(a, b))


def smaller_dim(a: Dim, b: Dim) -> Dim:
    """The smaller of two dimensions."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return a if same_dim(a, b) else tirx.min(a, b)


def larger_dim(a: Dim, b: Dim) -> Dim:
    """The larger of two dimensions."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return a if same_dim(a, b) else tirx.max(a, b)
