"""Sequences decoded from the classes of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, wide
from dlcc.compiler.frontend.ops.table import OpTable

CTC = OpTable()


@CTC.op("CTCGreedyDecoder")
def ctc_greedy(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """(time, batch, classes) -> sparse (indices, values, shape) and -sum of the logits (batch, 1).

    The best class of each frame is taken, blanks are left out and, with merge_repeated, classes
    that repeat the frame before.
    Source: tensorflow/core/kernels/ctc_decoder_ops.cc, CTCGreedyDecoderOp.
    """
    x, lengths = g.args(node)
    frames, batch, classes = g.shape(x)
    dtype = g.dtype(x)
    blank = int(node.attr("blank_index", -1))
    blank_class = blank if blank >= 0 else classes + blank
    merge = bool(node.attr("merge_repeated", False))

    def body(t: Any, n: Any, *outs: Any) -> None:
        indices, values, shape, score, s = outs
        for k in range(2):
            s[k], shape[k] = (tirx.const(0, "int64"),) * 2
        shape[0] = wide(batch)
        with T.serial(0, batch) as b:
            score[b] = tirx.const(0, dtype)
            s[1], s[2] = tirx.const(0, "int64"), tirx.const(-1, "int64")
            with T.serial(0, tirx.min(wide(n[b]), wide(frames))) as f:
                base = (wide(f) * batch + b) * classes
                _best_class(t, base, classes, s)
                score[b] = score[b] - t[base + s[3]]
                fresh = s[3] != s[2] if merge else tirx.const(True, "bool")
                with T.If(tirx.all(s[3] != blank_class, fresh)), T.Then():
                    indices[s[0] * 2], indices[s[0] * 2 + 1] = wide(b), s[1]
                    values[s[0]] = s[3]
                    s[0], s[1] = s[0] + 1, s[1] + 1
                s[2] = s[3]
            shape[1] = tirx.max(shape[1], s[1])

    most = frames * batch
    outputs = [([most, 2], "int64"), ([most], "int64"), ((2,), "int64"), ([batch, 1], dtype),
               ((4,), "int64")]  # fmt: skip
    indices, values, shape, score, s = loop_kernel(g, "ctc_greedy", [x, lengths], outputs, body)
    count = g.emit(relax.op.strided_slice(s, [0], [0], [1]))
    return [*first_rows(g, node, [indices, values], count), shape, score]


def _best_class(t: Any, base: Any, classes: Any, s: Any) -> None:
    """s[3]: the first class of the largest number."""
    s[3] = tirx.const(0, "int64")
    with T.serial(0, classes) as c, T.If(t[base + c] > t[base + s[3]]), T.Then():
        s[3] = wide(c)
