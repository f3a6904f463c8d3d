"""Slice and StridedSlice, with every mask, on shapes known or symbolic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim, same_dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Known

SLICE = OpTable()


@dataclass(frozen=True, slots=True)
class Masks:
    """The five bit masks of a StridedSlice; bit i speaks of entry i of the specification."""

    begin: int
    end: int
    ellipsis: int
    new_axis: int
    shrink: int

    @staticmethod
    def of(node: Node) -> Masks:
        names = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
        return Masks(*(int(node.attr(f"{name}_mask", 0)) for name in names))


# an entry of a dense specification: a NumPy index
Index = slice | int | None


def numpy_index(masks: Masks, begin: Any, end: Any, strides: Any) -> tuple[Any, ...]:
    """The specification as an index that NumPy understands.

    Source: tensorflow/core/util/strided_slice_op.h, comment of ValidateStridedSliceOp.
    """
    index: list[Any] = []
    for i in range(len(begin)):
        bit = 1 << i
        if masks.ellipsis & bit:
            index.append(Ellipsis)
        elif masks.new_axis & bit:
            index.append(None)
        elif masks.shrink & bit:
            index.append(begin[i])
        else:
            first = None if masks.begin & bit else begin[i]
            last = None if masks.end & bit else end[i]
            index.append(slice(first, last, strides[i]))
    return tuple(index)


def _ints(array: np.ndarray) -> list[int]:
    return [int(v) for v in array.reshape(-1)]


def _fold_strided_slice(
    node: Node, x: np.ndarray, begin: np.ndarray, end: np.ndarray, strides: np.ndarray
) -> Any:
    if object in (begin.dtype, end.dtype, strides.dtype):
        return None
    index = numpy_index(Masks.of(node), _ints(begin), _ints(end), _ints(strides))
    result = x[index]
    if x.dtype == object and not isinstance(result, np.ndarray):
        scalar = np.empty((), object)
        scalar[()] = result
        return scalar
    return np.asarray(result)


@SLICE.op("StridedSlice", fold=_fold_strided_slice, symbolic=True)
def strided_slice(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    return _sliced(g, node, x, _specification(g, node, g.rank(x)))


def _specification(g: Emitter, node: Node, rank: int) -> list[Any]:
    begin, end, strides = (g.dims(node, i) for i in (1, 2, 3))
    if 0 in [s for s in strides if isinstance(s, int)]:
        raise BadNode(node, f"strides {strides} have a 0")
    return _dense(numpy_index(Masks.of(node), begin, end, strides), rank)


# start, step and size of an axis
Extent = tuple[Dim, Dim, Dim]


def extents_of(g: Emitter, node: Node, dims: Sequence[Dim]) -> list[Extent]:
    """What a strided slice takes of each axis of a tensor; inputs 1 to 3 say it."""
    entries = [e for e in _specification(g, node, len(dims)) if e is not None]
    return [_bounds(g, node, e, d) for e, d in zip(entries, dims, strict=True)]


def _dense(index: Sequence[Any], rank: int) -> list[Any]:
    """The index with its ellipsis, or the missing tail, spelled out."""
    used = sum(1 for i in index if i is not None and i is not Ellipsis)
    fill = [slice(None, None, 1)] * (rank - used)
    if Ellipsis in [i for i in index if i is None or i is Ellipsis]:
        at = next(k for k, i in enumerate(index) if i is Ellipsis)
        return [*index[:at], *fill, *index[at + 1 :]]
    return [*index, *fill]


def _sliced(g: Emitter, node: Node, x: relax.Expr, index: Sequence[Any]) -> relax.Expr:
    dims = g.shape(x)
    starts: list[Dim] = []
    steps: list[Dim] = []
    sizes: list[Dim] = []
    result: list[Dim] = []
    for entry in index:
        if entry is None:
            result.append(1)
            continue
        extent = dims[len(starts)]
        start, step, size = _bounds(g, node, entry, extent)
        starts.append(start)
        steps.append(step)
        sizes.append(size)
        if isinstance(entry, slice):
            result.append(size)
    whole = all(same_dim(s, 1) and _zero(b) for s, b in zip(steps, starts, strict=True))
    if not (whole and all(same_dim(a, b) for a, b in zip(sizes, dims, strict=True))):
        x = cut(g, x, starts, steps, sizes)
    return g.reshape(x, result) if len(result) != len(sizes) or _shrinks(index) else x


def _shrinks(index: Sequence[Any]) -> bool:
    return any(not isinstance(i, slice) for i in index)


def _zero(value: Dim) -> bool:
    return isinstance(value, int) and value == 0


def _bounds(g: Emitter, node: Node, entry: Any, extent: Dim) -> tuple[Dim, Dim, Dim]:
    """Start, step and size of one axis."""
    if not isinstance(entry, slice):
        start = g.wrapped(entry, extent)
        if isinstance(start, int) and isinstance(extent, int) and not 0 <= start < extent:
            raise BadNode(node, f"index {entry} is outside an axis of size {extent}")
        return start, 1, 1
    if not isinstance(entry.step, int):
        return _stepped_bounds(g, entry, extent)
    step = entry.step
    values = (entry.start, entry.stop)
    if isinstance(extent, int) and all(v is None or isinstance(v, int) for v in values):
        cut = range(extent)[entry]
        return (cut.start if len(cut) else 0), step, len(cut)
    return _symbolic_bounds(g, entry, extent, step)


def _symbolic_bounds(g: Emitter, entry: slice, extent: Dim, step: int) -> tuple[Dim, int, Dim]:
    """Bounds of an axis whose size, start or end is symbolic: clamped as TensorFlow clamps.

    Source: tensorflow/core/util/strided_slice_op.cc, the lambda `canonical`.
    """
    low, high = (0, extent) if step > 0 else (-1, extent - 1)

    def canonical(value: Any, default: Dim) -> Dim:
        if value is None:
            return default
        if isinstance(value, int) and value == 0 and step > 0:
            return 0
        if same_dim(value, extent) and step > 0:
            return extent
        at = _expr(g.wrapped(value, extent))
        return tirx.max(tirx.min(at, _expr(high)), _expr(low))

    start = canonical(entry.start, low if step > 0 else high)
    stop = canonical(entry.stop, high if step > 0 else low)
    if _zero(start) and step == 1:
        return 0, 1, stop
    span = (_expr(stop) - _expr(start)) if step > 0 else (_expr(start) - _expr(stop))
    size = tirx.ceildiv(span, abs(step)) if abs(step) > 1 else span
    certain = _zero(start) or (entry.start is None and entry.stop is None)
    return start, step, size if certain else tirx.max(size, _expr(0))


def _stepped_bounds(g: Emitter, entry: slice, extent: Dim) -> tuple[Dim, Dim, Dim]:
    """As _symbolic_bounds, of an axis whose step, and so its direction, is symbolic."""
    step, up, end = entry.step, entry.step > 0, _expr(extent)
    zero, minus_one = _expr(0), _expr(-1)
    low, high = tirx.Select(up, zero, minus_one), tirx.Select(up, end, end - 1)

    def canonical(value: Any, upwards: Any, downwards: Any) -> Any:
        if value is None:
            return tirx.Select(up, upwards, downwards)
        return tirx.max(tirx.min(_expr(g.wrapped(value, extent)), high), low)

    start = canonical(entry.start, zero, end - 1)
    stop = canonical(entry.stop, end, minus_one)
    span = tirx.Select(up, stop - start, start - stop)
    stride = tirx.max(tirx.Select(up, step, 0 - step), _expr(1))
    return start, step, tirx.max(tirx.ceildiv(span, stride), zero)


def _expr(value: Any) -> Any:
    return tirx.IntImm("int64", value) if isinstance(value, int) else value


def cut(
    g: Emitter, x: relax.Expr, starts: Sequence[Dim], steps: Sequence[Dim], sizes: Sequence[Dim]
) -> relax.Expr:
    """Elements start + i * step of each axis."""
    if all(isinstance(v, int) for v in (*starts, *sizes, *steps)) and min(steps, default=1) > 0:
        ends = [int(b) + (int(n) - 1) * s + 1 if n else int(b)
                for b, s, n in zip(starts, steps, sizes, strict=True)]  # fmt: skip
        axes = list(range(len(starts)))
        return relax.op.strided_slice(x, axes, list(starts), ends, list(steps))
    extra = [v for v in (*starts, *steps, *sizes) if not isinstance(v, int)]

    def compute(t: te.Tensor, *values: Any) -> te.Tensor:
        rest = iter(values)
        begin = [v if isinstance(v, int) else next(rest) for v in starts]
        stride = [v if isinstance(v, int) else next(rest) for v in steps]
        shape = [v if isinstance(v, int) else next(rest) for v in sizes]

        def element(*i: Any) -> Any:
            return t[tuple(b + k * s for b, k, s in zip(begin, i, stride, strict=True))]

        return te.compute(shape, element, name="slice")

    return g.te(compute, x, *extra, name="slice")


def _fold_slice(node: Node, x: np.ndarray, begin: np.ndarray, size: np.ndarray) -> Any:
    if object in (begin.dtype, size.dtype):
        return None
    pairs = zip(_ints(begin), _ints(size), strict=True)
    return x[tuple(slice(b, None if n == -1 else b + n) for b, n in pairs)]


@SLICE.op("Slice", fold=_fold_slice, symbolic=True)
def slice_(g: Emitter, node: Node) -> relax.Expr:
    """`size` elements from `begin`; -1 is all that are left."""
    x = g.arg(node, 0)
    sizes = g.dims(node, 2)
    dims = g.shape(x)
    begin = g.value(node, 1)
    rest = any(g.may_be_negative(n) or same_dim(n, -1) for n in sizes)
    if not isinstance(begin, Known) and not rest:
        return _slice_at(g, node, x, sizes)
    starts = g.dims(node, 1)
    full = [_left(g, d, b, n) for d, b, n in zip(dims, starts, sizes, strict=True)]
    for axis, (b, n, d) in enumerate(zip(starts, full, dims, strict=True)):
        outside = all(isinstance(v, int) for v in (b, n, d)) and not 0 <= b <= b + n <= d
        if outside:
            raise BadNode(node, f"takes {n} from {b} of axis {axis}, which has {d}")
    return cut(g, x, starts, [1] * len(starts), full)


def _left(g: Emitter, extent: Dim, begin: Dim, size: Dim) -> Dim:
    """A size, or what is left of the axis where it is -1."""
    if isinstance(size, int):
        return extent - begin if size == -1 else size
    if not g.may_be_negative(size):
        return size
    return tirx.Select(size < 0, _expr(extent - begin), size)


def _slice_at(g: Emitter, node: Node, x: relax.Expr, sizes: Sequence[Dim]) -> relax.Expr:
    """A slice of known size whose begin is computed at run time."""
    begin = g.arg(node, 1)

    def compute(t: te.Tensor, b: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            return t[tuple(k + tirx.Cast("int64", b[d]) for d, k in enumerate(i))]

        return te.compute(list(sizes), element, name="slice")

    return g.te(compute, x, begin, name="slice")
