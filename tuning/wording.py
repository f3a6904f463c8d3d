"""Costs, times and shares as people read them."""

from __future__ import annotations


def cost_text(cost: float | None, reward: str) -> str:
    """`0.181 ms`, or `12,345 packets`; `-` where there is none."""
    if cost is None:
        return "-"
    if reward != "seconds":
        return f"{round(cost):,} {reward}"
    return f"{cost:.3f} s" if cost >= 1 else f"{cost * 1e3:.3f} ms"


def gain_text(default: float | None, best: float | None) -> str:
    """How many times faster the best is: `1.32x`; `-` where that is not known."""
    return f"{default / best:.2f}x" if default and best else "-"


def duration_text(time_s: float) -> str:
    """`48 s`, `3 min 20 s`, `7 h 05 min`."""
    seconds = max(0, round(time_s))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def printable(text: str) -> str:
    """Without control characters: names in a model may hold some, and a terminal obeys them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
