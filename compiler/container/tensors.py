"""Tensors as raw little-endian bytes, and the names of the dtypes that they may have."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np

from dlcc.compiler.errors import ModelError

DTYPES: dict[str, np.dtype] = {
    dtype.name: dtype
    for dtype in map(
        np.dtype,
        [
            np.bool_, np.int8, np.int16, np.int32, np.int64,
            np.uint8, np.uint16, np.uint32, np.uint64,
            np.float16, np.float32, np.float64, np.complex64, np.complex128,
            ml_dtypes.bfloat16, ml_dtypes.int2, ml_dtypes.int4, ml_dtypes.uint2, ml_dtypes.uint4,
            ml_dtypes.float4_e2m1fn, ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn,
            ml_dtypes.float8_e3m4, ml_dtypes.float8_e4m3, ml_dtypes.float8_e4m3b11fnuz,
            ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2,
            ml_dtypes.float8_e5m2fnuz, ml_dtypes.float8_e8m0fnu,
        ],
    )
}  # fmt: skip


def tensor_bytes(tensor: np.ndarray) -> memoryview:
    """Content of a tensor, C order, little-endian; dtypes narrower than a byte take one each.

    Shares memory with the tensor where that is laid out so already.
    Raises ModelError for a dtype that has no fixed size, such as strings.
    """
    if tensor.dtype.name not in DTYPES:
        raise ModelError(f"a container cannot hold a tensor of dtype {tensor.dtype}")
    plain = np.ascontiguousarray(tensor.astype(tensor.dtype.newbyteorder("<"), copy=False))
    return plain.reshape(-1).view(np.uint8).data


def tensor_view(content: memoryview, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """A read-only tensor on that memory; no copy. Raises ValueError where the sizes differ."""
    kind = DTYPES[dtype]
    if len(content) != kind.itemsize * math.prod(shape):
        raise ValueError(f"{len(content)} bytes are not a {dtype} tensor of shape {shape}")
    tensor = np.frombuffer(content, np.uint8).view(kind).reshape(shape)
    tensor.flags.writeable = False
    return tensor
