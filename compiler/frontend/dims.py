"""Comparing dimensions, where one may be open."""

from __future__ import annotations

from tvm import tirx

from dlcc.compiler.frontend.emitter import Dim, same_dim


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
