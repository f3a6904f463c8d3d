"""The zip layer: stored entries with plain names, aligned, written the same for equal content.

zipfile reads the central directory; everything that it says is then checked against the file,
since a directory may lie. Nothing is ever unpacked to disk, and of dlcc's own files nothing is
decompressed, so that no entry can be larger than the file that holds it.
"""

from __future__ import annotations

import hashlib
import mmap
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import BinaryIO

from dlcc.compiler.container.pieces import Content, buffers
from dlcc.compiler.errors import BadContainer

ALIGNMENT_BYTES = 64  # a cache line, and what the devices want of tensors that they map in place
MAX_ENTRIES = 100_000
# How large a compressed entry of another tool may become: weights compress by far less.
MAX_INFLATION = 100
INFLATED_BYTES = 64 << 20
_PART_BYTES = 16 << 20
_LOCAL = struct.Struct("<4sHHHHHIIIHH")  # PKWARE APPNOTE 6.3.10, section 4.3.7
_ALIGN_TAG = 0xD935  # the extra field that Android's zipalign pads with
_ZIP64_EXTRA_BYTES = 20
_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*(/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)*")
_DAMAGED = "the file is damaged or was not written by dlcc; compile the model again"
_FOREIGN = "the file is damaged; copy or download it again"
# What zipfile raises on broken directories, as its source and random bytes show.
_ZIPFILE_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    struct.error,
    ValueError,
    NotImplementedError,
    EOFError,
    OverflowError,
    IndexError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Span:
    """Where an entry's content lies in the file, bytes."""

    start: int
    size: int


class Archive:
    """A mapped file and its directory. Entries are views of the file, never copies.

    The mapping lives for as long as this object or any view of it does.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises BadContainer for anything but a well-formed zip of stored entries."""
        self.path = str(path)
        self._map, infos, directory_start = _read_directory(self.path)
        self._view = memoryview(self._map)
        self.names = tuple(info.orig_filename for info in infos)
        self._infos = infos
        self._directory_start = directory_start
        self._spans: dict[str, Span] = {}

    def check(self) -> None:
        """Check every entry's name and place. Raises BadContainer."""
        if len(set(self.names)) != len(self.names):
            twice = sorted({n for n in self.names if self.names.count(n) > 1})
            raise self.bad(f"has two entries named {twice[0]!r}")
        for info in self._infos:
            self._spans[info.orig_filename] = self._span(info)
        end, previous = 0, ""
        for name, span, header in sorted(
            ((i.orig_filename, self._spans[i.orig_filename], i.header_offset) for i in self._infos),
            key=lambda row: row[2],
        ):
            if header < end:
                raise self.bad(f"has overlapping entries {previous!r} and {name!r}")
            end, previous = span.start + span.size, name

    def read(self, name: str) -> memoryview:
        """The content of an entry: a view of the file. Raises BadContainer where it is missing."""
        if name not in self._spans:
            raise self.bad(f"has no entry {name!r}")
        span = self._spans[name]
        return self._view[span.start : span.start + span.size]

    def sha256(self, name: str, start: int, size: int) -> str:
        """Hash of some bytes of an entry, which do not stay in memory for it."""
        found = hashlib.sha256()
        for part in self._parts(self._spans[name].start + start, size):
            found.update(part)
        return found.hexdigest()

    def _parts(self, start: int, size: int) -> Iterator[memoryview]:
        """Bytes of the file, some at a time. Their pages are given back after each: they are read
        again from the system's own cache if they are needed."""
        for at in range(start, start + size, _PART_BYTES):
            end = min(at + _PART_BYTES, start + size)
            yield self._view[at:end]
            page = at - at % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, page, end - page)

    def read_checked(self, name: str) -> bytes:
        """The content of an entry, its checksum compared; for what no manifest can vouch for."""
        content = bytes(self.read(name))
        promised = next(info.CRC for info in self._infos if info.orig_filename == name)
        if zlib.crc32(content) != promised:
            raise self.bad(f"has a damaged {name!r}: its checksum differs")
        return content

    def read_foreign(self, name: str) -> memoryview:
        """An entry of another tool's file, its checksum compared: in place where it is stored,
        inflated where it is compressed. Raises BadContainer."""
        infos = [info for info in self._infos if info.orig_filename == name]
        if len(infos) != 1:
            number = "two entries" if infos else "no entry"
            raise BadContainer(f"{self.path} has {number} named {name!r}", hint=_FOREIGN)
        span = self._located(infos[0], infos[0].compress_type)
        content = self._view[span.start : span.start + span.size]
        if infos[0].compress_type != zipfile.ZIP_STORED:
            content = self._inflated(infos[0], content)
            checksum = zlib.crc32(content)
        else:
            checksum = reduce(
                lambda c, part: zlib.crc32(part, c), self._parts(span.start, span.size), 0
            )
        if len(content) != infos[0].file_size or checksum != infos[0].CRC:
            raise BadContainer(
                f"{self.path} has a damaged {name!r}: its checksum differs", hint=_FOREIGN
            )
        return content

    def _inflated(self, info: zipfile.ZipInfo, content: memoryview) -> memoryview:
        name, size = info.orig_filename, info.file_size
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise self.bad(f"compresses {name!r} by another method than deflate")
        if size > max(INFLATED_BYTES, MAX_INFLATION * len(content)):
            raise self.bad(f"declares an entry {name!r} of {size} bytes in {len(content)}")
        try:
            return memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, size + 1))
        except zlib.error as error:
            raise self.bad(f"has a damaged entry {name!r}: {error}") from error

    def bad(self, what: str) -> BadContainer:
        """The error "PATH what", with the hint that a damaged file deserves."""
        return BadContainer(f"{self.path} {what}", hint=_DAMAGED)

    def _span(self, info: zipfile.ZipInfo) -> Span:
        name = info.orig_filename
        if not _NAME.fullmatch(name):
            raise self.bad(f"has an entry with a name that is not allowed: {name!r}")
        if info.compress_type != zipfile.ZIP_STORED:
            raise self.bad(f"has a compressed entry {name!r}: dlcc stores entries as they are")
        if info.file_size != info.compress_size:
            raise self.bad(f"declares two sizes for its stored entry {name!r}")
        return self._located(info, zipfile.ZIP_STORED)

    def _located(self, info: zipfile.ZipInfo, expected: int) -> Span:
        """Where an entry's bytes lie, its own header compared with the directory.

        expected: the number of its method of compression."""
        name = info.orig_filename
        if info.flag_bits & 0x1:
            raise self.bad(f"has an encrypted entry {name!r}")
        header = info.header_offset
        if not 0 <= header <= self._directory_start - _LOCAL.size:
            raise self.bad(f"places its entry {name!r} outside of the file")
        signature, _, _, method, *_, name_size, extra_size = _LOCAL.unpack_from(self._view, header)
        start = header + _LOCAL.size + name_size + extra_size
        here = bytes(self._view[header + _LOCAL.size :][:name_size])
        if signature != b"PK\x03\x04" or method != expected or here != name.encode("ascii"):
            raise self.bad(f"has a damaged header before its entry {name!r}")
        if start + info.compress_size > self._directory_start:
            raise self.bad(f"declares an entry {name!r} larger than the file holds")
        return Span(start, info.compress_size)


