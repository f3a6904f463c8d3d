"""Expansions that stay in cache: a 1x1 convolution and the depthwise one behind it, by blocks.

An inverted residual makes several times its channels, and a depthwise convolution reads them at
once. Whole, they leave L2 on the way; some rows of some channels at a time, they do not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tvm import ir, relax, te, tirx
from tvm.ir import IRModule, Op
from tvm.relax.expr_functor import PyExprMutator, mutator

from dlcc.targets.cpu.bindings import bindings
from dlcc.targets.cpu.conv2d import workload
from dlcc.targets.cpu.geometry import Geometry, geometry
from dlcc.targets.cpu.layout import ELEMENTWISE
from dlcc.targets.cpu.matmul import FUSABLE, is_const, packed_weights, static
from dlcc.targets.cpu.plan import BLOCKS, STAGE, TILE, Plan
from dlcc.targets.cpu.tiles import (
    FLOAT_BYTES,
    PER_CYCLE,
    Cpu,
    Tile,
    Window,
    balanced,
    depthwise_tile,
    round_up,
    whole_tile,
)
from dlcc.targets.rewriting import relax_functions
from dlcc.targets.tuned import Tuned

EXPANDED = "expanded"  # the stage that is kept by blocks
BLOCK_SHARE = 0.6  # of L2 for a block and its input
KEPT_CYCLES = 0.5  # saved for each number that stays in L2: half of what was measured, to be sure
BEHIND = "dlcc.behind"  # attribute of a depthwise kernel: what it is to be fused behind
MAP = 0  # how TVM fuses what maps elements, its OpPatternKind


@dataclass(frozen=True, slots=True)
class RowBlocks:
    """How an image is cut. rows: of the result. held: of the expansion, for these.

    count: blocks of an image, one above the other.   channels: of a panel."""

    rows: int
    held: int
    count: int
    channels: int


def row_blocks(
    e: Geometry, d: Geometry, tiles: tuple[Tile, Tile], rows: Iterable[int], cpu: Cpu
) -> RowBlocks | None:
    """The blocks that stay in L2 with their input and compute the fewest rows twice; None where the
    whole expansion stays there, and where those rows cost more than what is kept.

    e, d: the expansion and the depthwise convolution.   tiles: theirs.
    rows: of the result, which a block may have."""
    channels = math.lcm(*(tile.channels for tile in tiles))
    if e.h * e.w * e.oc * FLOAT_BYTES <= cpu.l2_bytes or e.oc % channels:
        return None
    panels = (static(e.batch) or 1) * (e.oc // channels)
    able = [
        blocks
        for blocks in (_blocks(d, r, channels) for r in rows if d.oh % r == 0)
        if blocks.held * e.w * (e.c + channels) * FLOAT_BYTES <= BLOCK_SHARE * cpu.l2_bytes
        if balanced(panels * blocks.count, cpu.threads)
    ]
    best = min(able, key=lambda b: b.count * b.held, default=None)
    if best is None:
        return None
    again = max(0.0, best.count * best.held / e.h - 1.0)
    return best if again * e.c / (PER_CYCLE * cpu.lanes) < KEPT_CYCLES else None


def _blocks(d: Geometry, rows: int, channels: int) -> RowBlocks:
    span = (d.kh - 1) * d.dilation[0] + 1
    held = d.h if rows == d.oh else (rows - 1) * d.strides[0] + span
    return RowBlocks(rows, held, d.oh // rows, channels)


def block_rows_of_pairs(mod: IRModule, cpu: Cpu, tuned: Tuned) -> IRModule:
    """Expansions in the layout of blocks, where that pays: fusion makes a pair one kernel.

    Before:  y = relu(conv2d(x, const[1, 1, c, oc]));  z = depthwise(y)
    After:   y = relu(expand(x, …));  z = depthwise(y)      # y: [blocks, rows, columns, oc]
    """
    if not cpu.blocks_rows:
        return mod
    pairs = _Pairs(mod, cpu, tuned)
    for var in relax_functions(mod):
        pairs.learn(mod[var])
        if pairs.found:
            pairs.builder_.update_func(var, pairs.visit_expr(mod[var]))
            pairs.changed = True
    return pairs.builder_.get() if pairs.changed else mod


def pairs_fused(mod: IRModule) -> IRModule:
    """The depthwise kernels of pairs in the guise of maps, which FuseOps puts behind a product.

    That they read numbers more than once is for the schedule to know."""
    out = mod.clone()
    for var, func in mod.functions.items():
        if func.attrs is not None and BEHIND in func.attrs:
            out[var] = func.without_attr(BEHIND).with_attr("op_pattern", MAP)
    return out


@dataclass(frozen=True, slots=True)
class _Pair:
    """One expansion and its depthwise convolution, the tiles of both, and the blocks."""

    e: Geometry
    d: Geometry
    tile: Tile
    window_tile: Tile
    blocks: RowBlocks


@mutator
class _Pairs(PyExprMutator):  # type: ignore[misc]
    """Replaces both convolutions of a pair; types of what lies between follow by themselves."""

    def __init__(self, mod: IRModule, cpu: Cpu, tuned: Tuned) -> None:
        super().__init__(mod)
        self.cpu, self.tuned, self.changed = cpu, tuned, False
        self.found: dict[Any, _Pair] = {}  # by the call of either convolution

    def learn(self, func: relax.Function) -> None:
        """Find the pairs of a function."""
        self.found = {}
        bound, uses = bindings(func)
        for call in bound.values():
            if not _is_conv2d(call):
                continue
            source = _expansion(call.args[0], bound, uses)
            if source is not None and (pair := self._pair(source, call)) is not None:
                self.found |= {source: pair, call: pair}

    def _pair(self, expand: relax.Call, call: relax.Call) -> _Pair | None:
        e, d = geometry(expand), geometry(call)
        if e is None or d is None or static(e.batch) is None or min(d.oh, d.ow, e.oc) < 1:
            return None
        if not (e.pointwise and d.groups == d.c == d.oc > 1):
            return None
        works = workload(e, True), workload(d, is_const(call.args[1]))
        if any(self.tuned.knobs(str(work)) for work in works):
            return None  # records are of each by itself
        window = Window(d.kh, d.kw, d.strides)
        # a whole image needs no row twice, and its tiles may go on in the next row
        for rows, pixels in (([d.oh], e.h * e.w), (range(1, d.oh), e.w)):
            if (tile := whole_tile(pixels, e.oc, self.cpu)) is None:
                continue
            own = depthwise_tile((d.oh, d.ow, tile.channels), window, None, self.cpu)
            if (blocks := row_blocks(e, d, (tile, own), rows, self.cpu)) is not None:
                return _Pair(e, d, tile, own, blocks)
        return None

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        pair = self.found.get(call) if _is_conv2d(call) else None
        if pair is None:
            return self.visit_expr_post_order(call)
        x, w = map(self.visit_expr, call.args)
        if geometry(call).pointwise:  # type: ignore[union-attr]
            w = packed_weights(w, pair.tile, matrix=True)
            return self._call(lambda x, w: _expand(x, w, pair), "expand", FUSABLE, x, w)
        attrs = {BEHIND: EXPANDED}
        return self._call(lambda x, w: _depthwise(x, w, pair), "depthwise", attrs, x, w)

    def _call(self, kernel: Any, name: str, attrs: dict[str, Any], *args: Any) -> relax.Expr:
        return self.builder_.call_te(
            kernel, *args, primfunc_name_hint=name, primfunc_attrs=dict(attrs)
        )


def _is_conv2d(expr: relax.Expr | None) -> bool:
    return isinstance(expr, relax.Call) and expr.op == Op.get("relax.nn.conv2d")


def _expansion(x: Any, bound: dict[Any, relax.Expr], uses: Counter[Any]) -> relax.Call | None:
    """The convolution with constant weights that x is made of, by maps of its elements that nobody
    else reads; None if there is none."""
    todo, inside, reads = [x], set(), Counter([x])
    source = None
    while todo:
        var = todo.pop()
        if var in inside:
            continue
        inside.add(var)
        made = bound.get(var)
        if not isinstance(made, relax.Call):
            return None
        if source is None and _is_conv2d(made) and is_const(made.args[1]):
            source = made
        elif getattr(made.op, "name", "") in ELEMENTWISE and _by_channel(made):
            read = [a for a in made.args if isinstance(a, relax.Var)]
            reads.update(read)
            todo.extend(read)
        else:
            return None
    return source if all(uses[v] == reads[v] for v in inside) else None


def _by_channel(call: relax.Call) -> bool:
    """Whether the constants of a call have one number, or one for each channel."""
    given = [a for a in call.args if not isinstance(a, relax.Var)]
    return all(is_const(a) and math.prod(a.value.shape[:-1]) == 1 for a in given)


def _expand(x: te.Tensor, w: te.Tensor, pair: _Pair) -> te.Tensor:
    """The rows of the expansion that each block needs; those outside of the image are others."""
    e, d, blocks, tile = pair.e, pair.d, pair.blocks, pair.tile
    images, pixels = static(e.batch) or 1, blocks.held * e.w
    k = te.reduce_axis((0, e.c), "k")

    def value(b: ir.Expr, i: ir.Expr, j: ir.Expr) -> ir.Expr:
        y = i // e.w
        if blocks.count > 1:
            y = b % blocks.count * (blocks.rows * d.strides[0]) - d.top + y
            y = tirx.max(tirx.min(y, e.h - 1), 0)
        panel = w[j // tile.channels, k, j % tile.channels]
        return te.sum(x[b // blocks.count, y, i % e.w, k] * panel, axis=k)

    attrs = {STAGE: EXPANDED, TILE: [tile.pixels, tile.channels]}
    count = images * blocks.count
    product = te.compute((count, pixels, e.oc), value, name="product", attrs=attrs)
    # one row of all pixels: tiles may begin in one row of the image and end in the next
    shape = (count, 1, pixels, e.oc)
    return te.compute(shape, lambda b, _, i, c: product[b, i, c], name="unflat")


def _depthwise(x: te.Tensor, w: te.Tensor, pair: _Pair) -> te.Tensor:
    d, blocks, tile = pair.d, pair.blocks, pair.window_tile
    width = round_up(d.ow, tile.pixels)
    needed = (width - 1) * d.strides[1] + (d.kw - 1) * d.dilation[1] + 1
    ry, rx = te.reduce_axis((0, d.kh), "ry"), te.reduce_axis((0, d.kw), "rx")

    def value(n: ir.Expr, y: ir.Expr, q: ir.Expr, c: ir.Expr) -> ir.Expr:
        row = y * d.strides[0] + ry * d.dilation[0] - d.top
        column = q * d.strides[1] + rx * d.dilation[1] - d.left
        asked = [(row >= 0, row < d.h)] if d.top or d.bottom else []
        asked += [(column >= 0, column < d.w)] if d.left or needed > d.w else []
        local = row if blocks.count == 1 else y % blocks.rows * d.strides[0] + ry * d.dilation[0]
        read = x[n * blocks.count + y // blocks.rows, 0, local * d.w + column, c]
        if asked:
            inside = tirx.all(*(one for pair in asked for one in pair))
            read = tirx.if_then_else(inside, read, tirx.const(0.0, "float32"))
        return te.sum(read * w[ry, rx, 0, c], axis=[ry, rx])

    attrs = {**Plan(tile).annotations("row_blocks"), BLOCKS: [blocks.rows, blocks.channels]}
    tiled = te.compute((d.batch, d.oh, width, d.oc), value, name="windows", attrs=attrs)
    return te.compute(
        (d.batch, d.oh, d.ow, d.oc), lambda n, y, q, c: tiled[n, y, q, c], name="uncrop"
    )
