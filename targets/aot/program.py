"""What a planned model is: tensors in one arena, and the calls that fill them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Place = Literal["input", "output", "parameter", "arena"]

FORMAT = 1  # of `model.json`, and of what programs say and hear
ALIGN_BYTES = 128  # one HVX vector; more than any other engine asks for


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of the model. size_bytes: without padding."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Buffer:
    """Where the data of an operand begins.

    at: the number of the input or output, else bytes from the start of the parameters or arena."""

    place: Place
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a kernel.

    sources: the variables of `main` (TensorFlow's nodes) that it computes.
    macs: multiplications with addition that it does; None where it has none to count.
    scratch: bytes from the start of the arena where its temporaries are; scratch_bytes: how many.
    """

    kernel: str
    operands: tuple[Buffer, ...]
    sources: tuple[str, ...]
    macs: int | None
    scratch: int
    scratch_bytes: int


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes copied to an output after the last call: it is also an input, constant or output."""

    source: Buffer
    output: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Program:
    """A model whose memory is placed. live: bytes of what is alive in the arena at each call.
    task_bytes: temporaries of one task of a parallel loop, which each further thread has aside of
    the arena."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    calls: tuple[Call, ...]
    copies: tuple[Copy, ...]
    parameters: bytes
    arena_bytes: int
    live: tuple[int, ...]
    task_bytes: int = 0

    @property
    def live_bytes(self) -> int:
        """The most that is alive at one call."""
        return max(self.live, default=0)


def aligned(size_bytes: int) -> int:
    """The size rounded up to whole vectors."""
    return -(-size_bytes // ALIGN_BYTES) * ALIGN_BYTES
