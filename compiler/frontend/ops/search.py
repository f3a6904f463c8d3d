"""Places in sorted rows, order statistics and histograms."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, wide
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
    x, n = sortable(g, node), g.arg(node, 1)
    ordered = g.emit(R.sort(x, -1, bool(node.attr("reverse", False))))
    return R.take(ordered, g.emit(R.astype(n, "int32")), axis=g.rank(x) - 1)


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
