"""Copies of an image with a border, a vector at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import ir, te, tirx

from dlcc.targets.hexagon.intrin import TAPS, VECTOR
from dlcc.targets.hexagon.tiles import RULE, round_up

MOST_UNROLLED = 8


@dataclass(frozen=True, slots=True)
class Border:
    """Rows above and below, pixels left of every row, and the bytes that a row takes at least.

    value: what stands in the border, and behind the right end of the rows."""

    top: int
    bottom: int
    left: int
    row_bytes: int
    value: int


def padded(x: te.Tensor, border: Border) -> te.Tensor:
    """[n, h, w, c] -> [n, top + h + bottom, bytes]: a row is its pixels, one after another.

    The border is filled and then written over, by vectors that may overlap: a border of any width
    costs no case of its own. Rows are as long as whole vectors.
    """
    n, h, w, c = (int(d) for d in x.shape)
    if w * c < VECTOR:
        return _padded_by_bytes(x, border)
    row = round_up(max(border.row_bytes, (border.left + w) * c), VECTOR)
    shape = (n, border.top + h + border.bottom, row)

    def body(ins: list[tirx.Buffer], outs: list[tirx.Buffer]) -> tirx.Stmt:
        (source,), (target,) = ins, outs

        bytes_ = w * c

        def fill(b: ir.Expr, y: ir.Expr, k: ir.Expr) -> tirx.Stmt:
            return target.vstore([b, y, tirx.Ramp(k * VECTOR, 1, VECTOR)], _splat(border.value, x))

        def copy(b: ir.Expr, y: ir.Expr, k: ir.Expr) -> tirx.Stmt:
            start = tirx.min(k * VECTOR, bytes_ - VECTOR)  # the last overlaps the one before
            line, at = y + border.top, start + border.left * c
            value = source.vload([b, y, 0, tirx.Ramp(start, 1, VECTOR)])
            return target.vstore([b, line, tirx.Ramp(at, 1, VECTOR)], value)

        filled = [
            _nest((n, lines, vectors), lambda b, y, k, y0=y0, k0=k0: fill(b, y + y0, k + k0))
            for y0, lines, k0, vectors in _edges(border, (h, w, c), row)
            if lines and vectors
        ]
        return tirx.SeqStmt([*filled, _nest((n, h, -(-bytes_ // VECTOR)), copy)])

    source = tirx.decl_buffer(x.shape, x.dtype, "source", layout=None)
    target = tirx.decl_buffer(shape, x.dtype, "padded", layout=None)
    return te.extern(
        shape, [x], body, name="pad", dtype=x.dtype, in_buffers=[source], out_buffers=target,
        attrs={RULE: "copy"},
    )  # fmt: skip


def _edges(
    border: Border, shape: tuple[int, int, int], row_bytes: int
) -> list[tuple[int, int, int, int]]:
    """The first row, rows, the first vector, vectors of what is not only pixels of the image."""
    h, w, c = shape
    whole, below = row_bytes // VECTOR, border.top + h
    before, right = -(-border.left * c // VECTOR), (border.left + w) * c // VECTOR
    return [
        (0, border.top, 0, whole),
        (border.top, h, 0, before),
        (border.top, h, right, whole - right),
        (below, border.bottom, 0, whole),
    ]


def _padded_by_bytes(x: te.Tensor, border: Border) -> te.Tensor:
    """The same for rows shorter than a vector. Stores of bytes and of vectors to one place are
    not mixed: LLVM 22 puts them into one packet, whose order is not theirs."""
    n, h, w, c = (int(d) for d in x.shape)
    row = round_up(max(border.row_bytes, (border.left + w) * c), VECTOR)
    top, start = border.top, border.left * c

    def value(b: ir.Expr, y: ir.Expr, j: ir.Expr) -> ir.Expr:
        inside = tirx.all(y >= top, y < top + h, j >= start, j < start + w * c)
        pixel, channel = tirx.floordiv(j - start, c), tirx.floormod(j - start, c)
        at = x[b, y - top, pixel, channel]
        return tirx.if_then_else(inside, at, tirx.const(border.value, x.dtype))

    shape = (n, top + h + border.bottom, row)
    return te.compute(shape, value, name="pad", attrs={RULE: "pad"})


def in_words(x: te.Tensor, pixels: int, channels: int) -> te.Tensor:
    """[n, h, bytes] -> [n, h, pixels * channels rounded up to 4], filled up with 0.

    x: rows of pixels, one after another, as `padded` makes them. Four bytes are one store."""
    n, h = int(x.shape[0]), int(x.shape[1])
    step = round_up(channels, TAPS)
    shape = (n, h, pixels * step)

    def body(ins: list[tirx.Buffer], outs: list[tirx.Buffer]) -> tirx.Stmt:
        (source,), (target,) = ins, outs

        def word(b: ir.Expr, row: ir.Expr, q: ir.Expr) -> tirx.Stmt:
            stores = []
            for first in range(0, channels, TAPS):
                value = tirx.const(0, "int32")
                for i in range(min(TAPS, channels - first)):
                    byte = source[b, row, q * channels + first + i].astype("uint8")
                    value = value | tirx.shift_left(byte.astype("int32"), tirx.const(8 * i))
                four = tirx.reinterpret(f"{x.dtype}x{TAPS}", value)
                stores.append(target.vstore([b, row, tirx.Ramp(q * step + first, 1, TAPS)], four))
            return tirx.SeqStmt(stores) if len(stores) > 1 else stores[0]

        return _nest((n, h, pixels), word)

    source = tirx.decl_buffer(x.shape, x.dtype, "rows", layout=None)
    target = tirx.decl_buffer(shape, x.dtype, "words", layout=None)
    return te.extern(
        shape, [x], body, name="words", dtype=x.dtype, in_buffers=[source], out_buffers=target,
        attrs={RULE: "copy"},
    )  # fmt: skip


def _splat(value: int, x: te.Tensor) -> ir.Expr:
    """A vector of one byte, by the instruction: LLVM would make a call of memset of the rest."""
    name, byte = "llvm.hexagon.V6.lvsplatb.128B", tirx.const(value & 0xFF, "int32")
    words = tirx.call_llvm_pure_intrin("int32x32", name, byte)
    return tirx.reinterpret(f"{x.dtype}x{VECTOR}", words)


def _nest(extents: tuple[int, int, int], body: Callable[..., tirx.Stmt]) -> tirx.Stmt:
    """for b, y, k: body. Steps of k are unrolled: a loop of one copy would become a call of
    memcpy, whose speed is not ours to say."""
    b, y, outer, inner = (tirx.Var(name, "int32") for name in ("b", "y", "ko", "ki"))
    unrolled = max(u for u in range(1, MOST_UNROLLED + 1) if extents[2] % u == 0)
    stmt = body(b, y, outer * unrolled + inner)
    kinds = [tirx.ForKind.SERIAL] * 3 + [tirx.ForKind.UNROLLED]
    all_extents = [*extents[:2], extents[2] // unrolled, unrolled]
    loops = list(zip((b, y, outer, inner), all_extents, kinds, strict=True))
    for var, extent, kind in reversed(loops):
        stmt = tirx.For(var, 0, extent, kind, stmt)
    return stmt
