"""Packing: nothing that is alive at the same time overlaps, and little is lost."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from dlcc.targets.aot.pack import Interval, live_bytes, pack
from dlcc.targets.aot.program import ALIGN_BYTES, aligned


def chain(sizes: list[int]) -> list[Interval]:
    return [Interval(size, i, i + 1) for i, size in enumerate(sizes)]


def residual(blocks: int) -> list[Interval]:
    """Each block keeps its input until its end."""
    kept = [Interval(4096, 3 * i, 3 * i + 3) for i in range(blocks)]
    return kept + [Interval(8192 + 128 * i, 3 * i + 1, 3 * i + 2) for i in range(blocks)]


def anything(seed: int) -> list[Interval]:
    draw = random.Random(seed)
    made = []
    for first in range(40):
        made.append(Interval(draw.choice([0, 4, 130, 5000, 40_000]), first, first + 1))
        if draw.random() < 0.3:
            made.append(Interval(draw.randint(1, 20_000), first, first + draw.randint(0, 9)))
    return made


CASES = [[], chain([100, 5000, 20, 9000, 9000, 1]), residual(8), *map(anything, range(12))]


@pytest.mark.parametrize("intervals", CASES)
def test_places(intervals: list[Interval]) -> None:
    places, total = pack(intervals)
    assert all(place % ALIGN_BYTES == 0 for place in places)
    for (a, at), (b, bt) in combinations(zip(intervals, places, strict=True), 2):
        if a.first <= b.last and b.first <= a.last and a.size_bytes and b.size_bytes:
            assert at + a.size_bytes <= bt or bt + b.size_bytes <= at
    ends = [p + aligned(i.size_bytes) for i, p in zip(intervals, places, strict=True)]
    assert total == max(ends, default=0)
    assert live_bytes(intervals) <= total <= 1.3 * live_bytes(intervals)


def test_live_bytes_is_the_largest_sum() -> None:
    assert live_bytes([Interval(128, 0, 1), Interval(256, 1, 2), Interval(128, 2, 2)]) == 384
