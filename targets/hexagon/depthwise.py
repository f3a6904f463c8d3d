"""8-bit depthwise convolutions with int32 sums, a vector of 128 channels or pixels at a time.

A row of the padded image is one run of bytes, pixel after pixel. What one position of the window
adds to 128 results of a row is then 128 bytes in a row, wherever pixels begin and end: `taps`
takes four such runs at once. Where a pixel has 32 channels or more, and its window is not thin,
the way of windows.py takes fewer packets. Source of the sums: see dense.py; here the weights are
int8, and what int8 does not hold is a second tap on the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import ir, relax, te, tirx

from dlcc.targets.cpu.geometry import Geometry
from dlcc.targets.hexagon.dense import correction, emit
from dlcc.targets.hexagon.intrin import LANES, TAPS, VECTOR
from dlcc.targets.hexagon.operands import Data
from dlcc.targets.hexagon.pad import Border, padded
from dlcc.targets.hexagon.plan import Plan
from dlcc.targets.hexagon.tiles import RULE, round_up
from dlcc.targets.hexagon.windows import (
    Window,
    blocks,
    pack_windows,
    packets,
    sums_of_windows,
    taps_packets,
)
from dlcc.targets.tuned import unfit

MOST_PERIOD = 64  # vectors until the channels of a row repeat themselves


@dataclass(frozen=True, slots=True)
class Runs:
    """How results lie in vectors.

    count: vectors of one row of results. period: after so many the same channels come again.
    whole_rows: a row of results is one run; else every pixel begins a vector.
    """

    count: int
    period: int
    whole_rows: bool

    @staticmethod
    def of(g: Geometry) -> Runs:
        if g.strides[1] == 1:
            return Runs(-(-g.ow * g.c // VECTOR), g.c // math.gcd(g.c, VECTOR), True)
        vectors = -(-g.c // VECTOR)
        return Runs(g.ow * vectors, vectors, False)

    def fill_vectors(self, g: Geometry) -> bool:
        """Whether some result stands in every lane."""
        return g.c % VECTOR == 0 or (self.whole_rows and g.ow * g.c >= VECTOR)

    def start(self, vector: ir.Expr, g: Geometry) -> ir.Expr:
        """The byte of a padded row that a vector of results begins at."""
        if self.whole_rows:
            return vector * VECTOR
        pixel, part = vector // self.period, vector % self.period
        return pixel * (g.strides[1] * g.c) + part * VECTOR

    def at(self, pixel: ir.Expr, channel: ir.Expr, g: Geometry) -> tuple[ir.Expr, ir.Expr]:
        """Vector and lane of a result."""
        if not self.whole_rows or g.c % VECTOR == 0:
            return pixel * -(-g.c // VECTOR) + channel // VECTOR, channel % VECTOR
        if VECTOR % g.c == 0:
            pixels = VECTOR // g.c
            return pixel // pixels, pixel % pixels * g.c + channel
        flat = pixel * g.c + channel
        return flat // VECTOR, flat % VECTOR


def depthwise(
    bb: relax.BlockBuilder, x: Data, w: np.ndarray, g: Geometry, plan: Plan
) -> relax.Expr | str:
    """The kernel of a depthwise convolution with weights w[kh, kw, c], or why not."""
    if g.oc != g.c:
        return "it makes several channels of one"
    runs = Runs.of(g)
    parts = _int8_parts(w.reshape(g.kh * g.kw, g.c))
    window = Window.of(g, len(parts) // (g.kh * g.kw))
    able = blocks(window)
    by_taps = runs.period <= MOST_PERIOD
    if not able and not by_taps:
        return f"the number of channels, {g.c}, has no power of two in it"
    quicker = able and packets(able[0], window) <= taps_packets(window, runs.count)
    way = plan.way("words" if quicker or not by_taps else "taps")
    if not (able if way == "words" else by_taps):
        raise unfit(plan.knobs, "window", "a way that its channels allow")
    if way == "words":
        return _by_words(bb, x, w, g, plan, parts.reshape(-1, *w.shape))
    return _by_taps(bb, x, w, g, plan, parts)


def _by_words(
    bb: relax.BlockBuilder, x: Data, w: np.ndarray, g: Geometry, plan: Plan, parts: np.ndarray
) -> relax.Expr:
    window = Window.of(g, len(parts))
    block = plan.block(window)
    constants = [pack_windows(parts, window, block)]
    if x.zero:
        constants.append(correction(w, x.zero).reshape(-1, LANES))
    attrs = plan.annotations("windows", (block.rows, block.pixels))

    def kernel(x_: te.Tensor, w: te.Tensor, *rest: te.Tensor) -> te.Tensor:
        sums = sums_of_windows(x_, w, g, x.zero, attrs)
        fixed = te.compute(
            sums.shape,
            lambda *i: sums[i] + rest[0][i[-2:]] if rest else sums[i],
            name="fixed",
        )
        return te.compute(
            (int(g.batch), g.oh, g.ow, g.c),
            lambda n, y, q, c: fixed[n, y // block.rows, y % block.rows, q, c // LANES, c % LANES],
            name="uncrop",
        )

    return emit(bb, "depthwise8", kernel, x.x, constants)


def _by_taps(
    bb: relax.BlockBuilder, x: Data, w: np.ndarray, g: Geometry, plan: Plan, parts: np.ndarray
) -> relax.Expr:
    runs = Runs.of(g)
    constants = [_pack(parts, runs)]
    if x.zero:
        constants.append(_in_vectors(correction(w, x.zero)[: g.c], runs))
    attrs = plan.annotations("depthwise", [int(runs.fill_vectors(g))])

    def kernel(x_: te.Tensor, w: te.Tensor, *rest: te.Tensor) -> te.Tensor:
        sums = _sums(x_, w, g, runs, x.zero, attrs)
        fixed = sums
        if rest:
            bias = rest[0]
            fixed = te.compute(
                sums.shape,
                lambda n, y, v, j: sums[n, y, v, j] + bias[v % runs.period, j],
                name="fixed",
            )
        shape = (int(g.batch), g.oh, g.ow, g.c)
        return te.compute(shape, lambda n, y, q, c: fixed[(n, y, *runs.at(q, c, g))], name="uncrop")

    return emit(bb, "depthwise8", kernel, x.x, constants)


def _int8_parts(w: np.ndarray) -> np.ndarray:
    """[taps, c] -> [more taps, c] of int8: parts of the weights whose sum they are."""
    parts: list[np.ndarray] = []
    while not parts or np.any(w):
        part = np.clip(w, -128, 127)
        parts.append(part.astype(np.int8))
        w = w - part
    return np.concatenate(parts)


def _pack(taps: np.ndarray, runs: Runs) -> np.ndarray:
    """[taps, c] -> [period, taps / 4, 128, 4]."""
    taps = np.pad(taps, [(0, -len(taps) % TAPS), (0, 0)])
    lanes = _in_vectors(taps.T, runs)  # [period, 128, taps]
    grouped = lanes.reshape(runs.period, VECTOR, -1, TAPS)
    return np.ascontiguousarray(grouped.transpose(0, 2, 1, 3))


def _in_vectors(by_channel: np.ndarray, runs: Runs) -> np.ndarray:
    """[c, …] -> [period, 128, …]: what stands at every lane of the vectors of results."""
    c, lanes = len(by_channel), runs.period * VECTOR
    if runs.whole_rows:
        made = by_channel[np.arange(lanes) % c]
    else:
        made = np.pad(by_channel, [(0, lanes - c)] + [(0, 0)] * (by_channel.ndim - 1))
    return np.ascontiguousarray(made.reshape(runs.period, VECTOR, *by_channel.shape[1:]))


def _sums(
    x: te.Tensor, w: te.Tensor, g: Geometry, runs: Runs, zero: int, attrs: dict[str, Any]
) -> te.Tensor:
    """x, w[period, groups, 128, 4] -> [n, oh, vectors, 128]."""
    groups, positions = int(w.shape[1]), g.kh * g.kw
    shape = (int(g.batch), g.oh, runs.count)
    reach = (g.kw - 1) * g.dilation[1] * g.c + VECTOR
    last = runs.start(tirx.const(runs.count - 1, "int32"), g)
    needed = int(last) + reach
    rows = padded(x, Border(g.top, g.bottom, g.left, round_up(needed, VECTOR), zero))

    def run(n: ir.Expr, y: ir.Expr, v: ir.Expr, t: ir.Expr, j: ir.Expr) -> ir.Expr:
        position = tirx.floormod(t, positions)  # beyond the window: weights of 0, or second parts
        row = y * g.strides[0] + tirx.floordiv(position, g.kw) * g.dilation[0]
        column = tirx.floormod(position, g.kw) * (g.dilation[1] * g.c)
        return rows[n, row, runs.start(v, g) + column + j]

    taken = te.compute((*shape, groups * TAPS, VECTOR), run, name="runs", attrs={RULE: "runs"})
    k, t = te.reduce_axis((0, groups), "k"), te.reduce_axis((0, TAPS), "t")

    def value(n: ir.Expr, y: ir.Expr, v: ir.Expr, j: ir.Expr) -> ir.Expr:
        weight = w[v % runs.period, k, j, t].astype("int32")
        return te.sum(taken[n, y, v, k * TAPS + t, j].astype("int32") * weight, [k, t])

    return te.compute((*shape, VECTOR), value, name="windows", attrs=attrs)
