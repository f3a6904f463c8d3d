"""Nodes computed at compile time, where all that they read is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.extents import MAX_FOLDED_BYTES, spread_fits
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import Row
from dlcc.compiler.frontend.values import Known, Value, known


def as_list(results: Any) -> Sequence[Any]:
    return results if isinstance(results, list | tuple) else [results]


def fold(g: Emitter, node: Node, row: Row) -> list[Known] | None:
    """The node's outputs, computed now, when everything it reads is known; else None."""
    if row.fold is None or not node.inputs:
        return None
    values = [g.value(node, i) for i in range(len(node.inputs))]
    if not all(isinstance(v, Known) and (row.symbolic or not v.symbolic) for v in values):
        return None
    arrays = [v.array for v in values if isinstance(v, Known)]
    if not spread_fits(arrays):
        return None
    with np.errstate(all="ignore"):
        results = row.fold(node, *arrays)
    if results is None:
        return None
    folded = [_known_like(r, values) for r in as_list(results)]
    too_large = sum(k.array.nbytes for k in folded) > MAX_FOLDED_BYTES
    grown = sum(k.array.size for k in folded) > sum(a.size for a in arrays)
    return None if too_large and grown else folded


def _known_like(result: Any, values: Sequence[Value]) -> Known:
    if isinstance(result, Known):
        return result
    array = np.empty((), object)
    if isinstance(result, np.ndarray | np.generic | int | float):
        array = np.asarray(result)
    else:
        array[()] = result  # NumPy gives the element of a scalar array bare
    if array.dtype != object:
        return known(array)
    dtype = next(v.dtype for v in values if isinstance(v, Known) and v.symbolic)
    return known(array, dtype)
