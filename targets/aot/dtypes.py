"""Dtypes of the elements of a program's inputs and outputs."""

from __future__ import annotations

NAMES = (
    *("float32", "float16", "bfloat16", "float64"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"),
)
# dtype -> its number in dlcc_aot.h, where float32 is DLCC_FLOAT32
CODES = {name: number for number, name in enumerate(NAMES)}
