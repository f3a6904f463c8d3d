"""The register tile of a product on HVX: rows by vectors of 32 sums."""

from __future__ import annotations

from dataclasses import dataclass

from dlcc.targets.hexagon.intrin import LANES

RULE = "dlcc.rule"  # block annotation: the schedule rule that the kernel was written for
TILE = "dlcc.tile"  # block annotation: rows, vectors
STEPS = "dlcc.steps"  # block annotation: words of the reduction that are unrolled
FUSABLE = {"op_pattern": 4}  # "out elementwise fusable": what follows may join the kernel

# Sums, a vector of weights for each column of them, and the totals of x: 32 registers, less those
# that LLVM wants for the epilogue. Measured: with more rows than these it spills.
MOST_ROWS = {1: 12, 2: 8, 3: 5, 4: 4}
MOST_STEPS = 4  # words of a reduction, as many unrolled; half of them do by default
STEP_PACKETS = 1.0  # loop control and loads that no multiplication hides, a step


@dataclass(frozen=True, slots=True)
class Tile:
    """Sums that stay in registers: `rows` pixels by `vectors` of 32 channels."""

    rows: int
    vectors: int

    @property
    def channels(self) -> int:
        return self.vectors * LANES


def tiles(rows: int, channels: int) -> list[Tile]:
    """Tiles for `rows` x `channels` results; the one that takes the fewest packets is the first.

    A step of four bytes costs rows * vectors / 2 packets: two multiplications go into one.
    """
    blocks = -(-channels // LANES)
    able = [
        Tile(r, v)
        for v, most in MOST_ROWS.items()
        if blocks % v == 0
        for r in range(1, min(most, rows) + 1)
    ]

    def packets(tile: Tile) -> float:
        step = max(tile.rows * tile.vectors / 2, tile.vectors) + STEP_PACKETS
        return -(-rows // tile.rows) * (blocks // tile.vectors) * step

    return sorted(able, key=lambda t: (packets(t), -t.vectors))


def round_up(n: int, step: int) -> int:
    """The least multiple of `step` from `n` on."""
    return -(-n // step) * step
