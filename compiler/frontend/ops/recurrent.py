"""Cells of recurrent networks that TensorFlow has as one op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable

RECURRENT = OpTable()

R = relax.op

MAX_STEPS = 64  # of a block of cells, which is unrolled


def _columns(g: Emitter, x: relax.Expr, parts: int) -> list[relax.Expr]:
    """A matrix cut into equal blocks of columns."""
    size = int(g.shape(x)[1]) // parts
    return [g.emit(R.strided_slice(x, [1], [k * size], [(k + 1) * size])) for k in range(parts)]


def _lstm_step(g: Emitter, node: Node, values: Sequence[Any], order: str) -> list[relax.Expr]:
    """One step: (i, cell state, f, o, ci, co, h).

    values: x (n, in), cell (n, k), h (n, k), w (in + k, 4k), peepholes i, f, o (k,), b (4k,).
    order: which gate each block of columns holds: i, c (the new input), f, o.
    Source: tensorflow/core/kernels/rnn/lstm_ops.h, LSTMBlockCellFprop.
    """
    x, cell, h, w, wci, wcf, wco, b = values
    peephole = bool(node.attr("use_peephole", False))
    clip = float(node.attr("cell_clip", 3.0))
    forget = g.const(float(node.attr("forget_bias", 0.0)), g.dtype(x))
    gates = g.emit(R.add(R.matmul(R.concat([x, h], axis=1), w), b))
    block = dict(zip(order, _columns(g, gates, 4), strict=True))

    def gate(letter: str, of: relax.Expr, weight: relax.Expr) -> relax.Expr:
        total = R.add(block[letter], forget) if letter == "f" else block[letter]
        return g.emit(R.sigmoid(R.add(total, R.multiply(of, weight)) if peephole else total))

    i, f = gate("i", cell, wci), gate("f", cell, wcf)
    new = g.emit(R.tanh(block["c"]))
    state = g.emit(R.add(R.multiply(new, i), R.multiply(cell, f)))
    if clip > 0:
        low, high = g.const(-clip, g.dtype(x)), g.const(clip, g.dtype(x))
        state = g.emit(R.minimum(R.maximum(state, low), high))
    o = gate("o", state, wco)
    squashed = g.emit(R.tanh(state))
    return [i, state, f, o, new, squashed, g.emit(R.multiply(o, squashed))]


@RECURRENT.op("LSTMBlockCell")
def lstm_block_cell(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    return _lstm_step(g, node, g.args(node), "icfo")


@RECURRENT.op("BlockLSTM", "BlockLSTMV2")
def block_lstm(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """A sequence (time, n, in), unrolled; every output is (time, n, k). V2 has f before c.

    Steps from `seq_len_max` on are 0.
    """
    length = g.known(node, 0)
    x, cell, h, *weights = (g.arg(node, i) for i in range(1, 9))
    steps, *dims = g.static_shape(node, x)
    if length is None or steps > MAX_STEPS:
        raise BadNode(node, f"{steps} steps, of which the last is {length}: at most {MAX_STEPS} "
                      "steps of a known number are unrolled")  # fmt: skip
    order = "icfo" if node.op == "BlockLSTM" else "ifco"
    if node.op == "BlockLSTMV2":
        node = Node(node.name, node.op, node.inputs, {**node.attrs, "forget_bias": 0.0})
    rows = []
    for step in range(min(int(length.item()), steps)):
        now = g.emit(g.reshape(R.strided_slice(x, [0], [step], [step + 1]), dims))
        rows.append(_lstm_step(g, node, [now, cell, h, *weights], order))
        cell, h = rows[-1][1], rows[-1][6]
    rest = [g.emit(R.zeros_like(cell))] * (steps - len(rows))
    return [g.emit(R.stack([*(r[k] for r in rows), *rest], axis=0)) for k in range(7)]


@RECURRENT.op("GRUBlockCell")
def gru_block_cell(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """(r, u, c, h). Source: tensorflow/core/kernels/rnn/gru_ops.h, GRUBlockCellFprop."""
    x, h, w_ru, w_c, b_ru, b_c = g.args(node)
    gates = g.emit(R.sigmoid(R.add(R.matmul(R.concat([x, h], axis=1), w_ru), b_ru)))
    r, u = _columns(g, gates, 2)
    inner = R.concat([x, g.emit(R.multiply(h, r))], axis=1)
    c = g.emit(R.tanh(R.add(R.matmul(inner, w_c), b_c)))
    one = g.const(1, g.dtype(x))
    new = g.emit(R.add(R.multiply(u, h), R.multiply(R.subtract(one, u), c)))
    return [r, u, c, new]
