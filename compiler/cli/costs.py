"""What a benchmark found, summed up."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from dlcc.compiler.session import Session
from dlcc.targets.device import Bench


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one inference: seconds on a real device, counts of events on an emulated one."""

    target: str
    device: str
    runs: int | None
    min_s: float | None
    median_s: float | None
    p95_s: float | None
    counts: Mapping[str, int]


def summary(session: Session, bench: Bench) -> Cost:
    """Minimum, median and 95th percentile (nearest rank) of the times, and the counts."""
    times = sorted(bench.times_s)
    place = session.target, session.device
    if not times:
        return Cost(*place, None, None, None, None, bench.counts)
    rank = -(-95 * len(times) // 100)
    return Cost(
        *place, len(times), times[0], statistics.median(times), times[rank - 1], bench.counts
    )
