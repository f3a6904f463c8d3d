"""Curves as inline SVG: steps down from the default to the best, with axes that can be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise

LEFT, RIGHT, TOP, BOTTOM = 76, 12, 10, 30  # room for the axes, in pixels


def chart(
    points: Sequence[tuple[int, float]],
    text: Callable[[float], str],
    *,
    name: str,
    width: int = 620,
    height: int = 200,
) -> str:
    """An SVG of steps. points: (trial, value), trials rising.   text: how a value is written."""
    points = [(x, y) for x, y in points if math.isfinite(y)]
    if not points:
        return ""
    last = max(points[-1][0], 1)
    low, high = _range([y for _, y in points])

    def at_x(x: float) -> float:
        return LEFT + (width - LEFT - RIGHT) * x / last

    def at_y(y: float) -> float:
        return TOP + (height - TOP - BOTTOM) * (high - y) / (high - low)

    ticks = [low + (high - low) * n / 4 for n in range(5)]
    lines = [
        f'<path d="M{LEFT} {at_y(y):.1f}H{width - RIGHT}" class="grid"/>'
        f'<text x="{LEFT - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{escape(text(y))}</text>'
        for y in ticks
    ]
    marks = [
        f'<text x="{at_x(x):.1f}" y="{height - 10}" text-anchor="middle">{x:,}</text>'
        for x in _marks(last)
    ]
    path = _path([(at_x(x), at_y(y)) for x, y in points])
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{escape(name)}</title>{''.join(lines)}{''.join(marks)}"
        f'<path d="{path}" class="curve"/></svg>'
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """A little more than what the values span, so that a flat curve has a height too."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return max(0.0, low - margin), high + margin


def _marks(last: int) -> list[int]:
    """A few round numbers of trials up to the last."""
    step = 10 ** max(0, len(str(last)) - 1)
    step = next(s for s in (step // 5 or 1, step // 2 or 1, step, 2 * step) if last / s <= 8)
    return list(range(0, last + 1, step))


def _path(points: Sequence[tuple[float, float]]) -> str:
    """The best cost stays what it is until the trial that beats it."""
    (x, y), *_ = points
    steps = "".join(f"H{b[0]:.1f}V{b[1]:.1f}" for _, b in pairwise(points))
    return f"M{x:.1f} {y:.1f}{steps or f'H{x + 4:.1f}'}"
