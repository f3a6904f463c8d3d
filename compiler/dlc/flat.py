"""Flatbuffers from files that nobody vouches for: every place is checked before it is read.

A table begins with the distance back to its list of slots; a slot holds where in the table its
field lies, 0 for a field left out. Texts, vectors and tables lie anywhere behind what refers to
them, so that a small file can refer to one place a million times over: what is read of a file is
counted, and bounded by its size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from dlcc.compiler.dlc.codes import MARK, PREFIX
from dlcc.compiler.errors import BadContainer

MAX_WORK = 256 << 20  # bytes of tables that are read at most
_SHARING = 4  # a sound file refers to few of its bytes more often than this
_U8, _U16, _U32, _U64 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<Q"))
_I32, _F32 = struct.Struct("<i"), struct.Struct("<f")
_TABLE_BYTES = 8
_VERSIONS = "files of version 3, which SNPE 1 writes, and 4 of SNPE 2 are read"

Bad = Callable[[str], BadContainer]


class Flat:
    """One flatbuffer.

    entry: what the errors call it.   bad: makes the error "FILE what" of the file that it is in.
    start: where it begins in `content`.
    """

    def __init__(self, content: memoryview, entry: str, bad: Bad, start: int = 0) -> None:
        self.content = content[start:]
        self.entry = entry
        self.bad = bad
        self._left = min(_SHARING * len(self.content) + 65536, MAX_WORK)

    def damaged(self, at: int, what: str) -> BadContainer:
        """The error for what stands at a byte."""
        return self.bad(f"has a damaged {self.entry!r}: {what} (byte {at})")

    @property
    def identifier(self) -> bytes:
        """The four letters that say what it holds; fewer where it is too short for them."""
        return bytes(self.content[4:8])

    def root(self) -> Table:
        return Table(self, self.follow(0))

    def unsigned(self, at: int, form: struct.Struct = _U32) -> int:
        self._require(at, form.size)
        return int(form.unpack_from(self.content, at)[0])

    def signed(self, at: int) -> int:
        self._require(at, 4)
        return int(_I32.unpack_from(self.content, at)[0])

    def real(self, at: int) -> float:
        self._require(at, 4)
        return float(_F32.unpack_from(self.content, at)[0])

    def follow(self, at: int) -> int:
        """The place that an offset leads to."""
        return at + self.unsigned(at)

    def vector(self, at: int, item_bytes: int) -> tuple[int, int]:
        """Where the items of a vector begin, and their number."""
        start = self.follow(at)
        count = self.unsigned(start)
        self._require(start + 4, count * item_bytes)
        return start + 4, count

    def spend(self, size: int) -> None:
        """Count bytes that are about to be read."""
        self._left -= size
        if self._left < 0:
            raise self.bad(
                f"has a damaged {self.entry!r}: its tables refer to each other too often"
            )

    def _require(self, at: int, size: int) -> None:
        if not 0 <= at <= len(self.content) - size:
            raise self.damaged(at, "it leads outside of the entry")


class Table:
    """One table. `None` or the default for a field that it leaves out."""

    __slots__ = ("_fields", "_size", "at", "flat")

    def __init__(self, flat: Flat, at: int) -> None:
        flat.spend(_TABLE_BYTES)
        self.flat = flat
        self.at = at
        self._fields = at - flat.signed(at)
        self._size = flat.unsigned(self._fields, _U16)
        if self._size < 4 or self._size % 2:
            raise flat.damaged(self._fields, "no table has such slots")

    def place(self, slot: int) -> int | None:
        """Where the field of a slot lies."""
        if 4 + 2 * slot >= self._size:
            return None
        distance = self.flat.unsigned(self._fields + 4 + 2 * slot, _U16)
        return self.at + distance if distance else None

    def unsigned(self, slot: int, default: int = 0) -> int:
        at = self.place(slot)
        return default if at is None else self.flat.unsigned(at)

    def integer(self, slot: int, default: int = 0) -> int:
        at = self.place(slot)
        return default if at is None else self.flat.signed(at)

    def byte(self, slot: int, default: int = 0) -> int:
        at = self.place(slot)
        return default if at is None else self.flat.unsigned(at, _U8)

    def long(self, slot: int, default: int = 0) -> int:
        at = self.place(slot)
        return default if at is None else self.flat.unsigned(at, _U64)

    def real(self, slot: int, default: float = 0.0) -> float:
        at = self.place(slot)
        return default if at is None else self.flat.real(at)

    def text(self, slot: int) -> str:
        """A text; "" where it is left out. Bytes that are no UTF-8 become `\\xff`."""
        at = self.place(slot)
        return "" if at is None else self._text(at)

    def _text(self, at: int) -> str:
        start, size = self.flat.vector(at, 1)
        self.flat.spend(size)
        return bytes(self.flat.content[start : start + size]).decode("utf-8", "backslashreplace")

    def texts(self, slot: int) -> tuple[str, ...]:
        return tuple(map(self._text, self._items(slot)))

    def table(self, slot: int) -> Table | None:
        at = self.place(slot)
        return None if at is None else Table(self.flat, self.flat.follow(at))

    def tables(self, slot: int) -> list[Table]:
        return [Table(self.flat, self.flat.follow(at)) for at in self._items(slot)]

    def integers(self, slot: int) -> tuple[int, ...] | None:
        """A vector of int32."""
        return self._numbers(slot, "i")

    def reals(self, slot: int) -> tuple[float, ...] | None:
        """A vector of float32."""
        return self._numbers(slot, "f")

    def content(self, slot: int, item_bytes: int = 1) -> memoryview | None:
        """The bytes of a vector, in place."""
        at = self.place(slot)
        if at is None:
            return None
        start, count = self.flat.vector(at, item_bytes)
        return self.flat.content[start : start + count * item_bytes]

    def long_content(self, slot: int) -> memoryview | None:
        """The bytes of a vector whose offset and size have 64 bits, in place."""
        at = self.place(slot)
        if at is None:
            return None
        start = at + self.flat.unsigned(at, _U64)
        size = self.flat.unsigned(start, _U64)
        if size > len(self.flat.content) - start - 8:
            raise self.flat.damaged(start, "it leads outside of the entry")
        return self.flat.content[start + 8 : start + 8 + size]

    def damaged(self, what: str) -> BadContainer:
        return self.flat.damaged(self.at, what)

    def _numbers(self, slot: int, form: str) -> tuple[int, ...] | None:
        at = self.place(slot)
        if at is None:
            return None
        start, count = self.flat.vector(at, 4)
        self.flat.spend(4 * count)
        return struct.unpack_from(f"<{count}{form}", self.flat.content, start)

    def _items(self, slot: int) -> range:
        """Where the offsets in a vector of texts or tables lie."""
        at = self.place(slot)
        if at is None:
            return range(0)
        start, count = self.flat.vector(at, 4)
        self.flat.spend(4 * count)
        return range(start, start + 4 * count, 4)


def behind_prefix(content: memoryview, entry: str, bad: Bad) -> tuple[Flat, int]:
    """The flatbuffer of an entry and the version that stands before it; raises BadContainer."""
    if len(content) < PREFIX.size:
        raise bad(f"has a {entry!r} that is cut short")
    mark, version, _, _ = PREFIX.unpack_from(content)
    if mark != MARK:
        raise bad(f"has a {entry!r} that is no table of a DLC")
    if version not in (3, 4):
        raise BadContainer(bad(f"has a {entry!r} of version {version}").what, hint=_VERSIONS)
    return Flat(content, entry, bad, start=PREFIX.size), version
