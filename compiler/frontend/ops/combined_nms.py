"""Boxes suppressed class by class, and the best of all classes kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, wide
from dlcc.compiler.frontend.ops.detect import overlap
from dlcc.compiler.frontend.ops.table import OpTable

COMBINED_NMS = OpTable()


def _int(number: int) -> Any:
    return tirx.const(number, "int64")


def _best_live(count: Any, live: Any, base: Any, score: Any, best: Any) -> None:
    """best[0]: the live entry of the largest score, the first among equals; -1 for none."""
    best[0] = _int(-1)
    with T.serial(0, count) as j, T.If(live[base + j] != 0), T.Then():
        at = tirx.max(best[0], _int(0))
        with T.If(tirx.any(best[0] < 0, score(j) > score(at))), T.Then():
            best[0] = wide(j)


@COMBINED_NMS.op("CombinedNonMaxSuppression")
def combined_nms(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """boxes (b, n, q, 4), q = 1 or classes, scores (b, n, classes) -> boxes (b, k, 4), scores,
    classes (b, k), and how many are real (b,).

    Source: tensorflow/core/kernels/image/non_max_suppression_op.cc, CombinedNonMaxSuppressionOp.
    """
    boxes, scores = g.arg(node, 0), g.arg(node, 1)
    batch, n, classes = g.shape(scores)
    shared = g.shape(boxes)[2]
    each, total = (int(g.static(node, i, "the number of boxes").item()) for i in (2, 3))
    rows = each * classes if node.attr("pad_per_class") else total
    kept = min(rows, total) if isinstance(rows, int) else tirx.min(rows, total)
    clip = bool(node.attr("clip_boxes", True))

    def body(box: Any, value: Any, iou: Any, least: Any, *outs: Any) -> None:
        out_box, out_score, out_class, valid, live, best, chosen = outs
        with T.serial(0, batch) as b:
            with T.serial(0, classes) as c:
                _one_class((box, value), (iou, least), (live, best, chosen),
                           (b, c, n, classes, shared, each))  # fmt: skip
            valid[b] = tirx.const(0, "int32")
            with T.serial(0, kept) as k:
                at = b * kept + k
                out_score[at], out_class[at] = tirx.const(0.0), tirx.const(0.0)
                _best_live(n * classes, chosen, 0, lambda j: value[b * n * classes + j], best)
                for e in range(4):
                    out_box[at * 4 + e] = tirx.const(0.0)
                _keep((box, value), best, chosen, (b, at), outs, (n, classes, shared, clip))

    outputs = [([batch, kept, 4], "float32"), ([batch, kept], "float32"),
               ([batch, kept], "float32"), ([batch], "int32"), ([n], "int32"), ((1,), "int64"),
               ([n * classes], "int32")]  # fmt: skip
    tensors = [boxes, scores, g.arg(node, 4), g.arg(node, 5)]
    return loop_kernel(g, "combined_nms", tensors, outputs, body)[:4]


def _keep(given: Any, best: Any, chosen: Any, at: Any, outs: Any, facts: Any) -> None:
    """Put the best entry left, if any, into row `at` of the result."""
    (box, value), (b, row), (n, classes, shared, clip) = given, at, facts
    out_box, out_score, out_class, valid = outs[:4]
    with T.If(best[0] >= 0), T.Then():
        chosen[best[0]] = tirx.const(0, "int32")
        c = tirx.floormod(best[0], wide(classes))
        out_class[row] = tirx.Cast("float32", c)
        out_score[row] = value[b * n * classes + best[0]]
        source = wide(b) * n + tirx.floordiv(best[0], wide(classes))
        source = (source * shared + (c if shared != 1 else 0)) * 4
        for e in range(4):
            edge = box[source + e]
            inside = tirx.max(tirx.min(edge, tirx.const(1.0)), tirx.const(0.0))
            out_box[row * 4 + e] = inside if clip else edge
        valid[b] = valid[b] + 1


def _one_class(given: Any, limits: Any, scratch: Any, at: Sequence[Any]) -> None:
    """chosen[j * classes + c]: whether box j is kept for class c of image b."""
    (box, value), (iou, least), (live, best, chosen) = given, limits, scratch
    b, c, n, classes, shared, each = at

    def score(j: Any) -> Any:
        return value[(b * n + j) * classes + c]

    def place(j: Any) -> Any:
        return ((wide(b) * n + j) * shared + (c if shared != 1 else 0)) * 4

    with T.serial(0, n) as j:
        live[j] = tirx.Cast("int32", score(j) > least[0])
        chosen[j * classes + c] = tirx.const(0, "int32")
    with T.serial(0, tirx.min(_int(each), wide(n))):
        _best_live(n, live, 0, score, best)
        with T.If(best[0] >= 0), T.Then():
            live[best[0]] = tirx.const(0, "int32")
            chosen[best[0] * classes + c] = tirx.const(1, "int32")
            with T.serial(0, n) as j:
                near = overlap(box, place(best[0]), place(j)) > iou[0]
                with T.If(tirx.all(live[j] != 0, near)), T.Then():
                    live[j] = tirx.const(0, "int32")


@COMBINED_NMS.op("NonMaxSuppressionWithOverlaps")
def nms_with_overlaps(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Greedy choice of the best scores whose given overlaps (n, n) do not pass the limit."""
    overlaps, scores = g.arg(node, 0), g.arg(node, 1)
    (most,) = g.dims(node, 2)
    (n,) = g.shape(scores)

    def body(m: Any, value: Any, limit: Any, least: Any, *outs: Any) -> None:
        index, count, live, best = outs
        count[0] = _int(0)
        with T.serial(0, n) as j:
            live[j] = tirx.Cast("int32", value[j] > least[0])
        with T.serial(0, most):
            _best_live(n, live, 0, lambda j: value[j], best)
            with T.If(best[0] >= 0), T.Then():
                index[count[0]] = tirx.Cast("int32", best[0])
                count[0] = count[0] + 1
                live[best[0]] = tirx.const(0, "int32")
                with T.serial(0, n) as j, T.If(m[j * n + best[0]] > limit[0]), T.Then():
                    live[j] = tirx.const(0, "int32")

    outputs = [([most], "int32"), ((1,), "int64"), ([n], "int32"), ((1,), "int64")]
    tensors = [overlaps, scores, g.arg(node, 3), g.arg(node, 4)]
    made = loop_kernel(g, "nms_overlaps", tensors, outputs, body)
    return first_rows(g, node, made[:1], made[1])
