"""Batch normalisation: with given statistics, with those of the batch, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import product
from dlcc.compiler.frontend.ops.nn import channels_last, per_channel
from dlcc.compiler.frontend.ops.table import OpTable

BATCH_NORM = OpTable()

R = relax.op


@BATCH_NORM.op("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def fused_batch_norm(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """y = x * s + (beta - mean * s),  s = gamma / sqrt(variance + epsilon).

    With is_training the statistics are those of the batch (variance of the population for y and
    for the gradient, of the sample for the output), which a few inference graphs rely on.
    Source: Ioffe and Szegedy, "Batch Normalization", 2015, algorithm 2.
    """
    x = g.arg(node, 0)
    gamma, beta = g.arg(node, 1), g.arg(node, 2)
    if node.attr("is_training", True):
        mean, variance, sample = _statistics(g, node, x)
        outputs = _averaged(g, node, mean, sample)
    else:
        mean, variance = g.arg(node, 3), g.arg(node, 4)
        outputs = [mean, variance]
    epsilon = float(node.attr("epsilon", 1e-4))
    scale, shift = _affine(g, node, (gamma, beta, mean, variance), epsilon)
    rank = g.rank(x)
    wide = R.astype(x, "float32") if g.dtype(x) in ("float16", "bfloat16") else x
    scaled = R.multiply(wide, per_channel(g, node, scale, rank))
    y = R.add(scaled, per_channel(g, node, shift, rank))
    y = g.emit(R.astype(y, g.dtype(x)) if wide is not x else y)
    return [y, *outputs, mean, variance, g.const(0, "float32")]


def _averaged(
    g: Emitter, node: Node, mean: relax.Expr, variance: relax.Expr
) -> Sequence[relax.Expr]:
    """The batch's statistics, or their weighted mean with those given.

    Source: tensorflow/core/kernels/fused_batch_norm_op.cc, FusedBatchNorm on a CPU.
    """
    factor = float(node.attr("exponential_avg_factor", 1.0))
    if factor == 1.0:
        return [mean, variance]
    new, old = (g.const(f, "float32") for f in (factor, 1.0 - factor))
    given = [g.arg(node, 3), g.arg(node, 4)]
    return [
        g.emit(R.add(R.multiply(old, before), R.multiply(new, now)))
        for before, now in zip(given, (mean, variance), strict=True)
    ]


def _affine(
    g: Emitter, node: Node, vectors: Sequence[relax.Expr], epsilon: float
) -> tuple[relax.Expr, relax.Expr]:
    """Scale and shift; computed here, in float64, where the four vectors are known."""
    training = bool(node.attr("is_training", True))
    numbers = [None if training and i > 2 else g.known(node, i) for i in range(1, 5)]
    if all(n is not None for n in numbers):
        gamma, beta, mean, variance = (np.asarray(n, np.float64) for n in numbers)
        scale = gamma / np.sqrt(variance + epsilon)
        return g.const(scale, "float32"), g.const(beta - mean * scale, "float32")
    gamma, beta, mean, variance = vectors
    rooted = R.sqrt(R.add(variance, g.const(epsilon, "float32")))
    factor = g.emit(R.divide(gamma, rooted))
    return factor, g.emit(R.subtract(beta, R.multiply(mean, factor)))


def _outer_axes(g: Emitter, node: Node, x: relax.Expr) -> list[int]:
    """All axes but that of the channels."""
    channel = g.rank(x) - 1 if channels_last(node) else 1
    return [i for i in range(g.rank(x)) if i != channel]


def _statistics(g: Emitter, node: Node, x: relax.Expr) -> tuple[relax.Expr, relax.Expr, relax.Expr]:
    """(mean, variance of the population, of the sample); NaN for no elements."""
    axes = _outer_axes(g, node, x)
    if g.empty(x):
        channels = [d for i, d in enumerate(g.static_shape(node, x)) if i not in axes]
        none = g.const(np.full(channels, np.nan), "float32")
        return none, none, none
    x = g.emit(R.astype(x, "float32"))
    mean = g.emit(R.mean(x, axes))
    centred = g.emit(R.subtract(x, per_channel(g, node, mean, g.rank(x))))
    variance = g.emit(R.mean(R.multiply(centred, centred), axes))
    count = product([g.shape(x)[a] for a in axes])
    return mean, variance, _of_sample(g, variance, count)


def _of_sample(g: Emitter, variance: relax.Expr, count: Any) -> relax.Expr:
    """The variance times n / (n - 1), for n > 1."""
    if isinstance(count, int):
        unbiased = g.const(count / max(count - 1, 1), "float32")
        return g.emit(R.multiply(variance, unbiased))

    def compute(t: te.Tensor, n: Any) -> te.Tensor:
        total, rest = (tirx.Cast("float32", v) for v in (n, tirx.max(n - 1, 1)))
        return te.compute(t.shape, lambda *i: t(*i) * (total / rest), name="of_sample")

    return g.te(compute, variance, count, name="of_sample")


@BATCH_NORM.op("FusedBatchNormGrad", "FusedBatchNormGradV2", "FusedBatchNormGradV3")
def fused_batch_norm_grad(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """Gradients of x, gamma and beta; two outputs without elements.

    With r = 1 / sqrt(variance + epsilon) and c = x - mean, that of gamma is sum(d c) r and that
    of x is gamma r (d - mean(d) - c r² mean(d c)), or gamma r d for statistics that were given.
    Source: tensorflow/core/kernels/fused_batch_norm_op.cc, FusedBatchNormGrad on a CPU.
    """
    d, x, gamma, mean, variance = (g.arg(node, i) for i in range(5))
    dtype, rank, axes = g.dtype(d), g.rank(x), _outer_axes(g, node, x)
    none = g.emit(R.zeros(relax.ShapeExpr([0]), "float32"))
    if g.empty(x):
        nothing = g.emit(R.zeros_like(gamma))
        return [d, nothing, nothing, none, none]
    d, x = (g.emit(R.astype(t, "float32")) for t in (d, x))

    def spread(vector: relax.Expr) -> relax.Expr:
        return per_channel(g, node, g.emit(vector), rank)

    root = g.emit(R.add(variance, g.const(float(node.attr("epsilon", 1e-4)), "float32")))
    rate = g.emit(R.divide(g.const(1, "float32"), R.sqrt(root)))
    centred = g.emit(R.subtract(x, spread(mean)))
    both = g.emit(R.multiply(d, centred))
    of_beta, of_gamma = g.emit(R.sum(d, axes)), g.emit(R.multiply(R.sum(both, axes), rate))
    if node.attr("is_training", True):
        slope = spread(R.multiply(R.mean(both, axes), R.multiply(rate, rate)))
        less = g.emit(R.subtract(d, spread(R.mean(d, axes))))
        d = g.emit(R.subtract(less, R.multiply(centred, slope)))
    of_x = R.multiply(d, spread(R.multiply(gamma, rate)))
    return [g.emit(R.astype(of_x, dtype)), of_gamma, of_beta, none, none]


@BATCH_NORM.op("BatchNormWithGlobalNormalization")
def batch_norm_global(g: Emitter, node: Node) -> relax.Expr:
    x, mean, variance, beta, gamma = g.args(node)
    epsilon = g.const(float(node.attr("variance_epsilon", 1e-3)), g.dtype(x))
    scale = R.rsqrt(R.add(variance, epsilon))
    if node.attr("scale_after_normalization", True):
        scale = R.multiply(scale, gamma)
    scale = g.emit(scale)
    return R.add(R.multiply(x, scale), R.subtract(beta, R.multiply(mean, scale)))
