"""cuDNN's recurrent layers, for inference: several layers, both directions, four kinds of cell.

Source of the equations and of the order of weights: NVIDIA's cuDNN documentation, section
cudnnRNNMode_t and cudnnGetRNNLinLayerMatrixParams; TensorFlow's order of the parameter blob, all
matrices before all biases: tensorflow/core/kernels/cudnn_rnn_ops.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable

CUDNN_RNN = OpTable()

R = relax.op

_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer in one direction. w: (gates * units, in), r: (gates * units, units), biases."""

    w: relax.Expr
    r: relax.Expr
    bw: relax.Expr
    br: relax.Expr


def _layers(
    g: Emitter, params: relax.Expr, gates: int, units: int, count: int, ways: int, width: int
) -> list[Layer]:
    """The blob cut up: for each layer and direction its matrices; then likewise all biases."""
    place = 0

    def cut(rows: int, columns: int) -> relax.Expr:
        nonlocal place
        size = rows * max(columns, 1)
        part = R.strided_slice(params, [0], [place], [place + size])
        place += size
        return g.emit(g.reshape(part, [rows, columns] if columns else [rows]))

    rows = gates * units
    widths = [width if n < ways else units * ways for n in range(count * ways)]
    matrices = [(cut(rows, w), cut(rows, units)) for w in widths]
    biases = [(cut(rows, 0), cut(rows, 0)) for _ in widths]
    return [Layer(*m, *b) for m, b in zip(matrices, biases, strict=True)]


