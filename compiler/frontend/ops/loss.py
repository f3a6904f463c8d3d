"""Losses over classes, with the gradients that TensorFlow's ops give beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import relax

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable

LOSS = OpTable()

R = relax.op


@LOSS.op("SoftmaxCrossEntropyWithLogits")
def softmax_cross_entropy(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """loss = -sum(labels * log softmax(x)); backprop = softmax(x) - labels."""
    x, labels = g.args(node)
    return _cross_entropy(g, x, labels)


@LOSS.op("SparseSoftmaxCrossEntropyWithLogits")
def sparse_softmax_cross_entropy(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """The same with the number of one class a row, instead of a weight for each."""
    x, number = g.args(node)
    classes = g.static_shape(node, x)[-1]
    at = g.const(np.arange(classes), g.dtype(number))
    chosen = R.equal(g.reshape(number, [*g.shape(number), 1]), at)
    return _cross_entropy(g, x, g.emit(R.astype(chosen, g.dtype(x))))


def _cross_entropy(g: Emitter, x: relax.Expr, labels: relax.Expr) -> list[relax.Expr]:
    dtype = g.dtype(x)
    wide = g.emit(R.astype(x, "float32")) if dtype in ("float16", "bfloat16") else x
    weights = g.emit(R.astype(labels, g.dtype(wide)))
    logs = g.emit(R.nn.log_softmax(wide, -1))
    zero = g.const(0, g.dtype(wide))
    # a class without weight counts 0, also where its probability is 0 and its log infinite
    terms = R.where(R.equal(weights, zero), zero, R.multiply(weights, logs))
    loss = R.negative(R.sum(terms, [-1]))
    gradient = R.subtract(R.exp(logs), weights)
    return [g.emit(R.astype(v, dtype)) if wide is not x else g.emit(v) for v in (loss, gradient)]
