"""The knobs of OpenCL's rules: what tuning chose for a kernel, checked against the device.

`tile` and `winograd` are those of CPUs; the kernel is made by them before it comes here.
"""

from __future__ import annotations

from dataclasses import dataclass

from dlcc.targets.opencl.engine import Engine
from dlcc.targets.tuned import Knobs, pick, unfit

# What work-items side by side are neighbours along; where the input is padded, a launch of its own
# or where it is read.
ORDER = (PANELS, PIXELS) = ("panels", "pixels")
PAD = (WHOLE, INLINE) = ("whole", "inline")
LANES = (2, 4, 8, 16)  # numbers of a vector. Source: OpenCL C 1.2, 6.1.2
STEPS = (1, 2, 4, 8)  # of a reduction that are unrolled
STAGED = (0, 8, 16, 32)  # steps whose shared operand a group copies to its local memory; 0: none
SHARES = (1, 4, 8, 16, 32, 64)  # work-items that sum a column of a matrix together
USUAL_SHARES = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """The knobs of one kernel on a device. Each raises UsageError for a record with a value that
    the device or the kernel cannot have."""

    knobs: Knobs
    engine: Engine

    def group(self) -> int:
        """Most work-items of a work-group; 0 where nobody chose."""
        if "group" not in self.knobs:
            return 0
        value = self.knobs["group"]
        if not isinstance(value, int) or not 1 <= value <= self.engine.work_group:
            raise unfit(self.knobs, "group", f"1 to {self.engine.work_group} work-items")
        return value

    def order(self, default: str) -> str:
        return pick(self.knobs, "order", default, ORDER)

    def pad(self, default: str) -> str:
        return pick(self.knobs, "pad", default, PAD)

    def lanes(self) -> int:
        return self._number("lanes", self.engine.lanes, LANES)

    def steps(self, depth: int) -> int:
        """Of a reduction of so many steps."""
        return self._number("steps", 1, tuple(n for n in STEPS if depth % n == 0))

    def staged(self, depth: int, floats: int) -> int:
        """Steps of a reduction whose operand is copied, of so many floats each."""
        able = [n for n in STAGED if n and depth % n == 0]
        fitting = [n for n in able if n * floats * 4 <= self.engine.local_bytes]
        return self._number("local", 0, (0, *fitting))

    def shares(self, default: int, columns: int) -> int:
        """Of a sum, for so many columns in a group."""
        return self._number("shares", default, tuple(able_shares(columns, self.engine)))

    def _number(self, name: str, default: int, known: tuple[int, ...]) -> int:
        value = self.knobs.get(name, default)
        if name in self.knobs and value not in known:
            raise unfit(self.knobs, name, " or ".join(map(str, known)))
        return int(value)


def able_shares(columns: int, engine: Engine) -> list[int]:
    """How many work-items can sum a column together where a group has so many columns."""
    return [n for n in SHARES if n * columns <= engine.work_group or n == 1]


def usual_shares(columns: int, engine: Engine) -> int:
    """Where nobody chose, and there is too little work to keep the device busy."""
    return max(n for n in able_shares(columns, engine) if n <= USUAL_SHARES)