@CUDNN_RNN.op("CudnnRNN", "CudnnRNNV2", "CudnnRNNV3")
def cudnn_rnn(g: Emitter, node: Node) -> Sequence[Any]:
    """(time, batch, in) -> outputs, last hidden states, last cell states; V3 may be batch first.

    V3 takes the length of each sequence: behind it outputs are 0 and states stay.
    """
    mode, direction = str(node.attr("rnn_mode", "lstm")), node.attr("direction", "unidirectional")
    _check(node, mode)
    ways = 2 if direction == "bidirectional" else 1
    x, h, c, params = (g.arg(node, i) for i in range(4))
    batch_first = node.op == "CudnnRNNV3" and not node.attr("time_major", True)
    if batch_first:
        x, h, c = (g.emit(R.permute_dims(t, [1, 0, 2])) for t in (x, h, c))
    steps, batch, width = g.shape(x)
    rows, _, units = g.static_shape(node, g.emit(R.take(h, g.const([0], "int32"), axis=1)))
    if not isinstance(width, int):
        raise BadNode(node, "the width of its input is not known", hint="give it with --input")
    layers = _layers(g, params, _GATES[mode], units, rows // ways, ways, width)
    lengths = g.arg(node, 4) if node.op == "CudnnRNNV3" else None
    last_h, last_c = [], []
    for number in range(rows // ways):
        made = []
        for way in range(ways):
            n = number * ways + way
            first = [_row(g, h, n), _row(g, c if mode == "lstm" else h, n)]
            cell = Cell(mode, units, bool(way), (steps, batch))
            y, *ends = cell.run(g, x, layers[n], first, lengths)
            made.append(y)
            last_h.append(ends[0])
            last_c.append(ends[1])
        x = g.emit(R.concat(made, 2)) if ways > 1 else made[0]
    results = [x, *(g.emit(R.stack(s, axis=0)) for s in (last_h, last_c))]
    if mode != "lstm":
        results[2] = g.emit(R.zeros_like(c))
    if batch_first:
        results = [g.emit(R.permute_dims(t, [1, 0, 2])) for t in results]
    reserved = np.zeros(0, g.dtype(x))
    return [*results, reserved, np.zeros(0, np.int8)][: 4 if node.op == "CudnnRNN" else 5]


def _check(node: Node, mode: str) -> None:
    if mode not in _GATES:
        raise BadAttr(node, "rnn_mode", found=mode, expected=tuple(_GATES))
    if node.attr("input_mode", "linear_input") not in ("linear_input", "auto_select"):
        found = node.attr("input_mode")
        raise BadAttr(node, "input_mode", found=found, expected=("linear_input",))
    if node.attr("num_proj", 0):
        raise BadAttr(node, "num_proj", found=node.attr("num_proj"), expected=("0",))
    if node.attr("is_training", True) and node.attr("dropout", 0.0):
        raise BadAttr(node, "is_training", found=True, expected=("False, or no dropout",))


def _row(g: Emitter, x: relax.Expr, n: int) -> relax.Expr:
    return g.emit(g.reshape(R.strided_slice(x, [0], [n], [n + 1]), g.shape(x)[1:]))


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of cell, its units, whether it goes from the end, and (steps, batch)."""

    mode: str
    units: int
    backward: bool
    extent: tuple[Dim, Dim]

    def run(
        self,
        g: Emitter,
        x: relax.Expr,
        layer: Layer,
        first: Sequence[relax.Expr],
        lengths: relax.Expr | None,
    ) -> list[relax.Expr]:
        """Outputs of all steps, and the last h and c."""
        (steps, batch), units, dtype = self.extent, self.units, g.dtype(x)
        rows = _GATES[self.mode] * units
        whole = lengths is None
        if lengths is None:
            lengths = g.emit(R.full(relax.ShapeExpr([batch]), g.const(0, "int32"), "int32"))
        inner = g.emit(R.add(R.matmul(x, R.permute_dims(layer.w)), layer.bw))

        def body(*buffers: Any) -> None:
            given, r, b, h0, c0, size, out, h, c, last = buffers
            with T.serial(0, batch) as n:
                with T.serial(0, units) as u:
                    h[n * units + u], c[n * units + u] = h0[n * units + u], c0[n * units + u]
                count = steps if whole else wide(size[n])
                with T.serial(0, steps) as t, T.serial(0, units) as u:
                    out[(t * batch + n) * units + u] = tirx.const(0, dtype)
                with T.serial(0, count) as k:
                    t = count - 1 - k if self.backward else k
                    with T.serial(0, rows) as i:
                        last[i] = b[i]
                        with T.serial(0, units) as u:
                            last[i] = last[i] + r[i * units + u] * h[n * units + u]
                    with T.serial(0, units) as u:
                        at = n * units + u
                        base = (t * batch + n) * rows + u
                        self.step(given, last, h, c, (at, base, u))
                        out[(t * batch + n) * units + u] = h[at]

        outputs: list[Any] = [((steps, batch, units), dtype), ((batch, units), dtype),
                              ((batch, units), dtype), ((rows,), dtype)]  # fmt: skip
        tensors = [inner, layer.r, layer.br, *first, lengths]
        return loop_kernel(g, "cudnn_rnn", tensors, outputs, body, [product(self.extent)])[:3]

    def step(self, x: Any, r: Any, h: Any, c: Any, at: tuple[Any, Any, Any]) -> None:
        """One unit's new state from x W + b and h R + b, of which each gate has `units`."""
        here, base, u = at
        units = self.units

        def both(k: int) -> Any:
            return x[base + k * units] + r[u + k * units]

        if self.mode == "lstm":  # gates i, f, new, o
            i, f, o = (tirx.sigmoid(both(k)) for k in (0, 1, 3))
            c[here] = f * c[here] + i * tirx.tanh(both(2))
            h[here] = o * tirx.tanh(c[here])
        elif self.mode == "gru":  # gates reset, update, new: the reset stands behind the matrix
            new = tirx.tanh(x[base + 2 * units] + tirx.sigmoid(both(0)) * r[u + 2 * units])
            keep = tirx.sigmoid(both(1))
            h[here] = (tirx.const(1, h.dtype) - keep) * new + keep * h[here]
        elif self.mode == "rnn_tanh":
            h[here] = tirx.tanh(both(0))
        else:
            h[here] = tirx.max(both(0), tirx.const(0, h.dtype))
