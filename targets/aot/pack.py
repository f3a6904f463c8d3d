"""Places tensors in one arena, so that those alive at the same time do not overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from dlcc.targets.aot.program import aligned


@dataclass(frozen=True, slots=True)
class Interval:
    """A tensor of `size_bytes`, alive from call number `first` to `last`, both included."""

    size_bytes: int
    first: int
    last: int


def pack(intervals: Sequence[Interval]) -> tuple[list[int], int]:
    """The place of each interval, bytes, a multiple of 128, and the bytes of the whole arena.

    Which is placed first, and at which end of a gap, decides how much is lost, so some orders and
    both ways are tried and the smallest arena wins. Largest first is `greedy by size` of Pisarchyk
    and Lee, Efficient Memory Management for Deep Neural Net Inference (2020), section 5.
    """
    orders: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-intervals[i].size_bytes, intervals[i].first),
        lambda i: (intervals[i].first, -intervals[i].size_bytes),
        lambda i: (intervals[i].first - intervals[i].last, -intervals[i].size_bytes),
    )
    least = live_bytes(intervals)
    packed = [
        _placed(intervals, sorted(range(len(intervals)), key=order), edge)
        for order in orders
        for edge in (0, least)
    ]
    return min(packed, key=lambda p: p[1])


def live_bytes(intervals: Sequence[Interval]) -> int:
    """The largest sum of sizes alive at one call: no arena can be smaller."""
    return max(alive(intervals), default=0)


def alive(intervals: Sequence[Interval]) -> list[int]:
    """The sum of sizes alive at each call, up to the last of any."""
    change = [0] * (max((i.last for i in intervals), default=-1) + 2)
    for i in intervals:
        change[i.first] += aligned(i.size_bytes)
        change[i.last + 1] -= aligned(i.size_bytes)
    return list(accumulate(change[:-1]))


def _placed(
    intervals: Sequence[Interval], order: Sequence[int], edge: int
) -> tuple[list[int], int]:
    """Place one after another.   edge: 0, or the bytes of an arena to whose two ends tensors go
    as near as they can: what is left is then in one piece."""
    places = [0] * len(intervals)
    done: list[int] = []
    for number in order:
        own = intervals[number]
        size = aligned(own.size_bytes)
        rivals = sorted(
            (places[d], places[d] + aligned(intervals[d].size_bytes))
            for d in done
            if intervals[d].first <= own.last and own.first <= intervals[d].last
        )
        places[number] = _place(rivals, size, edge)
        done.append(number)
    total = max((places[d] + aligned(intervals[d].size_bytes) for d in done), default=0)
    return places, total


def _place(rivals: Sequence[tuple[int, int]], size: int, edge: int) -> int:
    """The lowest place between the rivals (start, end), or with an edge the outermost below it."""
    fits: list[int] = []
    at = 0
    for start, end in [*rivals, (edge, edge)]:
        if start - at >= size:
            fits += [at, start - size]
        at = max(at, end)
    inside = [f for f in fits if f + size <= edge]
    if inside:
        return min(inside, key=lambda f: min(f, edge - f - size))
    last = max((end for _, end in rivals), default=0)
    return min([*fits, last])
