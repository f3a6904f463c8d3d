"""The numbers that stand for something in the tables of DLC files."""

from __future__ import annotations

import struct

from dlcc.compiler.network.network import Role

MODEL, PARAMETERS, METADATA = "model", "model.params", "dlc.metadata"  # entries of the archive

# Before each flatbuffer: a mark, the version of the layout, and nothing.
PREFIX = struct.Struct("<2sHHH")
MARK = b"\xd5\x0a"
MODEL_MARK, PARAMETERS_MARK, LONG_PARAMETERS_MARK = b"NETD", b"NETP", b"NR64"

UNDEFINED = 0x7FFFFFFF
DTYPES = {
    0x0008: "int8",
    0x0016: "int16",
    0x0032: "int32",
    0x0064: "int64",
    0x0108: "uint8",
    0x0116: "uint16",
    0x0132: "uint32",
    0x0164: "uint64",
    0x0216: "float16",
    0x0232: "float32",
    0x0508: "bool",
}
FLOAT32, UINT32, INT32, BOOL = 0x0232, 0x0132, 0x0032, 0x0508
QUANTISED = {
    0x0304: "int4",
    0x0308: "int8",
    0x0316: "int16",
    0x0332: "int32",
    0x0404: "uint4",
    0x0408: "uint8",
    0x0416: "uint16",
    0x0432: "uint32",
}
STRING = 0x0608
# What the tables have no code for is "undefined" in them; dlcc notes beside them what it is.
NAMES = DTYPES | QUANTISED | {STRING: "string", UNDEFINED: "undefined"}

ROLES: dict[int, Role] = {0: "input", 1: "output", 3: "intermediate", 4: "constant"}
OPEN = -1  # a dimension whose size is not fixed


def dtype_code(dtype: str, quantised: bool = False) -> int:
    """The code of a dtype, UNDEFINED for one that has none."""
    names = QUANTISED if quantised else DTYPES
    return next((code for code, name in names.items() if name == dtype), UNDEFINED)
