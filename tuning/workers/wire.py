"""Messages between this process and its workers: plain values and bytes through a pipe.

A message is the length of a header and the header, JSON, whose `sizes` are those of the pieces of
bytes that follow. Nothing in it is code: a candidate that runs wild in a worker can at worst send
nonsense, which is an error.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LENGTH = struct.Struct("<Q")
LONGEST_HEADER_BYTES = 1 << 26
LARGEST_PIECE_BYTES = 1 << 32


class Broken(Exception):
    """The other side is gone, or what it says is no message."""


@dataclass(frozen=True, slots=True)
class Message:
    """fields: plain values.   pieces: bytes, for what is large."""

    fields: Mapping[str, Any]
    pieces: Sequence[bytes] = field(default=())


def packed(message: Message) -> bytes:
    """A message as it goes through the pipe."""
    sizes = [len(piece) for piece in message.pieces]
    header = json.dumps({"fields": dict(message.fields), "sizes": sizes}).encode()
    return b"".join((LENGTH.pack(len(header)), header, *message.pieces))


class Reader:
    """Puts messages together out of what has come so far."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Message | None:
        """Take more; returns a message when it is whole. Raises Broken for nonsense."""
        self._data += data
        if len(self._data) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._data)
        if length > LONGEST_HEADER_BYTES:
            raise Broken("what came is no message")
        start = LENGTH.size + length
        if len(self._data) < start:
            return None
        fields, sizes = _header(bytes(self._data[LENGTH.size : start]))
        if len(self._data) < start + sum(sizes):
            return None
        pieces = []
        for size in sizes:
            pieces.append(bytes(self._data[start : start + size]))
            start += size
        del self._data[:start]
        return Message(fields, pieces)


def _header(text: bytes) -> tuple[dict[str, Any], list[int]]:
    try:
        found = json.loads(text)
        sizes = [int(size) for size in found["sizes"]]
        if any(not 0 <= size <= LARGEST_PIECE_BYTES for size in sizes):
            raise Broken("a message has pieces that are too large")
        return dict(found["fields"]), sizes
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Broken(f"what came is no message: {error}") from error


def receive(fd: int) -> Message | None:
    """Wait for a message; None at the end of the stream. Raises Broken for nonsense."""
    reader = Reader()
    while data := os.read(fd, 1 << 20):
        if (message := reader.feed(data)) is not None:
            return message
    return None


def send(fd: int, message: Message) -> None:
    """Write a message; raises Broken where nobody reads it any more."""
    view = memoryview(packed(message))
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        raise Broken(f"nobody reads: {error.strerror}") from error
