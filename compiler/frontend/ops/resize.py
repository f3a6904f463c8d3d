"""Resizing images, in every mode of TensorFlow's, as weighted taps along two axes.

Each formula is written once and evaluated in NumPy where the sizes are known, in a kernel where
they are symbolic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.extents import checked_count
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable

RESIZE = OpTable()


@dataclass(frozen=True, slots=True)
class Maths:
    """The functions that the formulas use, on arrays or on expressions of a kernel."""

    floor: Callable[[Any], Any]
    rint: Callable[[Any], Any]
    smaller: Callable[[Any, Any], Any]
    larger: Callable[[Any, Any], Any]
    choose: Callable[[Any, Any, Any], Any]
    index: Callable[[Any], Any]
    number: Callable[[Any], Any]

    def within(self, index: Any, size: Any) -> Any:
        return self.smaller(self.larger(index, 0), size - 1)


NUMPY = Maths(
    np.floor, np.rint, np.minimum, np.maximum, np.where, lambda v: np.asarray(v).astype(np.int64),
    lambda v: np.asarray(v).astype(np.float32),
)  # fmt: skip
KERNEL = Maths(
    tirx.floor, tirx.nearbyint, tirx.min, tirx.max, tirx.Select,
    lambda v: tirx.Cast("int64", v), lambda v: tirx.Cast("float32", v),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: pixels in and out, and where output pixels lie."""

    size: Any
    out: Any
    align_corners: bool
    half_pixel: bool

    def scale(self, m: Maths) -> Any:
        """Input pixels an output pixel.

        Source: tensorflow/core/util/image_resizer_state.h, CalculateResizeScale.
        """
        plain = m.number(self.size) / m.number(self.out)
        if not self.align_corners:
            return plain
        between = m.number(m.larger(self.out - 1, 1))
        return m.choose(self.out > 1, m.number(self.size - 1) / between, plain)

    def place(self, m: Maths, at: Any) -> Any:
        """Where output pixel `at` lies in the input."""
        scale = self.scale(m)
        return (at + 0.5) * scale - 0.5 if self.half_pixel else at * scale


# (functions, axis, output pixel) -> (input pixel, weight) of each tap
Taps = Callable[[Maths, Axis, Any], list[tuple[Any, Any]]]


def nearest_taps(m: Maths, axis: Axis, at: Any) -> list[tuple[Any, Any]]:
    """Source: tensorflow/core/kernels/image/resize_nearest_neighbor_op.cc."""
    where = (at + 0.5) * axis.scale(m) if axis.half_pixel else at * axis.scale(m)
    # C's round: halves go away from zero
    index = m.floor(where + 0.5) if axis.align_corners else m.floor(where)
    return [(m.within(m.index(index), axis.size), at * 0 + 1)]


def bilinear_taps(m: Maths, axis: Axis, at: Any) -> list[tuple[Any, Any]]:
    """Source: resize_bilinear_op.cc, compute_interpolation_weights."""
    where = axis.place(m, at)
    below = m.floor(where)
    lerp = where - below
    upper = m.smaller(m.index(below) + 1, axis.size - 1)
    return [(m.larger(m.index(below), 0), 1 - lerp), (upper, lerp)]


