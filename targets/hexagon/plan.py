"""How a kernel of 8-bit integers is to be made: its register tile, and the knobs of its rule.

The knobs of a workload are those that a tuning record chose; what it leaves open, and all of a
workload without a record, the cost models of `tiles` and `windows` decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dlcc.targets.cpu.geometry import Geometry
from dlcc.targets.cpu.matmul import static
from dlcc.targets.hexagon.tiles import MOST_STEPS, RULE, STEPS, TILE, Tile, tiles
from dlcc.targets.hexagon.windows import Block, Window, blocks
from dlcc.targets.tuned import KNOBS, WORKLOAD, Knobs, Tuned, pick, unfit
from dlcc.targets.workload import Conv2d, Workload

WAYS = ("words", "taps")  # depthwise, knob window: see windows.py and depthwise.py
PACKED = "packed"  # all weights are constants


@dataclass(frozen=True, slots=True)
class Plan:
    """The knobs of one kernel."""

    workload: str
    knobs: Knobs

    @staticmethod
    def of(tuned: Tuned, workload: Workload) -> Plan:
        return Plan(str(workload), tuned.knobs(str(workload)) or {})

    def annotations(self, rule: str, tile: Sequence[int]) -> dict[str, Any]:
        """For the block that the rule looks for."""
        noted = {RULE: rule, TILE: list(tile), STEPS: self.steps()}
        return {**noted, WORKLOAD: self.workload, KNOBS: dict(self.knobs)}

    def product_tile(self, rows: int, channels: int) -> Tile:
        """Raises UsageError for a record with a tile that the kernel cannot have."""
        able = tiles(rows, channels)
        if "tile" not in self.knobs:
            return able[0]
        found = {f"{t.rows}x{t.vectors}": t for t in able}.get(str(self.knobs["tile"]))
        if found is None:
            raise unfit(self.knobs, "tile", "ROWSxVECTORS that fits the kernel and its registers")
        return found

    def block(self, window: Window) -> Block:
        """Of a depthwise convolution by words. Raises UsageError."""
        able = blocks(window)
        if "tile" not in self.knobs:
            return able[0]
        found = {str(b): b for b in able}.get(str(self.knobs["tile"]))
        if found is None:
            raise unfit(self.knobs, "tile", "ROWSxPIXELS that leaves no rest")
        return found

    def steps(self) -> int:
        """Words of a reduction that are unrolled. Raises UsageError."""
        value = self.knobs.get("steps", MOST_STEPS // 2)
        if value not in range(1, MOST_STEPS + 1):
            raise unfit(self.knobs, "steps", f"1 to {MOST_STEPS}")
        return int(value)

    def way(self, default: str) -> str:
        """How a depthwise convolution takes its window. Raises UsageError."""
        return pick(self.knobs, "window", default, WAYS)


def conv2d_workload(g: Geometry, dtype: str) -> Conv2d:
    """What tuning records name a convolution by."""
    n = static(g.batch)
    assert n is not None  # `geometry` takes known shapes only
    return Conv2d(
        n, g.h, g.w, g.c, g.oc, (g.kh, g.kw), g.strides, (g.top, g.left, g.bottom, g.right),
        g.dilation, g.groups, dtype, PACKED,
    )  # fmt: skip
