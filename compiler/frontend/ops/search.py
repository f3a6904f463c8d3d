"""Places in sorted rows, order statistics and histograms."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.math import pointwise
from dlcc.compiler.frontend.ops.reduce import sortable
from dlcc.compiler.frontend.ops.table import OpTable

SEARCH = OpTable()

R = relax.op


@SEARCH.op("LowerBound", "UpperBound")
def bound(g: Emitter, node: Node) -> relax.Expr:
    """How many elements of a sorted row are less (or, for UpperBound, not greater)."""
    rows, values = g.args(node)
    dtype = node.attr("out_type", "int32")
    (batch, size), (_, count) = g.shape(rows), g.shape(values)
    upper = node.op == "UpperBound"

    def body(t: Any, v: Any, out: Any) -> None:
        with T.serial(0, batch) as b, T.serial(0, count) as i:
            out[b * count + i] = tirx.const(0, dtype)
            with T.serial(0, size) as k:
                element, value = t[b * size + k], v[b * count + i]
                before = element <= value if upper else element < value
                step = tirx.Cast(dtype, before)
                out[b * count + i] = out[b * count + i] + step

    return loop_kernel(g, "bound", [rows, values], [((batch, count), dtype)], body)[0]


@SEARCH.op("NthElement")
def nth_element(g: Emitter, node: Node) -> relax.Expr:
    """The n-th smallest of each row; with `reverse` the n-th largest."""
    (x, back), n = sortable(g, node), g.arg(node, 1)
    ordered = g.emit(R.sort(x, -1, bool(node.attr("reverse", False))))
    return back(R.take(ordered, g.emit(R.astype(n, "int32")), axis=g.rank(x) - 1))


@SEARCH.op("Bucketize")
def bucketize(g: Emitter, node: Node) -> relax.Expr:
    """How many of the boundaries, which rise, are not above an element."""
    boundaries = [float(np.float32(b)) for b in node.attr("boundaries") or ()]

    def f(v: Any) -> Any:
        wide_ = tirx.Cast("float64" if str(v.ty.dtype) == "float64" else "float32", v)
        above = [wide_ < tirx.const(b, wide_.ty.dtype) for b in boundaries]
        count = tirx.const(len(above), "int32")
        return count - sum((tirx.Cast("int32", a) for a in above), tirx.const(0, "int32"))

    return pointwise(g, g.arg(node, 0), f, "bucketize")


@SEARCH.op("ApproxTopK")
def approx_top_k(g: Emitter, node: Node) -> list[relax.Expr]:
    """The k largest (or least) along an axis, exactly, with their positions."""
    x, k = g.arg(node, 0), int(node.attr("k", 1))
    axis = int(node.attr("reduction_dimension", -1)) % g.rank(x)
    largest = bool(node.attr("is_max_k", True))
    pair = g.emit(R.topk(x, k, axis, "both", largest, "int32"))
    return [g.emit(relax.TupleGetItem(pair, i)) for i in range(2)]


@SEARCH.op("NearestNeighbors")
def nearest_neighbors(g: Emitter, node: Node) -> list[relax.Expr]:
    """The k centers nearest to each point, and the squares of their distances."""
    points, centers = g.arg(node, 0), g.arg(node, 1)
    count = g.static_shape(node, centers)[0]
    k = min(int(g.static(node, 2, "k").item()), count)
    (n, width), (m, _) = g.shape(points), g.shape(centers)
    pairs = [g.reshape(points, [n, 1, width]), g.reshape(centers, [1, m, width])]
    difference = g.emit(R.subtract(*pairs))
    distances = g.emit(R.sum(R.multiply(difference, difference), [2]))
    pair = g.emit(R.topk(distances, k, 1, "both", False, "int64"))
    return [g.emit(relax.TupleGetItem(pair, i)) for i in (1, 0)]


@SEARCH.op("IsotonicRegression")
def isotonic_regression(g: Emitter, node: Node) -> list[relax.Expr]:
    """The falling row nearest to each row, and the number of each element's plateau.

    Source: the pool-adjacent-violators algorithm; Best and Chakravarti, "Active set algorithms for
    isotonic regression", 1990.
    """
    x, dtype = g.arg(node, 0), str(node.attr("output_dtype", "float32"))
    dims = g.shape(x)
    n = dims[-1]

    def body(t: Any, out: Any, number: Any, total: Any, size: Any, last: Any) -> None:
        with T.serial(0, product(dims[:-1])) as b:
            last[0] = tirx.const(-1, "int64")
            with T.serial(0, n) as i:
                last[0] = last[0] + 1
                total[last[0]], size[last[0]] = tirx.Cast("float64", t[b * n + i]), _one("int32")
                with T.While(_rises(total, size, last)):
                    total[last[0] - 1] = total[last[0] - 1] + total[last[0]]
                    size[last[0] - 1] = size[last[0] - 1] + size[last[0]]
                    last[0] = last[0] - 1
            last[1] = tirx.const(0, "int64")
            with T.serial(0, last[0] + 1) as k, T.serial(0, size[k]):
                mean = total[k] / tirx.Cast("float64", size[k])
                out[b * n + last[1]] = tirx.Cast(dtype, mean)
                number[b * n + last[1]] = tirx.Cast("int32", k)
                last[1] = last[1] + 1

    outputs: list[Any] = [(dims, dtype), (dims, "int32"), ((n + 1,), "float64"),
                          ((n + 1,), "int32"), ((2,), "int64")]  # fmt: skip
    return loop_kernel(g, "isotonic", [x], outputs, body)[:2]


def _one(dtype: str) -> Any:
    return tirx.const(1, dtype)


def _rises(total: Any, size: Any, last: Any) -> Any:
    """Whether the mean of the last plateau exceeds that of the one before."""
    before = tirx.max(last[0] - 1, tirx.const(0, "int64"))
    a, b = (total[k] / tirx.Cast("float64", tirx.max(size[k], 1)) for k in (before, last[0]))
    return tirx.all(last[0] > 0, b > a)


@SEARCH.op("HistogramFixedWidth")
def histogram_fixed_width(g: Emitter, node: Node) -> relax.Expr:
    """How many values fall into each of equal bins; those outside into the first or last.

    Source: tensorflow/core/kernels/histogram_op.cc, HistogramFixedWidthFunctor.
    """
    x, ends = g.arg(node, 0), g.arg(node, 1)
    (bins,) = g.dims(node, 2)
    dtype = node.attr("dtype", "int32")
    x = g.emit(R.reshape(x, (-1,)))
    (count,) = g.shape(x)

    def body(t: Any, e: Any, out: Any) -> None:
        with T.serial(0, bins) as i:
            out[i] = tirx.const(0, dtype)
        number = tirx.Cast("float64", bins)
        low, high = (tirx.Cast("float64", e[k]) for k in range(2))
        with T.serial(0, count) as i:
            place = (tirx.Cast("float64", t[i]) - low) / ((high - low) / number)
            last = number - tirx.const(1.0, "float64")
            bounded = tirx.max(tirx.min(place, last), tirx.const(0.0, "float64"))
            at = wide(tirx.floor(bounded))
            out[at] = out[at] + tirx.const(1, dtype)

    return loop_kernel(g, "histogram", [x, ends], [((bins,), dtype)], body)[0]
