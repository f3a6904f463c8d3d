"""Runs a model's shared library: `child.py THREADS LIBRARY`, requests on stdin, replies on stdout.

A file that imports nothing of dlcc, and needs no numpy, so that any Python 3.10 runs it, that of
the emulated Arm device too. Words are u32, little-endian.
  hello    magic, format, number of calls, bytes of the arena; sha256 of its inputs and outputs
  request  times to run (0: leave); then every input in full, in order
  reply    status, bytes of all outputs, times run, 0; then, if the status is 0, nanoseconds of each
           run, u64; then every output
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import struct
import sys
import time
from collections.abc import Sequence

MAGIC, FORMAT = 0x43434C44, 1  # "DLCC"
ALIGN_BYTES = 128
WORDS = struct.Struct("<4I")
COMMAND = struct.Struct("<I")
E_INPUT = 5


class Tensor(ctypes.Structure):
    """`struct dlcc_tensor` of dlcc_aot.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_uint32),
        ("dims", ctypes.POINTER(ctypes.c_uint32)),
        ("bytes", ctypes.c_uint32),
    )


class Library:
    """A loaded model, with memory for its inputs and outputs.

    status: what starting it gave, an enum dlcc_error."""

    def __init__(self, path: str, threads: int) -> None:
        """Raises OSError or ValueError where it is no library of a model."""
        self._library = ctypes.CDLL(path)
        self.inputs = self._table("input")
        self.outputs = self._table("output")
        self._memory: list[ctypes.Array[ctypes.c_char]] = []
        self._into = [self._allocated(t.bytes) for t in self.inputs]
        self._from = [self._allocated(t.bytes) for t in self.outputs]
        self.status = int(self._library.dlcc_set_threads(threads) or self._library.dlcc_init())

    def number(self, name: str) -> int:
        return int(ctypes.c_uint32.in_dll(self._library, name).value)

    def digest(self) -> bytes:
        """sha256 over what the tables tell, a line a tensor."""
        rows = [*map(described, self.inputs), "", *map(described, self.outputs)]
        return hashlib.sha256("\n".join(rows).encode()).digest()

    def read_inputs(self) -> bool:
        """Take them from stdin; False at the end of the stream."""
        return all(
            read_into(at, tensor.bytes) for at, tensor in zip(self._into, self.inputs, strict=True)
        )

    def run(self, times: int) -> tuple[int, list[int]]:
        """Status, and the nanoseconds of each run."""
        inputs, outputs = pointers(self._into), pointers(self._from)
        status, spent = self.status, []
        for _ in range(times):
            if status == 0:
                began = time.perf_counter_ns()
                status = int(self._library.dlcc_run(inputs, outputs))
                spent.append(time.perf_counter_ns() - began)
        return status, spent

    def results(self) -> list[memoryview]:
        return [
            memoryview((ctypes.c_char * tensor.bytes).from_address(at)).cast("B")
            for at, tensor in zip(self._from, self.outputs, strict=True)
        ]

    def _table(self, kind: str) -> list[Tensor]:
        count = self.number(f"dlcc_{kind}_count")
        return list((Tensor * count).in_dll(self._library, f"dlcc_{kind}s"))

    def _allocated(self, size_bytes: int) -> int:
        """Address of aligned memory."""
        memory = ctypes.create_string_buffer(size_bytes + ALIGN_BYTES)
        self._memory.append(memory)
        return -(-ctypes.addressof(memory) // ALIGN_BYTES) * ALIGN_BYTES


def described(tensor: Tensor) -> str:
    """`name dtype bytes dims`, as `targets/aot/device.py` makes it of model.json."""
    dims = " ".join(str(tensor.dims[i]) for i in range(tensor.rank))
    return f"{tensor.name.decode()} {tensor.dtype} {tensor.bytes} {dims}"


def pointers(addresses: Sequence[int]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * max(1, len(addresses)))(*addresses)


def read_into(address: int, size_bytes: int) -> bool:
    view = memoryview((ctypes.c_char * size_bytes).from_address(address)).cast("B")
    while len(view):
        got = os.readv(0, [view])
        if got == 0:
            return False
        view = view[got:]
    return True


def write_all(content: bytes | memoryview) -> None:
    view = memoryview(content)
    while len(view):
        view = view[os.write(1, view) :]


def serve(library: Library) -> None:
    """Answer requests until there are no more."""
    calls, arena = library.number("dlcc_call_count"), library.number("dlcc_arena_bytes")
    write_all(WORDS.pack(MAGIC, FORMAT, calls, arena) + library.digest())
    total = sum(t.bytes for t in library.outputs)
    command = ctypes.create_string_buffer(COMMAND.size)
    while read_into(ctypes.addressof(command), COMMAND.size):
        (times,) = COMMAND.unpack(command.raw)
        if times == 0:
            return
        if not library.read_inputs():
            write_all(WORDS.pack(E_INPUT, total, times, 0))
            return
        status, spent = library.run(times)
        write_all(WORDS.pack(status, total, times, 0))
        if status == 0:
            write_all(struct.pack(f"<{times}Q", *spent))
            for result in library.results():
                write_all(result)


if __name__ == "__main__":
    try:
        model = Library(sys.argv[2], int(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.exit(f"no library of a model that this machine can load: {error}")
    try:
        serve(model)
    except BrokenPipeError:
        sys.exit(0)  # whoever asked is gone