def bicubic_taps(m: Maths, axis: Axis, at: Any) -> list[tuple[Any, Any]]:
    """Keys' kernel at offsets in steps of 1/1024.

    With half_pixel: a = -0.5, and taps outside the image get no weight; else a = -0.75.
    Source: resize_bicubic_op.cc, InitCoeffsTable and GetWeightsAndIndices.
    """
    where = axis.place(m, at)
    base = m.floor(where)
    near = m.rint((where - base) * 1024.0) * (1 / 1024)
    a = -0.5 if axis.half_pixel else -0.75

    def inner(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def outer(x: Any) -> Any:
        return ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a

    far = 1 - near
    weights = [outer(near), inner(near), inner(far), outer(far)]
    indices = [m.index(base) + k for k in range(-1, 3)]
    bounded = [m.within(i, axis.size) for i in indices]
    if axis.half_pixel:
        pairs = zip(weights, bounded, indices, strict=True)
        weights = [m.choose(b == i, w, w * 0) for w, b, i in pairs]
        total = weights[0] + weights[1] + weights[2] + weights[3]
        weights = [w / total for w in weights]
    return list(zip(bounded, weights, strict=True))


def area_tap(m: Maths, axis: Axis, at: Any, tap: Any) -> tuple[Any, Any]:
    """The share of an input pixel in the output pixel's area. Source: resize_area_op.cc."""
    scale = axis.scale(m)
    start, end = at * scale, (at + 1.0) * scale
    index = m.floor(start) + m.number(tap)
    covered = m.smaller(index + 1.0, end) - m.larger(index, start)
    return m.within(m.index(index), axis.size), m.larger(covered, at * 0) / scale


_TAPS: dict[str, Taps] = {
    "ResizeNearestNeighbor": nearest_taps,
    "ResizeBilinear": bilinear_taps,
    "ResizeBicubic": bicubic_taps,
}


@RESIZE.op(*_TAPS, "ResizeArea")
def resize(g: Emitter, node: Node) -> relax.Expr:
    """(n, h, w, c) -> (n, H, W, c); float32, but nearest keeps the dtype."""
    x = g.arg(node, 0)
    modes = bool(node.attr("align_corners")), bool(node.attr("half_pixel_centers"))
    sizes = zip(g.shape(x)[1:3], g.dims(node, 1), strict=True)
    rows, columns = (_table(g, node, Axis(size, out, *modes)) for size, out in sizes)
    if node.op == "ResizeNearestNeighbor":
        return _picked(g, x, rows[0], columns[0])
    wide = g.emit(relax.op.astype(x, "float32"))
    return _along(g, _along(g, wide, 1, *rows), 2, *columns)


def _table(g: Emitter, node: Node, axis: Axis) -> tuple[relax.Expr, relax.Expr]:
    """Indices int32 and weights float32, each (out, taps)."""
    fixed = _TAPS.get(node.op)
    taps = None if fixed else axis.size // axis.out + 2
    if isinstance(axis.size, int) and isinstance(axis.out, int):
        checked_count(node, axis.out * (taps or 4), "the size to resize to")
        at = np.arange(axis.out, dtype=np.float32)
        pairs = fixed(NUMPY, axis, at) if fixed else [
            area_tap(NUMPY, axis, at, k) for k in range(int(taps))  # type: ignore[arg-type]
        ]  # fmt: skip
        index, weight = (np.stack([p[k] for p in pairs], 1) for k in range(2))
        return g.const(index, "int32"), g.const(weight, "float32")
    count = len(fixed(KERNEL, axis, tirx.const(0.0, "float32"))) if fixed else taps
    index, weight = (_column(g, axis, fixed, count, k) for k in range(2))
    return g.emit(relax.op.astype(index, "int32")), weight


def _column(g: Emitter, axis: Axis, fixed: Taps | None, count: Any, which: int) -> relax.Expr:
    """The indices (0) or weights (1) of all taps, computed at run time: (out, count)."""
    symbols = [d for d in (axis.size, axis.out, count) if not isinstance(d, int)]

    def compute(*given: Any) -> te.Tensor:
        rest = iter(given)
        size, out, taps = (
            d if isinstance(d, int) else next(rest) for d in (axis.size, axis.out, count)
        )
        inner = Axis(size, out, axis.align_corners, axis.half_pixel)

        def element(i: Any, tap: Any) -> Any:
            at = tirx.Cast("float32", i)
            if fixed is None:
                return area_tap(KERNEL, inner, at, tap)[which]
            values = [pair[which] for pair in fixed(KERNEL, inner, at)]
            result = values[-1]
            for k in reversed(range(len(values) - 1)):
                result = tirx.Select(tap == k, values[k], result)
            return result

        return te.compute((out, taps), element, name="taps")

    return g.te(compute, *symbols, name="resize_taps")


def _picked(g: Emitter, x: relax.Expr, rows: relax.Expr, columns: relax.Expr) -> relax.Expr:
    def compute(t: te.Tensor, ry: te.Tensor, rx: te.Tensor) -> te.Tensor:
        n, _, _, c = t.shape
        shape = (n, ry.shape[0], rx.shape[0], c)
        return te.compute(shape, lambda b, y, z, k: t[b, ry[y, 0], rx[z, 0], k], name="resize")

    return g.te(compute, x, rows, columns, name="resize_nearest")


def _along(
    g: Emitter, x: relax.Expr, axis: int, index: relax.Expr, weight: relax.Expr
) -> relax.Expr:
    """Each output pixel along an axis as a sum over its taps."""

    def compute(t: te.Tensor, at: te.Tensor, w: te.Tensor) -> te.Tensor:
        shape = [at.shape[0] if d == axis else extent for d, extent in enumerate(t.shape)]
        k = te.reduce_axis((0, at.shape[1]), name="tap")

        def element(*i: Any) -> Any:
            source: Sequence[Any] = [at[v, k] if d == axis else v for d, v in enumerate(i)]
            return te.sum(t[tuple(source)] * w[i[axis], k], axis=k)

        return te.compute(shape, element, name="resize")

    return g.te(compute, x, index, weight, name="resize")
