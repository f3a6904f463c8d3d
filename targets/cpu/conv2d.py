"""2-D convolutions of float32 in NHWC as kernels made for tiles."""

from __future__ import annotations

from tvm import ir, relax, te, tirx

from dlcc.targets.cpu.geometry import Geometry, geometry
from dlcc.targets.cpu.matmul import (
    FUSABLE,
    is_const,
    packed_weights,
    row_tile,
    static,
    tiled_product,
)
from dlcc.targets.cpu.plan import PADDED, Plan, plan
from dlcc.targets.cpu.tiles import (
    Cpu,
    Window,
    depthwise_tile,
    matmul_tile,
    round_up,
)
from dlcc.targets.cpu.winograd import product_tile, transformed_weights, winograd, winograd_for
from dlcc.targets.tuned import Tuned
from dlcc.targets.workload import Conv2d

STRIDES = "dlcc.strides"  # block annotation: rows and columns of input that a result moves on


def conv2d(bb: relax.BlockBuilder, call: relax.Call, cpu: Cpu, tuned: Tuned) -> relax.Expr | None:
    """A convolution as a tiled kernel; None where the general kernel has to do."""
    g = geometry(call)
    if g is None or min(g.oh, g.ow, g.c, g.oc) < 1:
        return None
    x, w = call.args
    work = workload(g, is_const(w))
    if g.groups == g.c and g.groups > 1:
        padded = (g.top + g.h + g.bottom, g.left + g.w + g.right) if g.padded else None
        window = Window(g.kh, g.kw, g.strides)
        made = plan(tuned, work, depthwise_tile((g.oh, g.ow, g.oc), window, padded, cpu), cpu)
        return _emit(bb, "depthwise", lambda x, w: _depthwise(x, w, g, made), x, w)
    if g.pointwise and (rows := static(g.batch)) is not None:
        made = plan(tuned, work, row_tile(rows * g.oh * g.ow, g.oc, cpu), cpu)
        return _tiled(bb, x, w, g, made, _pointwise, "conv2d_1x1")
    if work and is_const(w) and (way := winograd_for(work, cpu, tuned.knobs(str(work)) or {})):
        made = plan(tuned, work, product_tile(work, way, cpu), cpu)
        w = transformed_weights(w.value.numpy(), way, made.tile)
        return _emit(bb, "winograd", lambda x, w: winograd(x, w, g, way, made), x, w)
    made = plan(tuned, work, matmul_tile(g.ow, g.oc // g.groups, cpu), cpu)
    if g.groups > 1 and (g.oc // g.groups) % made.tile.channels:
        return None
    return _tiled(bb, x, w, g, made, _windowed, "conv2d")


def gated_conv2d(
    bb: relax.BlockBuilder, call: relax.Call, gate: relax.Expr, cpu: Cpu, tuned: Tuned
) -> relax.Expr | None:
    """A 1x1 convolution of one image with constant weights, which are multiplied by a number for
    each channel of the image; None where these are more work than the image.

    gate: [1, 1, 1, c]."""
    g = geometry(call)
    if g is None or not g.pointwise or static(g.batch) != 1 or g.oc < 1:
        return None
    made = plan(tuned, workload(g, True), row_tile(g.oh * g.ow, g.oc, cpu), cpu)
    if round_up(g.oc, made.tile.channels) > g.oh * g.ow:
        return None
    x, w = call.args
    packed = packed_weights(w, made.tile, matrix=True)
    scaled = bb.emit(_emit(bb, "gate_weights", _gated_weights, packed, gate))
    return _emit(bb, "conv2d_1x1", lambda x, w: _pointwise(x, w, g, made), x, scaled)


def _gated_weights(w: te.Tensor, gate: te.Tensor) -> te.Tensor:
    return te.compute(w.shape, lambda j, k, c: w[j, k, c] * gate[0, 0, 0, k], name="gated")


def workload(g: Geometry, constant: bool) -> Conv2d | None:
    """What tuning records name the convolution by; None where its batch is symbolic."""
    if (n := static(g.batch)) is None:
        return None
    return Conv2d(
        n, g.h, g.w, g.c, g.oc, (g.kh, g.kw), g.strides, (g.top, g.left, g.bottom, g.right),
        g.dilation, g.groups, "float32", "packed" if constant else "plain",
    )  # fmt: skip


def _tiled(
    bb: relax.BlockBuilder,
    x: relax.Expr,
    w: relax.Expr,
    g: Geometry,
    made: Plan,
    kernel: object,
    name: str,
) -> relax.Expr | None:
    if is_const(w):
        w = packed_weights(w, made.tile, matrix=kernel is _pointwise)
    elif g.oc % made.tile.channels:
        return None
    return _emit(bb, name, lambda x, w: kernel(x, w, g, made), x, w)  # type: ignore[operator]


def _emit(bb: relax.BlockBuilder, name: str, kernel: object, *args: relax.Expr) -> relax.Expr:
    return bb.call_te(kernel, *args, primfunc_name_hint=name, primfunc_attrs=dict(FUSABLE))


def _pointwise(x: te.Tensor, w: te.Tensor, g: Geometry, made: Plan) -> te.Tensor:
    shape = [g.batch, g.oh, g.ow, g.oc]
    if len(w.shape) == 4:  # [1, 1, c, oc], not packed
        plain = w
        w = te.compute(w.shape[2:], lambda k, j: plain[0, 0, k, j], name="matrix")
    product = tiled_product(x, w, shape, made)
    size = g.oh * g.ow
    return te.compute(shape, lambda n, y, q, c: product[n * size + y * g.ow + q, c], name="unflat")


def _windowed(x: te.Tensor, w: te.Tensor, g: Geometry, made: Plan) -> te.Tensor:
    tile = made.tile
    columns, width = round_up(g.oc, tile.channels), round_up(g.ow, tile.pixels)
    source, clamp = _source(x, g, width)
    depth = g.c // g.groups
    ry, rx, k = (te.reduce_axis((0, e), n) for e, n in ((g.kh, "ry"), (g.kw, "rx"), (depth, "k")))

    def value(n: ir.Expr, y: ir.Expr, q: ir.Expr, j: ir.Expr) -> ir.Expr:
        column = q * g.strides[1] + rx * g.dilation[1]
        column = tirx.min(column, g.w - 1) if clamp else column
        channel = k if g.groups == 1 else j // (g.oc // g.groups) * depth + k
        pixel = source[n, y * g.strides[0] + ry * g.dilation[0], column, channel]
        if len(w.shape) == 5:
            return te.sum(
                pixel * w[j // tile.channels, ry, rx, k, j % tile.channels], axis=[ry, rx, k]
            )
        return te.sum(pixel * w[ry, rx, k, j], axis=[ry, rx, k])

    attrs = {**made.annotations("conv2d"), STRIDES: list(g.strides)}
    tiled = te.compute((g.batch, g.oh, width, columns), value, name="windows", attrs=attrs)
    return te.compute(
        (g.batch, g.oh, g.ow, g.oc), lambda n, y, q, c: tiled[n, y, q, c], name="uncrop"
    )


def _depthwise(x: te.Tensor, w: te.Tensor, g: Geometry, made: Plan) -> te.Tensor:
    width = round_up(g.ow, made.tile.pixels)
    source, clamp = _source(x, g, width)
    ry, rx = te.reduce_axis((0, g.kh), "ry"), te.reduce_axis((0, g.kw), "rx")
    multiplier = g.oc // g.c

    def value(n: ir.Expr, y: ir.Expr, q: ir.Expr, c: ir.Expr) -> ir.Expr:
        column = q * g.strides[1] + rx * g.dilation[1]
        column = tirx.min(column, g.w - 1) if clamp else column
        row = y * g.strides[0] + ry * g.dilation[0]
        channel = c if multiplier == 1 else c // multiplier
        return te.sum(source[n, row, column, channel] * w[ry, rx, 0, c], axis=[ry, rx])

    attrs = {**made.annotations("depthwise"), STRIDES: list(g.strides)}
    tiled = te.compute((g.batch, g.oh, width, g.oc), value, name="windows", attrs=attrs)
    return te.compute(
        (g.batch, g.oh, g.ow, g.oc), lambda n, y, q, c: tiled[n, y, q, c], name="uncrop"
    )


def _source(x: te.Tensor, g: Geometry, width: int) -> tuple[te.Tensor, bool]:
    """The padded input, wide enough for `width` columns of output, and whether reads must be
    clamped to it: an input without padding is read where it lies, and not beyond its edge."""
    needed = (width - 1) * g.strides[1] + (g.kw - 1) * g.dilation[1] + 1
    if not g.padded:
        return x, needed > g.w
    shape = (g.batch, g.top + g.h + g.bottom, max(g.left + g.w + g.right, needed), g.c)
    zero = tirx.const(0.0, "float32")

    def value(n: ir.Expr, y: ir.Expr, q: ir.Expr, c: ir.Expr) -> ir.Expr:
        inside = tirx.all(y >= g.top, y < g.h + g.top, q >= g.left, q < g.w + g.left)
        return tirx.if_then_else(inside, x[n, y - g.top, q - g.left, c], zero)

    return te.compute(shape, value, name="pad", attrs={PADDED: [g.left, g.w]}), False
