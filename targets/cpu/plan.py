"""How a kernel made for tiles is to be made: its register tile, and the knobs of its rule.

The knobs of a workload are those that a tuning record chose; what it leaves open, and all of a
workload without a record, the cost model decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from dlcc.targets.cpu.tiles import Cpu, Tile
from dlcc.targets.tuned import KNOBS, WORKLOAD, Knobs, Tuned, unfit
from dlcc.targets.workload import Conv2d, Matmul, Workload

RULE = "dlcc.rule"  # block annotation: the schedule rule that the kernel was written for
TILE = "dlcc.tile"  # block annotation: pixels, channels
PADDED = "dlcc.pad"  # block annotation: columns of zeros on the left, columns of the input
BLOCKS = "dlcc.blocks"  # block annotation: rows and channels of a block, see `row_blocks`
STAGE = "dlcc.stage"  # block annotation: the name of a stage that is not inlined

# Values of the knobs that have names; the cost model's choice is one of them.
ORDER = ("panels", "pixels")  # what the outermost loop runs over
SHARES = "shares"  # matmul: all panels for each thread's share of the pixels
PRODUCT_ORDER = (*ORDER, SHARES)
PARALLEL = ("outer", "fused", "none")  # matmul: the outer loop, tiles and panels as one, or none
NO_WINOGRAD = "no"  # conv2d, knob winograd: the sum itself, else its way as SIZExROWS
PAD = ("block", "whole")  # conv2d: with each block of rows, or first of all
DEPTHWISE_PAD = ("inline", *PAD)  # inline: where it is read, nothing is copied
MOST_PIXELS, MOST_VECTORS, MOST_ROWS = 32, 8, 64


@dataclass(frozen=True, slots=True)
class Plan:
    """The register tile of a kernel, and the knobs that its schedule asks for by name.

    workload: "" for shapes that are not known, which cannot be tuned."""

    tile: Tile
    workload: str = ""
    knobs: Knobs = field(default_factory=dict)

    def annotations(self, rule: str) -> dict[str, Any]:
        """For the block that the rule looks for."""
        noted = {RULE: rule, TILE: [self.tile.pixels, self.tile.channels]}
        return noted | ({WORKLOAD: self.workload, KNOBS: dict(self.knobs)} if self.workload else {})


def plan(tuned: Tuned, workload: Workload | None, default: Tile, cpu: Cpu) -> Plan:
    """The plan of a kernel. default: the cost model's tile. Raises UsageError for a record with
    knobs that the kernel cannot have."""
    if workload is None:
        return Plan(default)
    knobs = tuned.knobs(str(workload)) or {}
    return Plan(_tile(knobs, workload, default, cpu), str(workload), knobs)


def _tile(knobs: Knobs, workload: Workload, default: Tile, cpu: Cpu) -> Tile:
    if "tile" not in knobs:
        return default
    found = re.fullmatch(r"(\d{1,3})x(\d{1,4})", str(knobs["tile"]))
    tile = Tile(*map(int, found.groups())) if found else Tile(0, 0)
    if not fits(tile, workload, cpu):
        raise unfit(knobs, "tile", "PIXELSxCHANNELS that fits the kernel and its vectors")
    return tile


def fits(tile: Tile, workload: Workload, cpu: Cpu) -> bool:
    """Whether the kernel of a workload can be made with a tile."""
    if not (1 <= tile.pixels <= MOST_PIXELS and 1 <= tile.channels <= MOST_VECTORS * cpu.lanes):
        return False
    if isinstance(workload, Conv2d) and workload.depthwise:
        return workload.oc % tile.channels == 0
    if tile.channels % cpu.lanes:
        return False
    if isinstance(workload, Matmul):
        return workload.weights == "packed" or workload.n % tile.channels == 0
    whole = workload.weights == "packed" and workload.g == 1
    return whole or (workload.oc // workload.g) % tile.channels == 0
