"""What a shared library needs, read out of its ELF file: bare machines have no readelf."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from dlcc.targets.errors import ToolchainError

MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5
# Source: System V ABI, edition 4.1, chapters 4 and 5; ELF-64 Object File Format 1.5
FILE_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
DYNAMIC_ENTRY = struct.Struct("<qQ")


def needed(path: Path) -> list[str]:
    """Names of the libraries that a program or library asks for, in its order.

    Raises ToolchainError for what is no ELF file of a 64-bit little-endian machine."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise ToolchainError(f"{path} is no ELF file for this machine")
    try:
        return _needed(data)
    except (struct.error, ValueError, IndexError) as error:
        raise ToolchainError(f"{path} is damaged: {error}") from error


def _needed(data: bytes) -> list[str]:
    header = FILE_HEADER.unpack_from(data)
    start, size, count = header[4], header[8], header[9]
    segments = [PROGRAM_HEADER.unpack_from(data, start + i * size) for i in range(count)]
    dynamic = next((s for s in segments if s[0] == PT_DYNAMIC), None)
    if dynamic is None:
        return []  # linked statically
    names: list[int] = []
    strings = 0
    for at in range(dynamic[2], dynamic[2] + dynamic[5], DYNAMIC_ENTRY.size):
        tag, value = DYNAMIC_ENTRY.unpack_from(data, at)
        if tag == DT_NULL:
            break
        if tag == DT_NEEDED:
            names.append(value)
        elif tag == DT_STRTAB:
            strings = value
    # the table of strings is given by its address in memory
    base = next(
        s[2] + strings - s[3] for s in segments if s[0] == PT_LOAD and 0 <= strings - s[3] < s[5]
    )
    return [data[base + name : data.index(b"\0", base + name)].decode() for name in names]


def load_order(seeds: list[Path], available: Mapping[str, Path]) -> list[Path]:
    """Libraries in an order in which each comes after those that it needs, the seeds included.

    available: by name; what is not among them is the machine's own business."""
    order: list[Path] = []
    visited: set[Path] = set()

    def visit(path: Path) -> None:
        if path in visited:
            return
        visited.add(path)
        for name in needed(path):
            if name in available:
                visit(available[name])
        order.append(path)

    for seed in seeds:
        visit(seed)
    return order
