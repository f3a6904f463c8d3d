"""An ELF object that holds nothing but bytes: a model's parameters.

Written directly: an assembler would read and copy all of them once more, and compilers that cache
their results do not notice when a file named in `.incbin` changes.
"""

from __future__ import annotations

import struct

from dlcc.targets.aot.program import ALIGN_BYTES, aligned

ET_REL, EV_CURRENT = 1, 1
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB = 1, 2, 3
SHF_ALLOC = 2
GLOBAL_OBJECT = (1 << 4) | 1  # STB_GLOBAL, STT_OBJECT
HEADER, SECTION, SYMBOL = struct.Struct("<16sHHIIIIIHHHHHH"), struct.Struct("<10I"), 16
MACHINES = {"hexagon": 164}  # EM_HEXAGON

NAMES = b"\0.rodata\0.symtab\0.strtab\0"


def blob(content: bytes, symbol: str, machine: str, flags: int) -> bytes:
    """A relocatable 32-bit little-endian object: `symbol` in .rodata, aligned to 128 bytes.

    machine: "hexagon".   flags: e_flags, which a linker compares among its objects.
    Source of the layout: System V ABI, chapter 4.
    """
    content = content or bytes(ALIGN_BYTES)
    data_at = aligned(HEADER.size)
    symtab_at = data_at + -(-len(content) // 4) * 4
    strings = NAMES + symbol.encode() + b"\0"
    symbols = bytes(SYMBOL) + struct.pack(
        "<IIIBBH", len(NAMES), 0, len(content), GLOBAL_OBJECT, 0, 1
    )
    strings_at = symtab_at + len(symbols)
    table_at = -(-(strings_at + len(strings)) // 4) * 4
    sections = (
        bytes(SECTION.size),
        SECTION.pack(
            NAMES.index(b".rodata"), SHT_PROGBITS, SHF_ALLOC, 0, data_at, len(content), 0, 0,
            ALIGN_BYTES, 0,
        ),
        SECTION.pack(
            NAMES.index(b".symtab"), SHT_SYMTAB, 0, 0, symtab_at, len(symbols), 3, 1, 4, SYMBOL
        ),
        SECTION.pack(
            NAMES.index(b".strtab"), SHT_STRTAB, 0, 0, strings_at, len(strings), 0, 0, 1, 0
        ),
    )  # fmt: skip
    identity = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = HEADER.pack(
        identity, ET_REL, MACHINES[machine], EV_CURRENT, 0, 0, table_at, flags, HEADER.size,
        0, 0, SECTION.size, len(sections), 3,
    )  # fmt: skip
    out = bytearray(table_at)
    out[: len(header)] = header
    out[data_at : data_at + len(content)] = content
    out[symtab_at : symtab_at + len(symbols)] = symbols
    out[strings_at : strings_at + len(strings)] = strings
    return bytes(out) + b"".join(sections)
