"""CRC-32C (Castagnoli), the checksum in TensorFlow's checkpoints, over NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np

_POLYNOMIAL = 0x82F63B78  # reflected; RFC 3720, appendix B.4
_MASK_DELTA = 0xA282EAD8  # tensorflow/core/lib/hash/crc32c.h
_LANE_BYTES = 512


def masked_crc32c(data: bytes | memoryview | np.ndarray) -> int:
    """The checksum as TensorFlow stores it: rotated, and a constant added."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(data: bytes | memoryview | np.ndarray) -> int:
    """The checksum of some bytes.

    A checksum is linear: the bytes are cut into lanes of one length that are summed side by side,
    and a lane's sum is moved past the next lane by one table. A loop over bytes would take minutes
    for the weights of a network.
    """
    octets = np.frombuffer(data, np.uint8)
    lanes = len(octets) // _LANE_BYTES
    state = 0xFFFFFFFF
    if lanes:
        columns = np.ascontiguousarray(octets[: lanes * _LANE_BYTES].reshape(lanes, -1).T)
        sums = np.zeros(lanes, np.uint32)
        table = _byte_table()
        for column in columns:
            sums = table[(sums ^ column) & 0xFF] ^ (sums >> 8)
        a, b, c, d = (part.tolist() for part in _lane_tables())
        for lane in sums.tolist():
            state = a[state & 255] ^ b[state >> 8 & 255] ^ c[state >> 16 & 255] ^ d[state >> 24]
            state ^= lane
    bytewise = _byte_table().tolist()
    for octet in octets[lanes * _LANE_BYTES :].tolist():
        state = bytewise[(state ^ octet) & 255] ^ (state >> 8)
    return int(state) ^ 0xFFFFFFFF


@cache
def _byte_table() -> np.ndarray:
    """State after one more byte, for each low byte of the state."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ _POLYNOMIAL, table >> 1).astype(np.uint32)
    return table


@cache
def _lane_tables() -> np.ndarray:
    """State after a lane of zeros, for each value of each of the state's four bytes."""
    states = np.arange(256, dtype=np.uint32)[None] << np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    table = _byte_table()
    for _ in range(_LANE_BYTES):
        states = table[states & 0xFF] ^ (states >> 8)
    return states
