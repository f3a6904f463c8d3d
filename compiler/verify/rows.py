"""What `verify` finds, as plain rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlcc.compiler.verify.measure import Error

Layers = Literal["kernels", "tensors"]
Cause = Literal["converter", "pass", "schedule", "tuning", "fusion", "kernel", "carried"]
Rank = Literal["snr", "max-abs", "max-rel", "cosine"]


@dataclass(frozen=True, slots=True)
class OutputRow:
    """One output of the model; the error is that of the worst sample, see `Error`."""

    output: str
    dtype: str
    shape: tuple[int, ...]
    max_abs: float
    max_rel: float
    snr_db: float
    cosine: float | None
    beyond: int
    ok: bool
    sample: str
    note: str


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One tensor that outlives optimisation, in the order in which it is computed.

    node, op: of the TensorFlow graph.   kernel: what computes it in the compiled model, "" for a
        tensor inside a kernel.   nodes: what else of the graph the kernel computes.
    error: of the whole model up to here.   local: of this layer alone, on the inputs that the
        reference gives it.
    sample, local_sample: those with the worst error.
    same_kernel, local_same_kernel: whether what was measured is the very kernel of the compiled
        model: a tensor that is handed out, or in, may not be fused with what is beside it.
    """

    layer: int
    node: str
    op: str
    dtype: str
    shape: tuple[int, ...]
    kernel: str
    nodes: tuple[str, ...]
    error: Error
    local: Error
    sample: str
    local_sample: str
    same_kernel: bool
    local_same_kernel: bool
    variable: str

    @property
    def ok(self) -> bool:
        return self.error.ok and self.local.ok


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to compute a layer, and whether its result is right."""

    what: str
    max_abs: float
    snr_db: float
    ok: bool


@dataclass(frozen=True, slots=True)
class Bisection:
    """Where a layer goes wrong.

    cause, culprit: "pass" and its name; "schedule" and the rule; "converter" and the op; "tuning"
        and the knobs; "fusion" or "kernel" and the kernel; "carried" for a layer that is right on
        right inputs.   said: in words.   trials: what was tried, in order.
    """

    node: str
    op: str
    cause: Cause
    culprit: str
    said: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class Reproducer:
    """What was written of a layer. reproduces: whether it departs when it runs alone."""

    path: str
    node: str
    command: str
    reproduces: bool
    max_abs: float


@dataclass(frozen=True, slots=True)
class Verification:
    """A model on a device against its reference.

    first: the first layer that departs.   worst: nodes, the worst local error first.
    kernels: "same" where all layers were measured in the kernels of the compiled model, else how
        many were not.
    """

    model: str
    target: str
    device: str
    reference: str
    samples: int
    rtol: float
    atol: float
    ok: bool
    first: str | None
    worst: tuple[str, ...]
    kernels: str
    outputs: tuple[OutputRow, ...]
    layers: tuple[LayerRow, ...]
    bisection: Bisection | None = None
    reproducer: Reproducer | None = None


def ranked(layers: tuple[LayerRow, ...], by: Rank = "snr") -> list[LayerRow]:
    """Layers by their own error, the worst first."""

    def badness(row: LayerRow) -> tuple[bool, float]:
        error = row.local
        figures = {
            "snr": -error.snr_db,
            "max-abs": error.max_abs,
            "max-rel": error.max_rel,
            "cosine": 2.0 if error.cosine is None else -error.cosine,
        }
        return (not error.ok, figures[by])

    return sorted(layers, key=badness, reverse=True)
