"""Pools over windows of 2-D data in NHWC, as kernels made for tiles."""

from __future__ import annotations

from collections.abc import Callable

from tvm import ir, relax, te, tirx

from dlcc.targets.cpu.matmul import FUSABLE, dims, static
from dlcc.targets.cpu.plan import PADDED, Plan
from dlcc.targets.cpu.tiles import Cpu, Tile, largest_vector
from dlcc.targets.tuned import Tuned

MOST_PIXELS, MOST_VECTORS = 4, 4  # of a tile
Sides = tuple[int, int, int, int]  # of padding: top, left, bottom, right


def max_pool(bb: relax.BlockBuilder, call: relax.Call, cpu: Cpu, _: Tuned) -> relax.Expr | None:
    """The largest element of each window; None where the general kernel has to do."""
    lowest = tirx.min_value(str(call.ty.dtype))

    def kernel(x: te.Tensor) -> te.Tensor:
        return _uncropped(call, _windows(call, x, cpu, te.max, lowest))

    return _emit(bb, call, kernel, "max_pool2d")


def avg_pool(bb: relax.BlockBuilder, call: relax.Call, cpu: Cpu, _: Tuned) -> relax.Expr | None:
    """The mean of each window; None where the general kernel has to do."""
    if str(call.ty.dtype) != "float32":
        return None

    def kernel(x: te.Tensor) -> te.Tensor:
        sums = _windows(call, x, cpu, te.sum, tirx.const(0.0, "float32"))
        return _uncropped(call, sums, lambda y, q: _share(call, y, q))

    return _emit(bb, call, kernel, "avg_pool2d")


def _emit(
    bb: relax.BlockBuilder, call: relax.Call, kernel: Callable[[te.Tensor], te.Tensor], name: str
) -> relax.Expr | None:
    a, (x,) = call.attrs, call.args
    layouts = {str(a.layout), str(a.out_layout or a.layout)}
    if layouts != {"NHWC"} or bool(a.ceil_mode) or x.ty.shape is None:
        return None
    if None in map(static, (*dims(x)[1:], *dims(call)[1:])) or 0 in map(static, dims(call)):
        return None
    return bb.call_te(kernel, x, primfunc_name_hint=name, primfunc_attrs=dict(FUSABLE))


def _windows(
    call: relax.Call,
    x: te.Tensor,
    cpu: Cpu,
    combine: Callable[..., ir.Expr],
    outside: ir.Expr,
) -> te.Tensor:
    """What `combine` makes of each window, tile by tile."""
    height, width, channels = (int(d) for d in dims(call)[1:])
    window, strides, dilation = (
        [int(v) for v in values]
        for values in (call.attrs.pool_size, call.attrs.strides, call.attrs.dilation)
    )
    sides = _sides(call)
    tile = _tile(width, channels, cpu)
    source = _padded(x, sides, outside) if any(sides) else x
    ry, rx = te.reduce_axis((0, window[0]), "ry"), te.reduce_axis((0, window[1]), "rx")

    def value(n: ir.Expr, y: ir.Expr, q: ir.Expr, c: ir.Expr) -> ir.Expr:
        row, column = y * strides[0] + ry * dilation[0], q * strides[1] + rx * dilation[1]
        return combine(source[n, row, column, c], axis=[ry, rx])

    attrs = Plan(tile).annotations("pool")
    return te.compute((dims(call)[0], height, width, channels), value, "windows", attrs=attrs)


def _tile(width: int, channels: int, cpu: Cpu) -> Tile:
    """Neighbours share what they read, as far as whole tiles of them fill a row."""
    pixels = max(p for p in range(1, MOST_PIXELS + 1) if width % p == 0)
    vector = largest_vector(channels, cpu.lanes)
    most = min(MOST_VECTORS, max(1, (cpu.registers - 4) // pixels))
    return Tile(pixels, vector * max(v for v in range(1, most + 1) if channels % (v * vector) == 0))


def _padded(x: te.Tensor, sides: Sides, outside: ir.Expr) -> te.Tensor:
    batch, high, wide, channels = x.shape
    top, left, bottom, right = sides
    shape = (batch, high + top + bottom, wide + left + right, channels)

    def value(n: ir.Expr, y: ir.Expr, q: ir.Expr, c: ir.Expr) -> ir.Expr:
        inside = tirx.all(y >= top, y < high + top, q >= left, q < wide + left)
        return tirx.if_then_else(inside, x[n, y - top, q - left, c], outside)

    return te.compute(shape, value, name="pad", attrs={PADDED: [left, int(wide)]})


def _uncropped(
    call: relax.Call,
    windows: te.Tensor,
    factor: Callable[[ir.Expr, ir.Expr], ir.Expr] | None = None,
) -> te.Tensor:
    """The results that are wanted, each times a factor of its row and column."""

    def value(n: ir.Expr, y: ir.Expr, q: ir.Expr, c: ir.Expr) -> ir.Expr:
        found = windows[n, y, q, c]
        return found if factor is None else found * factor(y, q)

    return te.compute(dims(call), value, name="uncrop")


def _share(call: relax.Call, y: ir.Expr, q: ir.Expr) -> ir.Expr:
    """One over how many elements a window has; one division a pixel, not one an element."""
    a = call.attrs
    top, left, *_ = _sides(call)
    counts = [
        _inside(i * int(a.strides[d]) - before, d, call)
        for d, (i, before) in enumerate(((y, top), (q, left)))
    ]
    return tirx.const(1.0, "float32") / tirx.Cast("float32", counts[0] * counts[1])


def _inside(start: ir.Expr, axis: int, call: relax.Call) -> ir.Expr:
    """How many elements of a window from `start` on count."""
    a = call.attrs
    size, step = int(a.pool_size[axis]), int(a.dilation[axis])
    if bool(a.count_include_pad):
        return tirx.const(size, "int64")
    extent = int(dims(call.args[0])[1 + axis])
    # those before the first, and those behind the last
    before = tirx.max(0, (step - 1 - start) // step)
    end = tirx.min(size, (extent - start + step - 1) // step)
    return tirx.max(1, end - before)


def _sides(call: relax.Call) -> Sides:
    pads = [int(p) for p in call.attrs.padding]
    top, left, bottom, right = pads * (4 // len(pads))
    return top, left, bottom, right
