"""Products of complex numbers along axes and by segment, in the order of the elements."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.axes import Lane, axis_at
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.complex import complex_arg
from dlcc.compiler.frontend.ops.reduce import keeps, reduce_axes
from dlcc.compiler.frontend.ops.segment import last_segment
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Complex

COMPLEX_PRODUCTS = OpTable()

R = relax.op


def multiply_into(out: tuple[Any, Any], at: Any, by: tuple[Any, Any], held: Any) -> None:
    """out[at] *= by, each a pair of a real and an imaginary part."""
    real, imag = out
    held[0] = real[at] * by[0] - imag[at] * by[1]
    imag[at] = real[at] * by[1] + imag[at] * by[0]
    real[at] = held[0]


@COMPLEX_PRODUCTS.op("Prod")
def complex_prod(g: Emitter, node: Node) -> Complex:
    z = complex_arg(g, node, 0)
    rank, dims, dtype = g.rank(z.real), g.shape(z.real), g.dtype(z.real)
    axes = reduce_axes(g, node, rank)
    rest = [a for a in range(rank) if a not in axes]
    parts = [g.emit(R.permute_dims(p, [*rest, *axes])) for p in (z.real, z.imag)]
    left = [1 if a in axes else dims[a] for a in range(rank) if keeps(node) or a not in axes]
    count = product([dims[a] for a in axes])

    def body(re: Any, im: Any, real: Any, imag: Any, held: Any) -> None:
        with T.serial(0, product(left)) as o:
            real[o], imag[o] = tirx.const(1, dtype), tirx.const(0, dtype)
            with T.serial(0, count) as k:
                at = o * count + k
                multiply_into((real, imag), o, (re[at], im[at]), held)

    outputs = [(left, dtype), (left, dtype), ((1,), dtype)]
    return Complex(*loop_kernel(g, "complex_prod", parts, outputs, body, dims)[:2])


@COMPLEX_PRODUCTS.op("Cumprod")
def complex_cumprod(g: Emitter, node: Node) -> Complex:
    """Running products along an axis, with `exclusive` and `reverse`."""
    z = complex_arg(g, node, 0)
    at = axis_at(g, node, 1, g.rank(z.real))
    lanes = [Lane.of(g, part, at) for part in (z.real, z.imag)]
    axis, dims, dtype = lanes[0].axis, g.shape(lanes[0].x), g.dtype(z.real)
    extent, inner = dims[axis], product(dims[axis + 1 :])
    reverse, exclusive = bool(node.attr("reverse")), bool(node.attr("exclusive"))

    def body(re: Any, im: Any, real: Any, imag: Any, held: Any, a: Any, b: Any) -> None:
        with T.serial(0, product(dims[:axis])) as o, T.serial(0, inner) as i:
            a[0], b[0] = tirx.const(1, dtype), tirx.const(0, dtype)
            with T.serial(0, extent) as k:
                here = (o * extent + (extent - 1 - k if reverse else k)) * inner + i
                if exclusive:
                    real[here], imag[here] = a[0], b[0]
                multiply_into((a, b), 0, (re[here], im[here]), held)
                if not exclusive:
                    real[here], imag[here] = a[0], b[0]

    one: Any = ((1,), dtype)
    outputs = [(dims, dtype), (dims, dtype), one, one, one]
    made = loop_kernel(g, "complex_cumprod", [lane.x for lane in lanes], outputs, body)[:2]
    return Complex(*(lane.back(g, t, [lane.extent]) for lane, t in zip(lanes, made, strict=True)))


@COMPLEX_PRODUCTS.op("SegmentProd", "SegmentProdV2", "UnsortedSegmentProd")
def complex_segment_prod(g: Emitter, node: Node) -> Complex:
    """Rows multiplied by segment number, 1 where there are none; see `segment`."""
    z, ids = complex_arg(g, node, 0), g.arg(node, 1)
    segments = g.dims(node, 2)[0] if len(node.inputs) > 2 else last_segment(g, node, 1)
    dims, dtype = g.shape(z.real)[g.rank(ids) :], g.dtype(z.real)
    inner, count = product(dims), product(g.shape(ids))

    def body(re: Any, im: Any, at: Any, real: Any, imag: Any, held: Any) -> None:
        with T.serial(0, product([segments, *dims])) as i:
            real[i], imag[i] = tirx.const(1, dtype), tirx.const(0, dtype)
        with T.serial(0, count) as i:
            s = wide(at[i])
            with T.If(tirx.all(s >= 0, s < segments)), T.Then(), T.serial(0, inner) as j:
                row = i * inner + j
                multiply_into((real, imag), s * inner + j, (re[row], im[row]), held)

    outputs: Any = [([segments, *dims], dtype), ([segments, *dims], dtype), ((1,), dtype)]
    made = loop_kernel(g, "complex_segments", [z.real, z.imag, ids], outputs, body)
    return Complex(*made[:2])
