"""Lays out a flatbuffer from front to back, with its large vectors behind all tables.

Offsets of a flatbuffer lead forward only. So a table is placed before what it refers to, and the
large vectors last: all offsets are then known from the sizes of the vectors alone, and their
content can go to a file one after another, straight from where it lies.
"""

from __future__ import annotations

import struct
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Scalar:
    """form: that of `struct`, one of b, B, i, I, f."""

    form: str
    value: int | float


@dataclass(frozen=True, slots=True)
class Vector:
    """Small items, as they stand in the file."""

    content: bytes
    item_bytes: int


@dataclass(frozen=True, slots=True)
class Blob:
    """A large vector of bytes that lies behind the tables. number: which; tables may share one.
    far: whether its offset and its size have 64 bits."""

    number: int
    far: bool = False


Field: TypeAlias = "Scalar | Vector | Blob | str | Table | Sequence[Table] | Sequence[str]"
Table: TypeAlias = Mapping[int, Field]


def size_of(field: Field) -> int:
    """Bytes that a field takes in its table: its value, or an offset."""
    if isinstance(field, Scalar):
        return struct.calcsize(f"<{field.form}")
    return 8 if isinstance(field, Blob) and field.far else 4


class Layout:
    """A flatbuffer whose blobs are not placed yet.

    prefix: bytes that stand before it in its entry.
    content: prefix and tables.   blobs: number -> the places of the offsets that lead to it.
    """

    def __init__(self, root: Table, identifier: bytes, prefix: bytes = b"") -> None:
        self.content = bytearray(prefix + bytes(4) + identifier)
        self.blobs: dict[int, list[int]] = defaultdict(list)
        self._slots: dict[bytes, int] = {}
        self._waiting: deque[tuple[int, Field]] = deque([(len(prefix), root)])
        while self._waiting:
            self._place(*self._waiting.popleft())

    def lead(self, at: int, to: int) -> None:
        """Let the offset at a place lead to another."""
        struct.pack_into("<I", self.content, at, to - at)

    def lead_far(self, at: int, to: int) -> None:
        struct.pack_into("<Q", self.content, at, to - at)

    def _place(self, at: int, field: Field) -> None:
        """Add what an offset leads to."""
        if isinstance(field, Mapping):
            self.lead(at, self._add_table(field))
        elif isinstance(field, str):
            self.lead(at, self._add_vector(field.encode(), 1))
            self.content.append(0)
        elif isinstance(field, Vector):
            self.lead(at, self._add_vector(field.content, field.item_bytes))
        else:
            assert isinstance(field, Sequence)
            start = self._add_vector(bytes(4 * len(field)), 4)
            self.lead(at, start)
            self._waiting.extend((start + 4 + 4 * i, item) for i, item in enumerate(field))

    def _align(self, size: int) -> None:
        self.content += bytes(-len(self.content) % size)

    def _add_vector(self, content: bytes, item_bytes: int) -> int:
        self._align(4)
        start = len(self.content)
        self.content += struct.pack("<I", len(content) // item_bytes) + content
        return start

    def _add_table(self, fields: Table) -> int:
        """Slots, unless equal ones stand somewhere, and the fields, the widest first."""
        order = sorted(fields, key=lambda slot: (-size_of(fields[slot]), slot))
        places, end = {}, 4
        for slot in order:
            places[slot] = end
            end += size_of(fields[slot])
        count = max(fields, default=-1) + 1
        slots = struct.pack(f"<{count + 2}H", 4 + 2 * count, end, *(
            places.get(slot, 0) for slot in range(count)
        ))  # fmt: skip
        if slots not in self._slots:
            self._align(2)
            self._slots[slots] = len(self.content)
            self.content += slots
        self._align(4)
        start = len(self.content)
        self.content += struct.pack("<i", start - self._slots[slots]) + bytes(end - 4)
        for slot, field in fields.items():
            self._put(start + places[slot], field)
        return start

    def _put(self, at: int, field: Field) -> None:
        if isinstance(field, Scalar):
            struct.pack_into(f"<{field.form}", self.content, at, field.value)
        elif isinstance(field, Blob):
            self.blobs[field.number].append(at)
        else:
            self._waiting.append((at, field))
