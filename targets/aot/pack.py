"""Places tensors in one arena, so that those alive at the same time do not overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dlcc.targets.aot.program import aligned


@dataclass(frozen=True, slots=True)
class Interval:
    """A tensor of `size_bytes`, alive from call number `first` to `last`, both included."""

    size_bytes: int
    first: int
    last: int


def pack(intervals: Sequence[Interval]) -> tuple[list[int], int]:
    """The place of each interval, bytes, a multiple of 128, and the bytes of the whole arena.

    Each goes to the lowest gap that is free during its life; which is placed first decides how
    much is lost, so some orders are tried and the smallest arena wins. Largest first is
    `greedy by size` of Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net
    Inference (2020), section 5.
    """
    orders: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-intervals[i].size_bytes, intervals[i].first),
        lambda i: (intervals[i].first, -intervals[i].size_bytes),
        lambda i: (intervals[i].first - intervals[i].last, -intervals[i].size_bytes),
    )
    packed = [_placed(intervals, sorted(range(len(intervals)), key=order)) for order in orders]
    return min(packed, key=lambda p: p[1])


def live_bytes(intervals: Sequence[Interval]) -> int:
    """The largest sum of sizes alive at one call: no arena can be smaller."""
    starts = {i.first for i in intervals}
    return max((_alive(intervals, at) for at in starts), default=0)


def _alive(intervals: Sequence[Interval], at: int) -> int:
    return sum(aligned(i.size_bytes) for i in intervals if i.first <= at <= i.last)


def _placed(intervals: Sequence[Interval], order: Sequence[int]) -> tuple[list[int], int]:
    places = [0] * len(intervals)
    done: list[int] = []
    for number in order:
        own = intervals[number]
        rivals = sorted(
            (places[d], places[d] + aligned(intervals[d].size_bytes))
            for d in done
            if intervals[d].first <= own.last and own.first <= intervals[d].last
        )
        at = 0
        for start, end in rivals:
            if start - at >= aligned(own.size_bytes):
                break
            at = max(at, end)
        places[number] = at
        done.append(number)
    total = max((places[d] + aligned(intervals[d].size_bytes) for d in done), default=0)
    return places, total
