"""Runs a model's shared library: `child.py THREADS COUNTERS LIBRARY`, requests on stdin, replies on
stdout.

A file that imports nothing of dlcc, and needs no numpy, so that any Python 3.10 runs it, that of
the emulated Arm device too. Words are u32, little-endian.
  hello    magic, format, number of calls, bytes of the arena; sha256 of its inputs and outputs
  request  times to run (0: leave), whether to tell of each call; then every input in full, in order
  reply    status, bytes of all outputs, times run, 0; then, if the status is 0, nanoseconds of each
           run, u64; then, if asked for, the readings of each run, u64: one before each call and one
           after the last; then every output
COUNTERS: a file into which an emulator counts, read in place of the clock around each call;
"" for the clock.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import struct
import sys
import time
from collections.abc import Sequence

MAGIC, FORMAT = 0x43434C44, 1  # "DLCC"
ALIGN_BYTES = 128
WORDS = struct.Struct("<4I")
COMMAND = struct.Struct("<2I")
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

    def __init__(self, path: str, threads: int, counters: str = "") -> None:
        """Raises OSError or ValueError where it is no library of a model."""
        self._library = ctypes.CDLL(path)
        if counters:
            self._events = word_of(counters)
            word = ctypes.c_void_p.in_dll(self._library, "dlcc_events")
            word.value = ctypes.addressof(self._events)
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

    def run(self, times: int, readings: list[int] | None = None) -> tuple[int, list[int]]:
        """Status, and the nanoseconds of each run. readings: takes those of the calls."""
        inputs, outputs = pointers(self._into), pointers(self._from)
        clock = self._clock()
        status, spent = self.status, []
        for _ in range(times):
            if status == 0:
                began = time.perf_counter_ns()
                status = int(self._library.dlcc_run(inputs, outputs))
                spent.append(time.perf_counter_ns() - began)
                if readings is not None:
                    readings += clock
        return status, spent

    def results(self) -> list[memoryview]:
        return [
            memoryview((ctypes.c_char * tensor.bytes).from_address(at)).cast("B")
            for at, tensor in zip(self._from, self.outputs, strict=True)
        ]

    def _clock(self) -> ctypes.Array[ctypes.c_uint64]:
        """Where the library writes its readings."""
        count = self.number("dlcc_call_count") + 1
        return (ctypes.c_uint64 * count).in_dll(self._library, "dlcc_nanoseconds")

    def _table(self, kind: str) -> list[Tensor]:
        count = self.number(f"dlcc_{kind}_count")
        return list((Tensor * count).in_dll(self._library, f"dlcc_{kind}s"))

    def _allocated(self, size_bytes: int) -> int:
        """Address of aligned memory."""
        memory = ctypes.create_string_buffer(size_bytes + ALIGN_BYTES)
        self._memory.append(memory)
        return -(-ctypes.addressof(memory) // ALIGN_BYTES) * ALIGN_BYTES


def word_of(path: str) -> ctypes.c_uint64:
    """The first word of a file, as memory that is shared with whoever writes to it."""
    with open(path, "r+b") as file:
        return ctypes.c_uint64.from_buffer(mmap.mmap(file.fileno(), mmap.PAGESIZE))


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
        times, asked = COMMAND.unpack(command.raw[: COMMAND.size])
        if times == 0:
            return
        if not library.read_inputs():
            write_all(WORDS.pack(E_INPUT, total, times, 0))
            return
        readings: list[int] = []
        status, spent = library.run(times, readings if asked else None)
        write_all(WORDS.pack(status, total, times, 0))
        if status == 0:
            write_all(struct.pack(f"<{times + len(readings)}Q", *spent, *readings))
            for result in library.results():
                write_all(result)


if __name__ == "__main__":
    try:
        model = Library(sys.argv[3], int(sys.argv[1]), sys.argv[2])
    except (OSError, ValueError) as error:
        sys.exit(f"no library of a model that this machine can load: {error}")
    try:
        serve(model)
    except BrokenPipeError:
        sys.exit(0)  # whoever asked is gone
