"""The content of an entry: one buffer, or many that follow each other and are never joined."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dlcc.compiler.container.tensors import tensor_bytes

Buffer: TypeAlias = bytes | memoryview
Content: TypeAlias = "Buffer | Pieces"


@dataclass(frozen=True)
class Pieces:
    """Buffers and tensors, one behind the other.

    A tensor is turned into bytes only when it is asked for: where it does not lie in memory in
    the order of a file, that is a copy, which then lives for as long as it is used.
    """

    parts: Sequence[Buffer | np.ndarray]

    def __len__(self) -> int:
        return sum(map(_size, self.parts))

    def buffers(self) -> Iterator[Buffer]:
        for part in self.parts:
            yield tensor_bytes(part) if isinstance(part, np.ndarray) else part

    def cut(self, start: int, size: int) -> Buffer:
        """Some of the bytes; in place where they lie in one piece."""
        for part in self.parts:
            if start + size <= _size(part):
                content = tensor_bytes(part) if isinstance(part, np.ndarray) else memoryview(part)
                return content[start : start + size]
            if start < _size(part):
                break
            start -= _size(part)
        raise ValueError("the bytes lie in more than one piece")


def _size(part: Buffer | np.ndarray) -> int:
    return part.nbytes if isinstance(part, (np.ndarray, memoryview)) else len(part)


def buffers(content: Content) -> Iterator[Buffer]:
    """The buffers of a content, one behind the other."""
    if isinstance(content, Pieces):
        yield from content.buffers()
    else:
        yield content


def cut(content: Content, start: int, size: int) -> Buffer:
    """Some bytes of a content, in place where that is possible."""
    if isinstance(content, Pieces):
        return content.cut(start, size)
    return memoryview(content)[start : start + size]


def sha256(content: Content) -> str:
    """Hash of a content, 64 hex digits. Copies nothing."""
    found = hashlib.sha256()
    for buffer in buffers(content):
        found.update(buffer)
    return found.hexdigest()
