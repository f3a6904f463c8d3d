"""8-bit depthwise convolutions whose window is multiplied four rows at a time.

Four rows of the padded image, interleaved byte by byte, are words: what 32 channels of a pixel
have in these rows is one vector. It is made once, and serves every position of the window in its
column, and every row of results whose window reaches it: weights of 0 stand for the rows that it
does not reach. So 3 x 3 positions take 3 multiplications, and two rows of results share the words.
Source of the sums: see dense.py; weights are int8, what int8 does not hold is a second part on the
same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import ir, te

from dlcc.targets.cpu.geometry import Geometry
from dlcc.targets.hexagon.grid import Grid, Tile, Words
from dlcc.targets.hexagon.intrin import LANES, TAPS, VECTOR
from dlcc.targets.hexagon.pad import Border, padded
from dlcc.targets.hexagon.tiles import RULE, TILE, round_up

MOST_ROWS = 4
MOST_SUMS = 16  # in registers at once; weights and words take the rest
# Packets of the cost model, measured: four vectors of words; a vector of 128 results by four taps
WORDS_PACKETS = 8.0
TAPS_PACKETS = 10.0


@dataclass(frozen=True, slots=True)
class Window:
    """What of a depthwise convolution the tile depends on.

    w: pixels of a row of the image. parts: of its weights whose sum they are, each int8."""

    w: int
    oh: int
    ow: int
    c: int
    k: tuple[int, int]
    s: tuple[int, int]
    d: tuple[int, int]
    parts: int = 1

    @staticmethod
    def of(g: Geometry, parts: int) -> Window:
        return Window(g.w, g.oh, g.ow, g.c, (g.kh, g.kw), g.strides, g.dilation, parts)


@dataclass(frozen=True, slots=True)
class Block:
    """Results whose sums are in registers at once: rows that share words, by pixels."""

    rows: int
    pixels: int

    def __str__(self) -> str:
        return f"{self.rows}x{self.pixels}"

    def groups(self, window: Window) -> int:
        """Words, of four rows each, that the rows take."""
        reach = (self.rows - 1) * window.s[0] + (window.k[0] - 1) * window.d[0] + 1
        return -(-reach // TAPS)

    def tile(self, window: Window) -> Tile:
        """The same as one whose words stay in registers."""
        groups = self.groups(window)
        reach = (self.pixels - 1) * window.s[1] + (window.k[1] - 1) * window.d[1] + 1
        products = window.parts * groups * window.k[1]
        return Tile(self.rows, self.pixels, window.w, window.c, products, groups * reach)


def blocks(window: Window) -> list[Block]:
    """Those that fit the registers and leave no rest; the one that takes the fewest packets is
    the first. None for fewer channels than a vector of sums has."""
    if window.c < LANES:
        return []
    able = [
        Block(r, p)
        for r in range(1, MOST_ROWS + 1)
        for p in range(1, MOST_SUMS // r + 1)
        if window.oh % r == 0 and window.ow % p == 0
    ]
    return sorted(able, key=lambda b: (packets(b, window), -b.rows * b.pixels))


def packets(block: Block, window: Window) -> float:
    """Of 128 results: their multiplications and loads of weights, and their share of the words."""
    steps = window.parts * block.groups(window) * window.k[1]
    tile = block.tile(window)
    if tile.on_grid():
        return tile.packets(TAPS * block.groups(window) * window.s[1] / block.rows)
    lanes = round_up(window.c, LANES) / window.c
    words = block.groups(window) * window.s[1] * WORDS_PACKETS / block.rows
    return lanes * steps * 4 * (1 + 1 / (2 * block.pixels)) + words


def taps_packets(window: Window, vectors: int) -> float:
    """The same of the way by taps, which takes `vectors` of 128 for a row of results."""
    groups = -(-window.parts * window.k[0] * window.k[1] // TAPS)
    return groups * TAPS_PACKETS * vectors * VECTOR / (window.ow * window.c)


def pack_windows(parts: np.ndarray, window: Window, block: Block) -> np.ndarray:
    """int8[parts, kh, kw, c] -> [channels / 32, parts, groups, kw, rows, 32, 4]."""
    count, kh, kw, c = parts.shape
    reach = block.groups(window) * TAPS
    spread = np.zeros((block.rows, count, reach, kw, round_up(c, LANES)), np.int8)
    for row in range(block.rows):
        for i in range(kh):
            spread[row, :, row * window.s[0] + i * window.d[0], :, :c] = parts[:, i]
    shaped = spread.reshape(block.rows, count, -1, TAPS, kw, spread.shape[-1] // LANES, LANES)
    return np.ascontiguousarray(shaped.transpose(5, 1, 2, 4, 0, 6, 3))


def sums_of_windows(
    x: te.Tensor, w: te.Tensor, g: Geometry, zero: int, attrs: dict[str, Any]
) -> te.Tensor:
    """x, w of `pack_windows` -> [n, oh / rows, rows, ow, channels / 32, 32]."""
    channels, parts, groups, kw, rows = (int(d) for d in w.shape[:5])
    shape = (int(g.batch), g.oh // rows, rows, g.ow, channels, LANES)
    block = Block(rows, int(attrs[TILE][1]))
    on_grid = block.tile(Window.of(g, parts)).on_grid()
    made = Grid.of(g, block.pixels).words if on_grid else _words
    words = made(x, g, zero, shape, groups)
    axes = [te.reduce_axis((0, e), n) for e, n in ((parts, "p"), (groups, "k"), (kw, "rx"))]
    p, k, rx, t = axes = [*axes, te.reduce_axis((0, TAPS), "t")]

    def value(n: ir.Expr, b: ir.Expr, r: ir.Expr, q: ir.Expr, m: ir.Expr, j: ir.Expr) -> ir.Expr:
        byte = words(n, b, k, q, rx, m, j, t).astype("int32")
        return te.sum(byte * w[m, p, k, rx, r, j, t].astype("int32"), axes)

    return te.compute(shape, value, name="windows", attrs=attrs)


def _words(x: te.Tensor, g: Geometry, zero: int, shape: Sequence[int], groups: int) -> Words:
    """Of four rows of the padded image: [n, oh / rows, groups, vectors, 128, 4]."""
    n, row_blocks, rows, _, channels, _ = shape
    window_bytes = (g.kw - 1) * g.dilation[1] * g.c + channels * LANES
    row_bytes = round_up((g.ow - 1) * g.strides[1] * g.c + window_bytes, VECTOR)
    step = rows * g.strides[0]  # rows from a block to the next
    lines = (row_blocks - 1) * step + groups * TAPS
    bottom = max(g.bottom, lines - g.top - g.h)
    image = padded(x, Border(g.top, bottom, g.left, row_bytes, zero))

    def byte(n: ir.Expr, b: ir.Expr, k: ir.Expr, v: ir.Expr, j: ir.Expr, t: ir.Expr) -> ir.Expr:
        return image[n, b * step + k * TAPS + t, v * VECTOR + j]

    made = (n, row_blocks, groups, row_bytes // VECTOR, VECTOR, TAPS)
    words = te.compute(made, byte, name="words", attrs={RULE: "words"})

    def word(*index: ir.Expr) -> ir.Expr:
        n, b, k, q, rx, m, j, t = index
        at = q * (g.strides[1] * g.c) + rx * (g.dilation[1] * g.c) + m * LANES + j
        return words[n, b, k, at // VECTOR, at % VECTOR, t]

    return word
