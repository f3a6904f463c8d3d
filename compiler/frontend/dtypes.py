"""TensorFlow's data types as NumPy's, and a TensorProto as an array."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

_NUMPY: dict[int, Any] = {
    1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 5: np.int16, 6: np.int8, 7: np.object_,
    8: np.complex64, 9: np.int64, 10: np.bool_, 11: np.int8, 12: np.uint8, 13: np.int32,
    14: ml_dtypes.bfloat16, 15: np.int16, 16: np.uint16, 17: np.uint16, 18: np.complex128,
    19: np.float16, 22: np.uint32, 23: np.uint64,
}  # fmt: skip
# enum value -> (repeated field, dtype of its elements)
_FIELDS: dict[int, str] = {
    1: "float_val", 2: "double_val", 3: "int_val", 4: "int_val", 5: "int_val", 6: "int_val",
    7: "string_val", 8: "scomplex_val", 9: "int64_val", 10: "bool_val", 11: "int_val",
    12: "int_val", 13: "int_val", 14: "half_val", 15: "int_val", 16: "int_val", 17: "int_val",
    18: "dcomplex_val", 19: "half_val", 22: "uint32_val", 23: "uint64_val",
}  # fmt: skip
_REF_OFFSET = 100  # DT_FLOAT_REF and its like: references from TF1 variables

MAX_ELEMENTS = 1 << 31
# a few bytes in the file may ask for no more than this by repetition
MAX_REPEATED = 1 << 28


def dtype_name(enum: int) -> str:
    """NumPy's name of a DataType enum value ("float32", "bfloat16"); raises ValueError.

    Resources, variants and strings have the names "resource", "variant" and "string".
    """
    enum = enum - _REF_OFFSET if enum > _REF_OFFSET else enum
    special = {7: "string", 20: "resource", 21: "variant"}
    if enum in special:
        return special[enum]
    if enum not in _NUMPY:
        raise ValueError(f"data type {enum} is not one of TensorFlow's numeric types")
    return str(np.dtype(_NUMPY[enum]).name)


def dtype_enum(name: str) -> int:
    """The DataType enum value of a plain dtype by NumPy's name; raises ValueError."""
    for enum, dtype in _NUMPY.items():
        if np.dtype(dtype).name == name:
            return enum
    raise ValueError(f"TensorFlow has no data type {name}")


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype of a name; raises TypeError for strings, resources and variants."""
    return np.dtype(getattr(ml_dtypes, name)) if name == "bfloat16" else np.dtype(name)


def shape_of(proto: Any) -> tuple[int | None, ...] | None:
    """A TensorShapeProto as a tuple; None for an unknown dimension, or for an unknown rank."""
    if proto.unknown_rank:
        return None
    return tuple(None if d.size < 0 else int(d.size) for d in proto.dim)


def array_of(proto: Any) -> np.ndarray:
    """A TensorProto as an array; raises ValueError where shape, dtype and content do not agree.

    A repeated field shorter than the shape asks for repeats its last value
    (tensorflow/core/framework/tensor.proto, comment of tensor_content).
    """
    enum = proto.dtype - _REF_OFFSET if proto.dtype > _REF_OFFSET else proto.dtype
    if enum not in _NUMPY:
        raise ValueError(f"a constant of data type {enum} has no array")
    dtype = np.dtype(_NUMPY[enum])
    shape = shape_of(proto.tensor_shape)
    if shape is None or None in shape:
        raise ValueError("a constant of unknown shape")
    dims = tuple(int(d or 0) for d in shape)
    count = math.prod(dims)
    if count > MAX_ELEMENTS:
        raise ValueError(f"a constant of {count} elements")
    if proto.tensor_content and dtype != np.object_:
        if len(proto.tensor_content) != count * dtype.itemsize:
            raise ValueError(
                f"{len(proto.tensor_content)} bytes for {count} elements of {dtype.name}"
            )
        return np.frombuffer(proto.tensor_content, dtype.newbyteorder("<")).reshape(dims)
    return _from_values(getattr(proto, _FIELDS[enum]), dtype, count).reshape(dims)


def _from_values(values: Any, dtype: np.dtype[Any], count: int) -> np.ndarray:
    if count > max(MAX_REPEATED, len(values)):
        raise ValueError(f"{len(values)} values repeated to {count:,} elements")
    if dtype == np.object_:
        flat = np.empty(len(values), object)
        flat[:] = list(values)
    elif dtype.kind == "c":
        half = np.float32 if dtype == np.complex64 else np.float64
        flat = np.array(values, half).view(dtype)
    elif dtype.name in ("float16", "bfloat16"):
        flat = np.array(values, np.uint16).view(dtype)
    else:
        flat = np.array(values).astype(dtype)
    if flat.size == 0:
        return np.full(count, b"" if dtype == np.object_ else 0, dtype)
    if flat.size > count:
        raise ValueError(f"{flat.size} values for {count} elements")
    return np.concatenate([flat, np.full(count - flat.size, flat[-1], dtype)])
