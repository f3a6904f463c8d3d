"""Tensors of TVM as NumPy's, on the same memory."""

from __future__ import annotations

from typing import Any

import numpy as np


def view_of(tensor: Any) -> np.ndarray:
    """A read-only view of a `tvm.runtime.Tensor` on this machine's CPU, which it keeps alive.

    A copy for dtypes that DLPack has and NumPy has not, such as bfloat16."""
    try:
        value = np.from_dlpack(tensor)
    except (RuntimeError, BufferError, TypeError):
        value = tensor.numpy()
    value.flags.writeable = False
    return value
