"""What tuning chose: knobs of our own rules by workload, traces of schedules by kernel.

A build takes it as a value. Where records are kept and how the best are found, it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dlcc.targets.errors import UsageError

Knobs = Mapping[str, int | str]

# Annotations of the block that a rule is made for.
WORKLOAD = "dlcc.workload"  # text of a `Workload`
KNOBS = "dlcc.knobs"  # what was chosen for it, {} where the cost model decides


@dataclass(frozen=True, slots=True)
class Tuned:
    """Choices for one chip. Both look-ups give None where nothing was chosen."""

    by_workload: Mapping[str, Knobs] = field(default_factory=dict)
    by_kernel: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many choices there are."""
        return len(self.by_workload) + len(self.by_kernel)

    def knobs(self, workload: str) -> Knobs | None:
        """The knobs of the kernel of a workload (`str(Conv2d(…))`)."""
        return self.by_workload.get(workload)

    def trace(self, kernel: str) -> str | None:
        """The trace, as JSON, of an unscheduled kernel, by its structural hash."""
        return self.by_kernel.get(kernel)


UNTUNED = Tuned()


def pick(knobs: Knobs, name: str, default: str, known: tuple[str, ...]) -> str:
    """The value of a knob with named values; raises UsageError for one that the rule lacks."""
    value = knobs.get(name, default)
    if value not in known:
        raise unfit(knobs, name, f"{' or '.join(known)}")
    return str(value)


def unfit(knobs: Knobs, name: str, expected: str) -> UsageError:
    """The error of a knob whose value the rule cannot take."""
    return UsageError(
        f"a tuning record sets {name} to {knobs[name]!r}, expected {expected}",
        hint="the record is damaged or of another version; `dlcc records prune` drops such records",
    )
