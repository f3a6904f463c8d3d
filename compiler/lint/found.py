"""What a rule found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """layer: where.   what: in words, with the numbers.   times: as of a finding.
    fixable: whether the rule's fix is for this one."""

    layer: str
    what: str
    times: float | None = None
    share: float | None = None
    fixable: bool = False
