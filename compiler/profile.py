"""What each kernel of a model costs: `dlcc profile`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dlcc.compiler.session import Session
from dlcc.targets.device import CallCost, CallTime


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One call of a kernel on a DSP. call: its place in the inference, from 1.

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
    """One inference on a DSP: its total, and every call of a kernel in order.

    macs: of the calls where they are known; macs_per_packet: of those calls alone."""

    target: str
    device: str
    packets: int
    instructions: int
    hvx: int
    macs: int | None
    macs_per_packet: float | None
    kernels: tuple[KernelRow, ...]


@dataclass(frozen=True, slots=True)
class TimeRow:
    """One call of a kernel, or one copy, where no DSP counts. call: its place, from 1.

    placement: "cpu", "gpu", or "copy" between their memories.
    time_s: None on an emulated device, which has counts.   copied_bytes: of a copy.
    macs: multiply-accumulates, None where not known.   share: of all rows, 0 to 1.
    nodes: what of the graph it computes.
    """

    call: int
    placement: str
    kernel: str
    time_s: float | None
    counts: Mapping[str, int]
    copied_bytes: int | None
    macs: int | None
    share: float
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacementRow:
    """All calls of one placement together."""

    placement: str
    calls: int
    time_s: float | None
    counts: Mapping[str, int]
    copied_bytes: int | None
    share: float


@dataclass(frozen=True, slots=True)
class TimeProfile:
    """One inference where no DSP counts: its sum, by placement, and every call in order."""

    target: str
    device: str
    time_s: float | None
    counts: Mapping[str, int]
    macs: int | None
    placements: tuple[PlacementRow, ...]
    kernels: tuple[TimeRow, ...]


def profile(session: Session, inputs: Mapping[str, object]) -> Profile | TimeProfile:
    """Run a session's model and tell what each kernel costs.

    Raises UsageError for a device that cannot tell that, BadFeed, DeviceError."""
    found = session.profile(inputs)
    if costs := [cost for cost in found if isinstance(cost, CallCost)]:
        return _counted(session, costs)
    times = [time for time in found if isinstance(time, CallTime)]
    return TimeProfile(
        target=session.target,
        device=session.device,
        time_s=_time_s(times),
        counts=_counts(times),
        macs=_total(time.macs for time in times),
        placements=placements(times),
        kernels=time_rows(times),
    )


def _counted(session: Session, costs: Sequence[CallCost]) -> Profile:
    known = [cost for cost in costs if cost.macs is not None]
    macs = _total(cost.macs for cost in costs)
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


def placements(times: Sequence[CallTime]) -> tuple[PlacementRow, ...]:
    """One row for each placement, in the order in which they come."""
    return tuple(
        PlacementRow(
            placement=placement,
            calls=len(own),
            time_s=_time_s(own),
            counts=_counts(own),
            copied_bytes=_total(time.bytes for time in own),
            share=sum(time.share for time in own),
        )
        for placement in dict.fromkeys(time.placement for time in times)
        if (own := [time for time in times if time.placement == placement])
    )


def time_rows(times: Sequence[CallTime]) -> tuple[TimeRow, ...]:
    """One row for each call or copy."""
    return tuple(
        TimeRow(
            call=number,
            placement=time.placement,
            kernel=time.name,
            time_s=time.time_s,
            counts=time.counts,
            copied_bytes=time.bytes,
            macs=time.macs,
            share=time.share,
            nodes=time.sources,
        )
        for number, time in enumerate(times, 1)
    )


def _time_s(times: Sequence[CallTime]) -> float | None:
    known = [time.time_s for time in times if time.time_s is not None]
    return sum(known) if known else None


def _counts(times: Sequence[CallTime]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for time in times:
        total.update(time.counts)
    return dict(total)


def _total(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


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
