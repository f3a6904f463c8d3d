"""What each kernel of a model costs: `dlcc profile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlcc.compiler.session import Session
from dlcc.targets.device import CallCost


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One call of a kernel. call: its place in the inference, from 1.

    macs: multiply-accumulates, None where not known. share: of the packets, 0 to 1.
    nodes: what of the graph it computes.
    """

    call: int
    kernel: str
    packets: int
    instructions: int
    hvx: int
    macs: int | None
    macs_per_packet: float | None
    share: float
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """One inference: its total, and every call of a kernel in order.

    macs: of the calls where they are known; macs_per_packet: of those calls alone."""

    target: str
    device: str
    packets: int
    instructions: int
    hvx: int
    macs: int | None
    macs_per_packet: float | None
    kernels: tuple[KernelRow, ...]


def profile(session: Session, inputs: Mapping[str, object]) -> Profile:
    """Run a session's model once and tell what each kernel costs.

    Raises UsageError for a target without counters, BadFeed, DeviceError."""
    costs = session.profile(inputs)
    known = [cost for cost in costs if cost.macs is not None]
    macs = sum(cost.macs or 0 for cost in known) if known else None
    packets = sum(cost.packets for cost in known)
    return Profile(
        target=session.target,
        device=session.device,
        packets=sum(cost.packets for cost in costs),
        instructions=sum(cost.instructions for cost in costs),
        hvx=sum(cost.hvx for cost in costs),
        macs=macs,
        macs_per_packet=macs / packets if macs and packets else None,
        kernels=rows(costs),
    )


def rows(costs: Sequence[CallCost]) -> tuple[KernelRow, ...]:
    """One row for each call of a kernel."""
    return tuple(
        KernelRow(
            call=number,
            kernel=cost.name,
            packets=cost.packets,
            instructions=cost.instructions,
            hvx=cost.hvx,
            macs=cost.macs,
            macs_per_packet=cost.macs_per_packet,
            share=cost.share,
            nodes=cost.sources,
        )
        for number, cost in enumerate(costs, 1)
    )
