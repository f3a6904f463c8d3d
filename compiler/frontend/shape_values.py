"""Tensors whose elements are dimensions: known at compile time but for the open ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx


def shape_values(builder: relax.BlockBuilder, array: np.ndarray, dtype: str) -> relax.Expr:
    """Emit the kernel that writes the elements of an object array of int and dimensions."""
    shape = array.shape

    def fill(*dims: Any) -> te.Tensor:
        def element(*index: Any) -> Any:
            at = _flat_index(index, shape)
            result = tirx.Cast(dtype, dims[-1])
            for i, dim in reversed(list(enumerate(dims[:-1]))):
                result = tirx.Select(at == i, tirx.Cast(dtype, dim), result)
            return result

        return te.compute(shape, element, name="shape_values")

    flat = list(array.reshape(-1))
    dims = [d if isinstance(d, tirx.Expr) else tirx.IntImm("int64", int(d)) for d in flat]
    return builder.emit_te(fill, *dims, primfunc_name_hint="shape_values")


def _flat_index(index: Sequence[Any], shape: Sequence[int]) -> Any:
    at: Any = tirx.IntImm("int64", 0)
    for i, extent in zip(index, shape, strict=True):
        at = at * extent + i
    return at
