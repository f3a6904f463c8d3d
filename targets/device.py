"""What every device offers, whether it is this machine, an emulator or a phone behind RPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, runtime_checkable

import numpy as np

from dlcc.targets.artifact import Artifact
from dlcc.targets.errors import DeviceError


@dataclass(frozen=True, slots=True)
class Bench:
    """Cost of one inference.

    times_s: one figure an inference, seconds, on a device where time means something; else empty.
    counts: events of one inference on an emulated device, for instance {"instructions": 123456}.
    """

    times_s: list[float] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallCost:
    """Cost of one call of a kernel in one inference, on a device that counts for each.

    sources: what of the graph it computes. packets: what the DSP issues at once, 1 to 4
    instructions. hvx: vector instructions. macs: multiply-accumulates, None where not known.
    share: of all packets of the inference.   operand_bytes, factors: as of `kernels.Kernel`.
    """

    name: str
    sources: tuple[str, ...]
    packets: int
    instructions: int
    hvx: int
    macs: int | None
    macs_per_packet: float | None
    share: float
    operand_bytes: int | None = None
    factors: str = ""


@dataclass(frozen=True, slots=True)
class CallTime:
    """Cost of one call of a kernel, or of one copy, in one inference.

    sources: what of the graph it computes. placement: "cpu", "gpu", or "copy" between their
    memories. time_s: None on an emulated device, which has counts in its place, for instance
    {"instructions": 123456}. bytes: of a copy. share: of the sum of all rows.
    macs: multiply-accumulates, None where not known.   operand_bytes, factors: as of
    `kernels.Kernel`.
    """

    name: str
    sources: tuple[str, ...]
    placement: str
    time_s: float | None
    counts: Mapping[str, int]
    bytes: int | None
    share: float
    macs: int | None = None
    operand_bytes: int | None = None
    factors: str = ""


class Program(Protocol):
    """A loaded model. Inputs and outputs are in the order of the compiled `main`."""

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]: ...

    def bench(self, inputs: Sequence[np.ndarray], repeat: int) -> Bench: ...


def require_tvm(artifact: Artifact) -> None:
    """Raise DeviceError for code that another runtime than TVM's runs."""
    if artifact.runtime == "aot":
        raise DeviceError(
            f"the code for {artifact.chip} is made for the runtime aot, here is TVM's",
            hint="compile without `--runtime aot`",
        )


@runtime_checkable
class Profiled(Protocol):
    """A program on a device that counts for each call of a kernel, or measures each."""

    def profile(self, inputs: Sequence[np.ndarray]) -> list[CallCost] | list[CallTime]: ...


class Device(Protocol):
    """A place to run models. Closing it releases all that was loaded and every child process."""

    address: str

    def load(self, artifact: Artifact) -> Program: ...

    def describe(self) -> Mapping[str, str]:
        """Facts for `dlcc device check`: architecture, versions, threads, what is missing."""

    def close(self) -> None: ...

    def __enter__(self) -> Device: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
