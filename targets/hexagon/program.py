"""A model on the DSP: what is said on the line to it, and what it counts.

All words are u32, little-endian.
  hello    magic, format, number of calls, bytes of the arena
  request  times to run (0: leave); then every input in full, in order
  reply    status, bytes of all outputs, number of calls, 0; then, if the status is 0, a record
           {packets, instructions, HVX instructions} for each call, read before it, and one more,
           read after the last; then every output
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dlcc.targets.aot.described import Kernel, arrays_of, bytes_of_all
from dlcc.targets.aot.line import Line
from dlcc.targets.aot.program import FORMAT
from dlcc.targets.aot.status import STATUS
from dlcc.targets.device import Bench, CallCost
from dlcc.targets.errors import DeviceError
from dlcc.targets.hexagon.line import Start
from dlcc.targets.hexagon.model import Model
from dlcc.targets.kernels import Kernel as KernelRow
from dlcc.targets.kernels import nodes_by_call

MAGIC = 0x43434C44  # "DLCC"
WORDS = struct.Struct("<4I")
COUNTERS = ("packets", "instructions", "hvx")
# Multiply-accumulates a second that an emulator does at least. qemu 7.2 did 3.4 million in scalar
# floats on a busy machine, 10.0 three times as many; vector code is faster.
EMULATED_MACS_S = 1e6


class DspProgram:
    """A model that runs."""

    def __init__(
        self, model: Model, start: Start, kernels: Mapping[str, KernelRow] | None = None
    ) -> None:
        """Start it and hear its hello; raises DeviceError.

        kernels: what the build's table tells of them."""
        self._model = model
        self._kernels = kernels or {}
        self._line: Line = start(model.program, model.architecture)
        calls = len(model.kernels)
        hello = WORDS.pack(MAGIC, FORMAT, calls, model.arena_bytes)
        try:
            said = self._line.exchange(b"", hello, WORDS.size, "starting")
            if said != hello:
                raise self._stranger(said)
        except BaseException:
            self._line.close()
            raise
        # the time limit is for a device that does not answer, not for one with much to do
        self._work_s = sum(k.macs or 0 for k in model.kernels) / EMULATED_MACS_S
        output_bytes = sum(t.size_bytes for t in model.outputs)
        self._fine = WORDS.pack(0, output_bytes, calls, 0)
        self._total = WORDS.size + (calls + 1) * 4 * len(COUNTERS) + output_bytes

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; raises BadFeed, DeviceError."""
        return self._outputs(self._asked(inputs, "running the model"))

    def bench(self, inputs: Sequence[np.ndarray], repeat: int) -> Bench:
        """The counts of one inference. They are the same in each, so `repeat` changes nothing."""
        del repeat
        costs = self._costs(self._asked(inputs, "measuring the model"))
        return Bench(counts=dict(zip(COUNTERS, costs.sum(axis=0).tolist(), strict=True)))

    def profile(self, inputs: Sequence[np.ndarray]) -> list[CallCost]:
        """The counts of each call of a kernel, in order. One call's are right up to 2^32."""
        costs = self._costs(self._asked(inputs, "measuring the model"))
        total = int(costs[:, 0].sum())
        kernels = self._model.kernels
        known = {
            k.name: replace(self._kernels.get(k.name, KernelRow()), nodes=k.sources)
            for k in kernels
        }
        nodes = nodes_by_call([k.name for k in kernels], known)
        rows = (replace(known[k.name], nodes=own) for k, own in zip(kernels, nodes, strict=True))
        return [
            _cost(kernel, row, counts, total)
            for kernel, row, counts in zip(kernels, rows, costs.tolist(), strict=True)
        ]

    def drop(self) -> None:
        """End it. More than once is fine."""
        self._line.close()

    def _asked(self, inputs: Sequence[np.ndarray], doing: str) -> bytes:
        """The reply to one request, without its header."""
        parts = bytes_of_all(self._model.inputs, inputs)
        request = b"".join([struct.pack("<I", 1), *parts])
        reply = self._line.exchange(request, self._fine, self._total, doing, self._work_s)
        if not reply.startswith(self._fine):
            self._line.close()
            raise self._failed(reply, doing)
        return reply[WORDS.size :]

    def _costs(self, reply: bytes) -> np.ndarray:
        """(calls, counters), int64. The counters wrap, and so do their differences."""
        rows = np.frombuffer(reply, "<u4", (len(self._model.kernels) + 1) * len(COUNTERS))
        return np.diff(rows.reshape(-1, len(COUNTERS)), axis=0).astype(np.int64)

    def _outputs(self, reply: bytes) -> list[np.ndarray]:
        at = (len(self._model.kernels) + 1) * len(COUNTERS) * 4
        return arrays_of(self._model.outputs, reply[at:])

    def _stranger(self, said: bytes) -> DeviceError:
        """The error for a program whose first words are not those of this model."""
        magic, version, calls, arena_bytes = WORDS.unpack(said)
        if magic != MAGIC:
            what = f"the program is no model of dlcc: it begins with {said[:4].hex()}"
        elif version != FORMAT:
            what = f"the model speaks format {version}, this dlcc format {FORMAT}"
        else:
            wanted = f"{len(self._model.kernels)} calls and {self._model.arena_bytes} bytes"
            what = (
                f"the model has {calls} calls and an arena of {arena_bytes} bytes; "
                f"model.json tells of {wanted}"
            )
        return DeviceError(f"{self._line.place}: {what}", hint="compile the model again")

    def _failed(self, header: bytes, doing: str) -> DeviceError:
        status, size, calls, zero = WORDS.unpack(header)
        if status == 0:
            return DeviceError(
                f"{self._line.place}: the model answers nonsense while {doing}: {size} bytes of "
                f"outputs and {calls} calls ({zero}), where {self._total} bytes in all were due",
                hint="compile the model again",
            )
        what, hint = STATUS.get(status, ("it failed", "compile the model with this dlcc"))
        return DeviceError(f"{self._line.place}: {what} (status {status}) while {doing}", hint=hint)


def _cost(kernel: Kernel, row: KernelRow, counts: Sequence[int], total: int) -> CallCost:
    packets, instructions, hvx = counts
    return CallCost(
        name=kernel.name,
        sources=row.nodes,
        packets=packets,
        instructions=instructions,
        hvx=hvx,
        macs=kernel.macs,
        macs_per_packet=kernel.macs / packets if kernel.macs and packets else None,
        share=packets / total if total else 0.0,
        operand_bytes=row.operand_bytes,
        factors=row.factors,
    )
