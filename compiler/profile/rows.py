"""What each call of a kernel costs, as rows: on a DSP in packets, elsewhere in time or counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dlcc.targets.device import CallCost, CallTime
from dlcc.targets.peaks import Peak

GIGA = 1e9
Peaks = Callable[[str], Peak | None]  # the most that the device does with factors of a dtype


def no_peaks(_factors: str) -> Peak | None:
    """Of a device whose peak is not known."""
    return None


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One call of a kernel on a DSP. call: its place in the inference, from 1.

    macs: multiply-accumulates, None where not known. share: of the packets, 0 to 1.
    nodes: what of the graph it computes.   of_peak: macs_per_packet by the most that there can be.
    operand_bytes: of all that it reads and writes, each once.   factors: dtype of its products.
    """

    call: int
    kernel: str
    packets: int
    instructions: int
    hvx: int
    macs: int | None
    macs_per_packet: float | None
    of_peak: float | None
    share: float
    operand_bytes: int | None
    bytes_per_packet: float | None
    factors: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """One inference on a DSP: its total, and every call of a kernel in order.

    macs: of the calls where they are known; macs_per_packet: of those calls alone.
    peak: what `of_peak` is compared with, and how that is known; None where
    it is not."""

    target: str
    device: str
    packets: int
    instructions: int
    hvx: int
    macs: int | None
    macs_per_packet: float | None
    peak: str | None
    kernels: tuple[KernelRow, ...]


@dataclass(frozen=True, slots=True)
class TimeRow:
    """One call of a kernel, or one copy, where no DSP counts. call: its place, from 1.

    placement: "cpu", "gpu", or "copy" between their memories.
    time_s: None on an emulated device, which has counts.   copied_bytes: of a copy.
    macs: multiply-accumulates, None where not known.   share: of all rows, 0 to 1.
    nodes: what of the graph it computes.   of_peak: its rate by the most that there can be.
    operand_bytes: of all that it reads and writes, each once.   factors: dtype of its products.
    """

    call: int
    placement: str
    kernel: str
    time_s: float | None
    counts: Mapping[str, int]
    copied_bytes: int | None
    macs: int | None
    share: float
    gmacs_per_second: float | None
    macs_per_instruction: float | None
    of_peak: float | None
    operand_bytes: int | None
    gbytes_per_second: float | None
    bytes_per_instruction: float | None
    factors: str
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
    """One inference where no DSP counts: its sum, by placement, and every call in order.

    peak: what `of_peak` is compared with, and how that is known; None where
    it is not."""

    target: str
    device: str
    time_s: float | None
    counts: Mapping[str, int]
    macs: int | None
    peak: str | None
    placements: tuple[PlacementRow, ...]
    kernels: tuple[TimeRow, ...]


def packet_profile(
    target: str, device: str, costs: Sequence[CallCost], peaks: Peaks = no_peaks
) -> Profile:
    """The sums of an inference on a DSP, and its rows."""
    known = [cost for cost in costs if cost.macs is not None]
    macs = _total(cost.macs for cost in costs)
    packets = sum(cost.packets for cost in known)
    return Profile(
        target=target,
        device=device,
        packets=sum(cost.packets for cost in costs),
        instructions=sum(cost.instructions for cost in costs),
        hvx=sum(cost.hvx for cost in costs),
        macs=macs,
        macs_per_packet=ratio(macs, packets),
        kernels=rows(costs, peaks),
        peak=_words(peaks, (cost.factors for cost in costs)),
    )


def time_profile(
    target: str, device: str, times: Sequence[CallTime], peaks: Peaks = no_peaks
) -> TimeProfile:
    """The sums of an inference where no DSP counts, and its rows."""
    return TimeProfile(
        target=target,
        device=device,
        time_s=_time_s(times),
        counts=_counts(times),
        macs=_total(time.macs for time in times),
        placements=placements(times),
        kernels=time_rows(times, peaks),
        peak=_words(peaks, (time.factors for time in times)),
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


def rows(costs: Sequence[CallCost], peaks: Peaks = no_peaks) -> tuple[KernelRow, ...]:
    """One row for each call of a kernel on a DSP."""
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
            of_peak=_of_peak(ratio(cost.macs, cost.packets), peaks(cost.factors)),
            operand_bytes=cost.operand_bytes,
            bytes_per_packet=ratio(cost.operand_bytes, cost.packets),
            factors=cost.factors,
        )
        for number, cost in enumerate(costs, 1)
    )


def time_rows(times: Sequence[CallTime], peaks: Peaks = no_peaks) -> tuple[TimeRow, ...]:
    """One row for each call or copy."""
    return tuple(_time_row(number, time, peaks) for number, time in enumerate(times, 1))


def _time_row(number: int, time: CallTime, peaks: Peaks) -> TimeRow:
    instructions = time.counts.get("instructions")
    moved = time.bytes if time.bytes is not None else time.operand_bytes
    rate = ratio(time.macs, instructions if time.time_s is None else time.time_s)
    return TimeRow(
        call=number,
        placement=time.placement,
        kernel=time.name,
        time_s=time.time_s,
        counts=time.counts,
        copied_bytes=time.bytes,
        macs=time.macs,
        share=time.share,
        nodes=time.sources,
        gmacs_per_second=ratio(time.macs, time.time_s, GIGA),
        macs_per_instruction=ratio(time.macs, instructions),
        of_peak=_of_peak(rate, peaks(time.factors)),
        operand_bytes=time.operand_bytes,
        gbytes_per_second=ratio(moved, time.time_s, GIGA),
        bytes_per_instruction=ratio(moved, instructions),
        factors=time.factors,
    )


def ratio(amount: float | None, cost: float | None, scale: float = 1.0) -> float | None:
    """amount / cost / scale; None where one is not known or 0."""
    return amount / cost / scale if amount and cost else None


def _of_peak(rate: float | None, peak: Peak | None) -> float | None:
    return None if rate is None or peak is None else rate / peak.macs


def _words(peaks: Peaks, factors: Iterable[str]) -> str | None:
    found = (peaks(dtype) for dtype in dict.fromkeys(factors) if dtype)
    return "; ".join(peak.why for peak in found if peak is not None) or None


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
