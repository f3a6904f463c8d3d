"""Which differences of costs mean something: the rule by which a choice wins.

A choice and the default are measured in turns, so what a machine does in the meantime slows down
both of a round: rounds are compared, not times of different minutes.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

# Times of the same kernel differ by some per cent from one minute to the next. Counts do not.
MARGIN = {"seconds": 0.03, "instructions": 0.0, "packets": 0.0}
SURE = 0.75  # of the rounds: chance alone makes a choice the faster one in half of them


def ratio(tuned: Sequence[float], default: Sequence[float]) -> float:
    """What a choice costs of what the default costs: the median over the rounds."""
    pairs = list(zip(tuned, default, strict=True))
    return statistics.median(t / d if d > 0 else 1.0 for t, d in pairs)


def spread(costs: Sequence[float]) -> float:
    """How far two measurements of the same are apart: every second round against the others."""
    if len(costs) < 2 or min(costs) <= 0:
        return 0.0
    one, other = (statistics.median(costs[start::2]) for start in (0, 1))
    return abs(one / other - 1.0)


def wins(tuned: Sequence[float], default: Sequence[float], reward: str) -> bool:
    """Whether a choice beats the default by more than the noise: by 3 %, by more than repeated
    measurements of the default are apart, and in most rounds; of counts by any difference."""
    least = MARGIN[reward]
    if least:
        least = max(least, spread(default))
    return ratio(tuned, default) < 1.0 - least and mostly_faster(tuned, default)


def mostly_faster(tuned: Sequence[float], default: Sequence[float], least: float = SURE) -> bool:
    """Whether a choice is faster in at least such a share of the rounds."""
    faster = sum(t < d for t, d in zip(tuned, default, strict=True))
    return faster >= least * len(default)
