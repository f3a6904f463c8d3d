"""Object detection: boxes suppressed by overlap, and crops of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax, te, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, wide
from dlcc.compiler.frontend.ops.table import OpTable

DETECT = OpTable()

R = relax.op


def overlap(boxes: Any, a: Any, b: Any) -> Any:
    """Intersection over union of boxes a and b, each (y1, x1, y2, x2) from any two corners.

    boxes: buffer of the coordinates; a, b: where each box begins in it. 0 for an empty box.
    Source: tensorflow/core/kernels/image/non_max_suppression_op.cc, IOU.
    """

    def side(at: Any, k: int) -> tuple[Any, Any]:
        first, second = boxes[at + k], boxes[at + k + 2]
        return tirx.min(first, second), tirx.max(first, second)

    (ay, ay2), (ax, ax2), (by, by2), (bx, bx2) = side(a, 0), side(a, 1), side(b, 0), side(b, 1)
    zero = tirx.const(0, ay.ty.dtype)
    area_a, area_b = (ay2 - ay) * (ax2 - ax), (by2 - by) * (bx2 - bx)
    height = tirx.max(tirx.min(ay2, by2) - tirx.max(ay, by), zero)
    width = tirx.max(tirx.min(ax2, bx2) - tirx.max(ax, bx), zero)
    both = height * width
    empty = tirx.any(area_a <= zero, area_b <= zero)
    return tirx.Select(empty, zero, both / (area_a + area_b - both))


@dataclass(frozen=True, slots=True)
class Limits:
    """How boxes are suppressed: scalars as tensors, computed in float32."""

    iou: relax.Expr
    score: relax.Expr
    sigma: relax.Expr


def _decay(n: Dim, box: Any, state: Any, limits: Any, best: Any) -> None:
    """Scale the scores of the boxes left by their overlap with the best one, or drop them."""
    (score, live), (iou, least, sigma) = state, limits
    zero, one = tirx.const(0, "float32"), tirx.const(1, "float32")
    with T.serial(0, n) as j, T.If(live[j] != tirx.const(0, "int32")), T.Then():
        overlapping = overlap(box, best[0] * 4, j * 4)
        soft = tirx.exp(-overlapping * overlapping / (tirx.const(2.0) * sigma[0]))
        weight = tirx.if_then_else(sigma[0] > zero, soft, one)
        # a score that is not scaled is kept as it is, also where it is infinite
        kept = tirx.if_then_else(weight == one, score[j], score[j] * weight)
        score[j] = kept
        gone = tirx.any(overlapping > iou[0], tirx.all(sigma[0] > zero, kept <= least[0]))
        with T.If(gone), T.Then():
            live[j] = tirx.const(0, "int32")


def _suppressed(
    g: Emitter, boxes: relax.Expr, scores: relax.Expr, most: Dim, limits: Limits
) -> list[relax.Expr]:
    """Greedy choice: (indices int32, scores, count int64); the first two have `most` rows.

    The best box left is taken, then each other's score is scaled by exp(-iou² / (2 sigma)), or
    by 1 without sigma, and by 0 above the limit; a score that falls to the limit is out.
    Source: tensorflow/core/kernels/image/non_max_suppression_op.cc, DoNonMaxSuppressionOp.
    """
    (n,) = g.shape(scores)
    zero = tirx.const(0, "float32")
    absent = tirx.const(0, "int32")

    def body(box: Any, given: Any, iou: Any, least: Any, sigma: Any, *outs: Any) -> None:
        index, value, count, score, live, best = outs
        with T.serial(0, most) as i:
            index[i], value[i] = absent, zero
        with T.serial(0, n) as j:
            score[j] = given[j]
            live[j] = tirx.Cast("int32", given[j] > least[0])
        count[0] = tirx.const(0, "int64")
        with T.serial(0, most) as i:
            best[0] = tirx.const(-1, "int64")
            with T.serial(0, n) as j, T.If(live[j] != absent), T.Then():
                at = tirx.max(best[0], tirx.const(0, "int64"))
                with T.If(tirx.any(best[0] < 0, score[j] > score[at])), T.Then():
                    best[0] = wide(j)
            with T.If(best[0] >= 0), T.Then():
                index[i], value[i] = tirx.Cast("int32", best[0]), score[best[0]]
                count[0] = wide(i) + 1
                live[best[0]] = absent
                _decay(n, box, (score, live), (iou, least, sigma), best)

    outputs = [((most,), "int32"), ((most,), "float32"), ((1,), "int64"), ((n,), "float32"),
               ((n,), "int32"), ((1,), "int64")]  # fmt: skip
    tensors = [boxes, scores, limits.iou, limits.score, limits.sigma]
    return loop_kernel(g, "non_max_suppression", tensors, outputs, body)[:3]


def _limits(g: Emitter, node: Node) -> Limits:
    def scalar(index: int, default: float) -> relax.Expr:
        if len(node.inputs) > index:
            return g.emit(R.astype(g.arg(node, index), "float32"))
        return g.const(default, "float32")

    iou = float(node.attr("iou_threshold", 0.5))
    return Limits(scalar(3, iou), scalar(4, float("-inf")), scalar(5, 0.0))


@DETECT.op(
    "NonMaxSuppression", "NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV4",
    "NonMaxSuppressionV5",
)  # fmt: skip
def non_max_suppression(g: Emitter, node: Node) -> Sequence[relax.Expr] | relax.Expr:
    """V1 to V3 give indices; V4 adds their number; V5 has scores between the two."""
    boxes, scores = (g.emit(R.astype(g.arg(node, i), "float32")) for i in range(2))
    (asked,) = g.dims(node, 2)
    dtype = g.dtype(g.arg(node, 1))
    index, value, count = _suppressed(g, boxes, scores, asked, _limits(g, node))
    number = g.emit(R.astype(g.reshape(count, []), "int32"))
    if not node.attr("pad_to_max_output_size", False):
        index, value = first_rows(g, node, [index, value], count)
    value = g.emit(R.astype(value, dtype))
    results = {"V4": [index, number], "V5": [index, value, number]}
    return results.get(node.op[-2:], [index])


@DETECT.op("CropAndResize")
def crop_and_resize(g: Emitter, node: Node) -> relax.Expr:
    """(n, h, w, c) and boxes (k, 4) in [0, 1] -> (k, H, W, c) float32.

    Source: tensorflow/core/kernels/image/crop_and_resize_op.cc, CropAndResizePerBox.
    """
    image, boxes, which = (g.arg(node, i) for i in range(3))
    size = g.dims(node, 3)
    method = str(node.attr("method") or "bilinear")
    if method not in ("bilinear", "nearest"):
        raise BadAttr(node, "method", found=method, expected=("bilinear", "nearest"))
    outside = tirx.const(float(node.attr("extrapolation_value", 0.0)), "float32")
    sample = _bilinear if method == "bilinear" else _nearest

    def compute(t: te.Tensor, box: te.Tensor, at: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given)
        out = [d if isinstance(d, int) else next(rest) for d in size]

        def element(k: Any, i: Any, j: Any, c: Any) -> Any:
            places = [
                _crop_place(box(k, axis), box(k, axis + 2), t.shape[axis + 1], out[axis], index)
                for axis, index in ((0, i), (1, j))
            ]
            inside = [
                tirx.all(p >= tirx.const(0.0), p <= tirx.Cast("float32", t.shape[a + 1] - 1))
                for a, p in enumerate(places)
            ]
            value = sample(t, wide(at(k)), places[0], places[1], c)
            return tirx.if_then_else(tirx.all(*inside), value, outside)

        return te.compute([box.shape[0], *out, t.shape[3]], element, name="crop_and_resize")

    symbols = [d for d in size if not isinstance(d, int)]
    return g.te(compute, image, boxes, which, *symbols, name="crop_and_resize")


def _crop_place(low: Any, high: Any, extent: Any, out: Any, index: Any) -> Any:
    """Where output pixel `index` lies in the image, in pixels."""
    last = tirx.Cast("float32", extent - 1)
    steps = tirx.Cast("float32", tirx.max(out - 1, 1))
    spread = low * last + tirx.Cast("float32", index) * ((high - low) * last / steps)
    return tirx.Select(out > 1, spread, tirx.const(0.5) * (low + high) * last)


def _bilinear(t: te.Tensor, b: Any, y: Any, x: Any, c: Any) -> Any:
    top, left = tirx.floor(y), tirx.floor(x)
    rows = [wide(top), wide(tirx.ceil(y))]
    columns = [wide(left), wide(tirx.ceil(x))]
    (a, d), (e, f) = (
        [tirx.Cast("float32", t(b, row, column, c)) for column in columns] for row in rows
    )
    upper, lower = a + (d - a) * (x - left), e + (f - e) * (x - left)
    return upper + (lower - upper) * (y - top)


def _nearest(t: te.Tensor, b: Any, y: Any, x: Any, c: Any) -> Any:
    """Halves go away from zero, as C's round has it."""
    half = tirx.const(0.5)
    row, column = (wide(tirx.floor(v + half)) for v in (y, x))
    return tirx.Cast("float32", t(b, row, column, c))
