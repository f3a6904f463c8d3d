"""An ELF object that holds nothing but bytes: a model's parameters.

Written directly: an assembler would read and copy all of them once more, and compilers that cache
their results do not notice when a file named in `.incbin` changes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dlcc.targets.aot.program import ALIGN_BYTES, aligned

ET_REL, EV_CURRENT = 1, 1
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB = 1, 2, 3
SHF_ALLOC = 2
GLOBAL_OBJECT = (1 << 4) | 1  # STB_GLOBAL, STT_OBJECT
NAMES = b"\0.rodata\0.symtab\0.strtab\0"


@dataclass(frozen=True, slots=True)
class Machine:
    """What differs among ELF files: e_machine, the width of addresses, and with it layouts."""

    number: int
    bits: int

    @property
    def header(self) -> struct.Struct:
        return struct.Struct("<16sHHIIIIIHHHHHH" if self.bits == 32 else "<16sHHIQQQIHHHHHH")

    @property
    def section(self) -> struct.Struct:
        return struct.Struct("<10I" if self.bits == 32 else "<IIQQQQIIQQ")

    @property
    def symbol_bytes(self) -> int:
        return 16 if self.bits == 32 else 24

    def symbol(self, name: int, size_bytes: int) -> bytes:
        """Symbol in the first section, from its start."""
        if self.bits == 32:
            return struct.pack("<IIIBBH", name, 0, size_bytes, GLOBAL_OBJECT, 0, 1)
        return struct.pack("<IBBHQQ", name, GLOBAL_OBJECT, 0, 1, 0, size_bytes)


MACHINES = {"hexagon": Machine(164, 32), "x86_64": Machine(62, 64), "aarch64": Machine(183, 64)}


def blob(content: bytes, symbol: str, machine: str, flags: int = 0) -> bytes:
    """A relocatable little-endian object: `symbol` in .rodata, aligned to 128 bytes.

    machine: a key of MACHINES.   flags: e_flags, which a linker compares among its objects.
    Source of the layout: System V ABI, chapter 4.
    """
    elf = MACHINES[machine]
    content = content or bytes(ALIGN_BYTES)
    data_at = aligned(elf.header.size)
    symbols_at = data_at + -(-len(content) // 8) * 8
    symbols = bytes(elf.symbol_bytes) + elf.symbol(len(NAMES), len(content))
    strings_at = symbols_at + len(symbols)
    strings = NAMES + symbol.encode() + b"\0"
    table_at = -(-(strings_at + len(strings)) // 8) * 8
    sections = [
        (b".rodata", SHT_PROGBITS, SHF_ALLOC, data_at, len(content), 0, 0, ALIGN_BYTES, 0),
        (b".symtab", SHT_SYMTAB, 0, symbols_at, len(symbols), 3, 1, 8, elf.symbol_bytes),
        (b".strtab", SHT_STRTAB, 0, strings_at, len(strings), 0, 0, 1, 0),
    ]
    table = bytes(elf.section.size) + b"".join(
        elf.section.pack(NAMES.index(name), kind, own, 0, *rest)
        for name, kind, own, *rest in sections
    )
    identity = b"\x7fELF" + bytes([1 if elf.bits == 32 else 2, 1, 1]) + bytes(9)
    header = elf.header.pack(
        *(identity, ET_REL, elf.number, EV_CURRENT, 0, 0, table_at, flags, elf.header.size),
        *(0, 0, elf.section.size, len(sections) + 1, 3),
    )
    out = bytearray(table_at)
    for at, part in ((0, header), (data_at, content), (symbols_at, symbols), (strings_at, strings)):
        out[at : at + len(part)] = part
    return bytes(out) + table
