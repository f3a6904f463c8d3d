"""Bias and activations of neural networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.math import is_integer
from dlcc.compiler.frontend.ops.table import OpTable

NN = OpTable()

R = relax.op


def per_channel(g: Emitter, node: Node, vector: relax.Expr, rank: int) -> relax.Expr:
    """A vector of channels, in a shape that broadcasts over the node's data format."""
    layout = str(node.attr("data_format") or "NHWC")
    if layout.startswith("NC") and rank > 2:
        return g.reshape(vector, [1, *g.shape(vector), *[1] * (rank - 2)])
    return vector


@NN.op("BiasAdd", fold=lambda node, x, b: x + b if channels_last(node) else None)
def bias_add(g: Emitter, node: Node) -> relax.Expr:
    x, bias = g.args(node)
    return R.add(x, per_channel(g, node, bias, g.rank(x)))


def channels_last(node: Node) -> bool:
    return not str(node.attr("data_format") or "").startswith("NC")


# ---------------------------------------------------------------- activations


@NN.op("Relu")
def relu(g: Emitter, node: Node) -> relax.Expr:
    return R.nn.relu(g.arg(node, 0))


@NN.op("Relu6")
def relu6(g: Emitter, node: Node) -> relax.Expr:
    """min(6, max(0, x)), spelled out: TVM's relu6 does not convert to half precision.

    A constant comes first, and NaN is passed on.
    """
    x = g.arg(node, 0)
    dtype = g.dtype(x)
    return R.minimum(g.const(6, dtype), R.maximum(g.const(0, dtype), x))


@NN.op("LeakyRelu")
def leaky_relu(g: Emitter, node: Node) -> relax.Expr:
    return R.nn.leakyrelu(g.arg(node, 0), float(node.attr("alpha", 0.2)))


def _where_negative(
    g: Emitter, x: relax.Expr, negative: Callable[[relax.Expr], relax.Expr]
) -> relax.Expr:
    """A function of x, used only where x is negative, else x."""
    zero = g.const(0, g.dtype(x))
    return R.where(R.less(x, zero), negative(R.minimum(zero, x)), x)


@NN.op("Elu")
def elu(g: Emitter, node: Node) -> relax.Expr:
    """x, or exp(x) - 1 below 0. Source: Clevert et al., 2015, equation 15."""
    x = g.arg(node, 0)
    one = g.const(1, g.dtype(x))
    return _where_negative(g, x, lambda v: R.subtract(R.exp(v), one))


@NN.op("Selu")
def selu(g: Emitter, node: Node) -> relax.Expr:
    """Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017, equation 2 and 14."""
    x = g.arg(node, 0)
    dtype = g.dtype(x)
    alpha, scale = g.const(1.6732632423543772, dtype), g.const(1.0507009873554805, dtype)
    one = g.const(1, dtype)
    curve = _where_negative(g, x, lambda v: R.multiply(alpha, R.subtract(R.exp(v), one)))
    return R.multiply(scale, curve)


@NN.op("Softplus")
def softplus(g: Emitter, node: Node) -> relax.Expr:
    """log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which does not overflow."""
    x = g.arg(node, 0)
    dtype = g.dtype(x)
    tail = R.log(R.add(R.exp(R.negative(R.abs(x))), g.const(1, dtype)))
    return R.add(R.maximum(x, g.const(0, dtype)), tail)


@NN.op("Softsign")
def softsign(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    return R.divide(x, R.add(R.abs(x), g.const(1, g.dtype(x))))


@NN.op("Softmax")
def softmax(g: Emitter, node: Node) -> relax.Expr:
    return R.nn.softmax(g.arg(node, 0), -1)


@NN.op("LogSoftmax")
def log_softmax(g: Emitter, node: Node) -> relax.Expr:
    return R.nn.log_softmax(g.arg(node, 0), -1)


@NN.op("L2Loss")
def l2_loss(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    return R.multiply(R.sum(R.multiply(x, x)), g.const(0.5, g.dtype(x)))


@NN.op("LRN")
def lrn(g: Emitter, node: Node) -> relax.Expr:
    """x / (bias + alpha * sum of squares of 2r+1 neighbouring channels) ** beta.

    Source: Krizhevsky et al., "ImageNet Classification with Deep CNNs", 2012, section 3.3.
    """
    x = g.arg(node, 0)
    radius = int(node.attr("depth_radius", 5))
    bias, alpha, beta = (
        float(node.attr(a, d)) for a, d in (("bias", 1.0), ("alpha", 1.0), ("beta", 0.5))
    )
    dtype = g.dtype(x)
    channels = g.shape(x)[-1]

    def squares(t: te.Tensor) -> te.Tensor:
        k = te.reduce_axis((-radius, radius + 1), name="k")

        def element(*i: Any) -> Any:
            at = i[-1] + k
            inside = tirx.all(at >= 0, at < channels)
            value = tirx.if_then_else(inside, t[(*i[:-1], at)], tirx.const(0, dtype))
            return te.sum(value * value, axis=k)

        return te.compute(t.shape, element, name="square_sum")

    total = g.te(squares, x, name="square_sum")
    base = R.add(g.const(bias, dtype), R.multiply(g.const(alpha, dtype), total))
    return R.divide(x, R.power(base, g.const(beta, dtype)))


@NN.op("InTopK", "InTopKV2")
def in_top_k(g: Emitter, node: Node) -> relax.Expr:
    """Whether fewer than k classes score above the target's; false where that is not finite."""
    scores, targets = g.arg(node, 0), g.arg(node, 1)
    k = g.arg(node, 2) if node.op == "InTopKV2" else g.const(int(node.attr("k", 1)), "int32")
    _, classes = g.static_shape(node, scores)
    dtype = g.dtype(targets)
    assert is_integer(dtype)
    at = g.const(np.arange(classes), dtype)
    mine = R.equal(g.reshape(targets, [*g.shape(targets), 1]), at)
    zero = g.const(0, g.dtype(scores))
    score = g.emit(R.sum(R.where(mine, scores, zero), [1], True))
    above = R.sum(R.astype(R.greater(scores, score), "int32"), [1])
    inside = R.sum(R.astype(mine, "int32"), [1])
    finite = R.less(R.abs(score), g.const(np.inf, g.dtype(scores)))
    all_finite = R.logical_and(R.greater(inside, g.const(0, "int32")), R.squeeze(finite, [1]))
    return R.logical_and(R.less(above, R.astype(k, "int32")), all_finite)
