"""A checkpoint's tensors (`.index` and `.data-*`), read without TensorFlow.

The index is a sorted table of blocks (the format of LevelDB's tables; TensorFlow writes it without
compression), its values are BundleEntry messages that say where in the data files a tensor lies.
Source: tensorflow/core/util/tensor_bundle/tensor_bundle.h, tensorflow/core/lib/io/format.cc.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from dlcc.compiler.errors import ModelError, UnreadableModel
from dlcc.compiler.frontend.crc32c import masked_crc32c
from dlcc.compiler.frontend.dtypes import dtype_name, numpy_dtype, shape_of
from dlcc.compiler.frontend.schema import message_class

_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57
_TRAILER_BYTES = 5  # of a block: kind of compression, checksum


class Checkpoint:
    """Tensors by key. `prefix`: the path without `.index`."""

    def __init__(self, prefix: Path) -> None:
        """Read the index. Raises UnreadableModel."""
        self.prefix = prefix
        index = prefix.with_name(prefix.name + ".index")
        try:
            rows = dict(_table(index.read_bytes()))
            header = _message("BundleHeader", rows.pop(b"", b""))
            # keys that are no UTF-8 are those of slices, which the whole tensor's entry lists
            self._entries = {
                key.decode("utf-8"): _message("BundleEntry", value)
                for key, value in rows.items()
                if not key.startswith(b"\0")
            }
        except OSError as error:
            raise UnreadableModel(f"{index} cannot be read: {error.strerror}") from error
        except (ValueError, IndexError, struct.error, DecodeError) as error:
            raise UnreadableModel(
                f"{index} is no index of a checkpoint, or is damaged: {error}",
                hint="copy or save the checkpoint again",
            ) from error
        if header.endianness:
            raise UnreadableModel(f"{index} was written by a big-endian machine")
        self._shards = header.num_shards

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def dtype(self, key: str) -> str:
        """NumPy's name of a tensor's dtype. Raises ModelError for what is no whole tensor."""
        entry = self._entries[key]
        if entry.slices:
            raise ModelError(
                f"{key!r} is saved in {len(entry.slices)} parts (a partitioned variable), which "
                "dlcc does not join",
                hint="restore it without a partitioner in TensorFlow, and save it again",
            )
        try:
            return str(numpy_dtype(dtype_name(entry.dtype)).name)
        except (ValueError, TypeError) as error:
            raise ModelError(
                f"{key!r} in {self.prefix} is no tensor of numbers",
                hint="cut the graph behind it with --input NODE=SHAPE",
            ) from error

    def array(self, key: str) -> np.ndarray:
        """A tensor, checked by its checksum. Raises UnreadableModel, ModelError."""
        entry, dtype = self._entries[key], numpy_dtype(self.dtype(key))
        shape = shape_of(entry.shape)
        if shape is None or None in shape:
            raise self._damaged(key, "it has no size")
        dims = [int(d or 0) for d in shape]
        if math.prod(dims) * dtype.itemsize != entry.size:
            raise self._damaged(key, f"{entry.size} bytes for {dtype.name}{dims}")
        octets = self._bytes(key, entry)
        if masked_crc32c(octets) != entry.crc32c:
            raise self._damaged(key, "its checksum is wrong")
        return octets.view(dtype).reshape(dims)

    def _bytes(self, key: str, entry: Any) -> np.ndarray:
        suffix = f".data-{entry.shard_id:05d}-of-{self._shards:05d}"
        path = self.prefix.with_name(self.prefix.name + suffix)
        try:
            octets = np.fromfile(path, np.uint8, entry.size, offset=entry.offset)
        except FileNotFoundError as error:
            raise UnreadableModel(
                f"no such file: {path}", hint="a checkpoint is its .index and all of its .data-*"
            ) from error
        except (OSError, ValueError) as error:
            raise UnreadableModel(f"{path} cannot be read: {error}") from error
        if len(octets) != entry.size:
            raise self._damaged(key, f"{path.name} is cut short")
        return octets

    def _damaged(self, key: str, why: str) -> UnreadableModel:
        return UnreadableModel(
            f"{key!r} in the checkpoint {self.prefix} is damaged: {why}",
            hint="copy or save the checkpoint again",
        )


def _message(kind: str, content: bytes) -> Any:
    message = message_class(kind)()
    message.ParseFromString(content)
    return message


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Rows of a table; raises ValueError or IndexError where it is none."""
    if len(data) < _FOOTER_BYTES or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ValueError("it does not end as a table does")
    footer = data[-_FOOTER_BYTES:]
    position = 0
    for _ in range(2):  # the block of meta information, which is empty
        _, position = _varint(footer, position)
    for _, handle in _block(data, footer[position:]):
        yield from _block(data, handle)


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset, position = _varint(handle, 0)
    size, _ = _varint(handle, position)
    end = offset + size
    if end + _TRAILER_BYTES > len(data) - _FOOTER_BYTES:
        raise ValueError("a block lies beyond its end")
    if data[end]:
        raise ValueError("it is compressed, as TensorFlow never writes it")
    if masked_crc32c(data[offset : end + 1]) != struct.unpack_from("<I", data, end + 1)[0]:
        raise ValueError("a block's checksum is wrong")
    block = data[offset:end]
    stop = size - 4 - 4 * struct.unpack_from("<I", block, size - 4)[0]
    position, key = 0, b""
    while position < stop:
        shared, position = _varint(block, position)
        fresh, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        yield key, block[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and where the next one starts."""
    result = 0
    for shift in range(0, 64, 7):
        octet = data[position]
        position += 1
        result |= (octet & 127) << shift
        if octet < 128:
            return result, position
    raise ValueError("a number of more than 64 bits")