def _read_directory(path: str) -> tuple[mmap.mmap, list[zipfile.ZipInfo], int]:
    """The mapped file, what its directory says, and where that directory starts."""
    try:
        with open(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"PK":
                found = "is empty" if not head else "is not a container: it is no zip file"
                raise BadContainer(
                    f"{path} {found}", hint="`dlcc compile MODEL -o model.dlc` makes one"
                )
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return mapped, *_central_directory(path, file)
    except IsADirectoryError as error:
        raise BadContainer(f"{path} is a folder, not a container") from error
    except OSError as error:
        hint = "check the path" if isinstance(error, FileNotFoundError) else ""
        raise BadContainer(f"cannot read {path}: {error.strerror or error}", hint=hint) from error


def _central_directory(path: str, file: BinaryIO) -> tuple[list[zipfile.ZipInfo], int]:
    try:
        with zipfile.ZipFile(file) as archive:
            infos, start = archive.infolist(), archive.start_dir
    except _ZIPFILE_ERRORS as error:
        raise BadContainer(
            f"{path} is cut short or damaged: its zip directory cannot be read",
            hint="copy or download it again, or compile the model again",
        ) from error
    if len(infos) > MAX_ENTRIES:
        raise BadContainer(f"{path} has {len(infos)} entries; more than {MAX_ENTRIES} are refused")
    return infos, start


def write_archive(file: BinaryIO, entries: Mapping[str, Content]) -> None:
    """Write entries in the order given, each aligned to 64 bytes, with the zip epoch as date.

    An entry in pieces is written piece by piece."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # the same on every system
            info.external_attr = 0o100644 << 16
            info.file_size = len(content)
            big = info.file_size * 1.05 > zipfile.ZIP64_LIMIT  # zipfile's own rule for its field
            here = file.tell() + _LOCAL.size + len(name) + big * _ZIP64_EXTRA_BYTES
            padding = -(here + 4) % ALIGNMENT_BYTES
            info.extra = struct.pack("<HH", _ALIGN_TAG, padding) + bytes(padding)
            with archive.open(info, "w") as entry:
                for buffer in buffers(content):
                    entry.write(buffer)
