"""8-bit depthwise convolutions whose words never leave the registers.

Rows of the image lie on a grid of vectors, as pixels have 32, 64 or whole vectors of channels. A
tile of pixels makes the words of its own window from these vectors, and what stands outside of the
image is chosen by a comparison: no copy of the image has a border. Tiles of a row stand one after
another in straight code, where LLVM makes the words that two of them share once.
Source of the sums: see windows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import ir, te, tirx

from dlcc.targets.cpu.geometry import Geometry
from dlcc.targets.hexagon.intrin import LANES, TAPS, VECTOR
from dlcc.targets.hexagon.tiles import RULE

# Vectors of weights, sums and words of a tile: more than the registers are spilled; with more
# than the most, the way by rows takes fewer packets
REGISTERS, MOST_VECTORS = 28, 46
SHUFFLE_PACKETS = 0.5  # of one that has its place beside a multiplication
SPILL_PACKETS = 0.03  # of a vector too many, in 128 results

# what 32 channels of a pixel have in four rows, by n, block of rows, four rows of it, pixel,
# column of the window, block of channels, channel, row
Words = Callable[..., ir.Expr]


@dataclass(frozen=True, slots=True)
class Tile:
    """Results that are made at once, and what it depends on whether they can be.

    width: pixels of a row of the image. products: vectors of weights of 32 channels that a row
    of results takes. words: of 32 channels that its windows reach."""

    rows: int
    pixels: int
    width: int
    channels: int
    products: int
    words: int

    @property
    def vectors(self) -> int:
        """Weights, sums and words."""
        own = self.rows * (self.products + self.pixels) + self.words
        return own * min(self.channels, VECTOR) // LANES

    def on_grid(self) -> bool:
        """Whether rows of the image and of the tile are whole vectors, and registers suffice."""
        c = self.channels
        if c % LANES or (c % VECTOR and VECTOR % c) or self.vectors > MOST_VECTORS:
            return False
        return self.width * c % VECTOR == 0 and self.pixels * c % VECTOR == 0

    def packets(self, shuffles: float) -> float:
        """Of 128 results: multiplications, shuffles of words, and what registers spill."""
        spilled = SPILL_PACKETS * max(0, self.vectors - REGISTERS)
        return TAPS * self.products + SHUFFLE_PACKETS * shuffles + spilled


@dataclass(frozen=True, slots=True)
class Grid:
    """The part of the rows that the windows of a tile lie in, in units: vectors, or pixels where
    these have several.

    unit: its bytes. count: units of the part. step: from a tile's part to the next tile's.
    lead: units of the part before the first pixel below the tile. before: pixels at the begin of
    the part that no window reaches."""

    unit: int
    count: int
    step: int
    lead: int
    before: int

    @staticmethod
    def of(g: Geometry, pixels: int) -> Grid:
        """Of a tile that is on the grid."""
        unit = max(g.c, VECTOR)
        lead = -(-g.left * g.c // unit)
        before = lead * unit // g.c - g.left
        reach = before + (pixels - 1) * g.strides[1] + (g.kw - 1) * g.dilation[1] + 1
        return Grid(
            unit, -(-reach * g.c // unit), pixels * g.strides[1] * g.c // unit, lead, before
        )

    def words(
        self, x: te.Tensor, g: Geometry, zero: int, shape: Sequence[int], groups: int
    ) -> Words:
        """shape: of the sums, [n, oh / rows, rows, ow, channels / 32, 32]."""
        n, row_blocks, rows, ow, _, _ = shape
        pixels = self.step * self.unit // (g.strides[1] * g.c)
        units, vectors = g.w * g.c // self.unit, self.unit // VECTOR
        part = (n, row_blocks, ow // pixels, groups, vectors, self.count)
        border = tirx.const(zero, x.dtype)

        def byte(*index: ir.Expr) -> ir.Expr:
            n, b, tile, k, v, u, t, j = index
            y = b * (rows * g.strides[0]) + k * TAPS + t - g.top
            at = tile * self.step + u - self.lead
            inside = tirx.all(_is_within(y, g.h), _is_within(at, units))
            line, nearest = _within(y, g.h), _within(at, units)
            pixel, channel = nearest * (VECTOR // g.c) + j // g.c, j % g.c
            if self.unit > VECTOR:
                pixel, channel = nearest, v * VECTOR + j
            return tirx.Select(inside, x[n, line, pixel, channel], border)

        lines = te.compute((*part, TAPS, VECTOR), byte, name="rows", attrs={RULE: "rows"})
        words = te.compute(
            (*part, VECTOR, TAPS),
            lambda *i: lines[(*i[:-2], i[-1], i[-2])],
            name="words",
            attrs={RULE: "words"},
        )

        def word(*index: ir.Expr) -> ir.Expr:
            n, b, k, q, rx, m, j, t = index
            at = ((q % pixels) * g.strides[1] + rx * g.dilation[1] + self.before) * g.c
            if self.unit > VECTOR:
                place = m // TAPS, at // self.unit, m % TAPS * LANES + j
            else:
                at = at + m * LANES + j
                place = 0, at // VECTOR, at % VECTOR
            return words[(n, b, q // pixels, k, *place, t)]

        return word


def _within(at: ir.Expr, count: int) -> ir.Expr:
    """The nearest index that there is."""
    return tirx.max(tirx.min(at, count - 1), 0)


def _is_within(at: ir.Expr, count: int) -> ir.Expr:
    """Whether there is such an index, as a product: TVM would understand a comparison, take the
    value behind it in a Select for guarded, and leave out `_within`; LLVM reads it always."""
    return at * (count - 1 - at) >= 0
