"""Gradients of element-wise functions and of biases, which exported graphs may hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.math import binary_kernel
from dlcc.compiler.frontend.ops.table import OpTable

GRADIENTS = OpTable()

R = relax.op

# Source: tensorflow/core/kernels/relu_op_functor.h, SeluGrad
_SELU_SCALE, _SELU_SCALE_ALPHA = 1.0507009873554804934, 1.7580993408473768599


def _num(value: float, like: Any) -> Any:
    return tirx.const(value, like.dtype if isinstance(like, te.Tensor) else like.ty.dtype)


def _where(condition: Any, like: Any) -> Any:
    """1 or 0: a gradient that is NaN stays NaN."""
    return tirx.Cast(like.ty.dtype, condition)


# f(gradient, feature or output), sources: relu_op_functor.h, softplus_op.h, softsign_op.h
_OF_GRADIENT: dict[str, Callable[[Any, Any], Any]] = {
    "ReluGrad": lambda d, x: d * _where(x > _num(0, x), d),
    "Relu6Grad": lambda d, x: d * _where(tirx.all(x > _num(0, x), x < _num(6, x)), d),
    "EluGrad": lambda d, y: tirx.Select(y < _num(0, y), (y + _num(1, y)) * d, d),
    "SeluGrad": lambda d, y: d * tirx.Select(
        y < _num(0, y), y + _num(_SELU_SCALE_ALPHA, y), _num(_SELU_SCALE, y)),
    "SoftplusGrad": lambda d, x: d / (tirx.exp(-x) + _num(1, x)),
    "SoftsignGrad": lambda d, x: d / ((tirx.abs(x) + _num(1, x)) * (tirx.abs(x) + _num(1, x))),
}  # fmt: skip
# f(output, gradient), source: cwise_ops_gradients.h
_OF_OUTPUT: dict[str, Callable[[Any, Any], Any]] = {
    "SigmoidGrad": lambda y, d: d * y * (_num(1, y) - y),
    "TanhGrad": lambda y, d: d * (_num(1, y) - y * y),
    "SqrtGrad": lambda y, d: d * _num(0.5, y) / y,
    "RsqrtGrad": lambda y, d: d * (_num(-0.5, y) * y) * (y * y),
    "ReciprocalGrad": lambda y, d: -d * (y * y),
    "InvGrad": lambda y, d: -d * (y * y),
}


@GRADIENTS.op(*_OF_GRADIENT, *_OF_OUTPUT)
def elementwise_gradient(g: Emitter, node: Node) -> relax.Expr:
    """Numbers narrower than float32 are computed in it."""
    x, y = g.args(node)
    dtype, f = g.dtype(x), (_OF_GRADIENT | _OF_OUTPUT)[node.op]
    if dtype not in ("float16", "bfloat16"):
        return binary_kernel(g, x, y, f, "gradient")
    wide = binary_kernel(g, R.astype(x, "float32"), R.astype(y, "float32"), f, "gradient")
    return R.astype(wide, dtype)


@GRADIENTS.op("LeakyReluGrad")
def leaky_relu_grad(g: Emitter, node: Node) -> relax.Expr:
    alpha = float(node.attr("alpha", 0.2))
    d, x = g.args(node)
    zero = g.const(0, g.dtype(x))
    return R.where(R.greater(x, zero), d, R.multiply(d, g.const(alpha, g.dtype(d))))


@GRADIENTS.op("BiasAddGrad")
def bias_add_grad(g: Emitter, node: Node) -> relax.Expr:
    """The sum over all but the channels."""
    d, layout = g.arg(node, 0), node.attr("data_format") or "NHWC"
    if layout not in ("NHWC", "NCHW"):
        raise BadAttr(node, "data_format", found=layout, expected=("NHWC", "NCHW"))
    channels = 1 if layout == "NCHW" else g.rank(d) - 1
    return R.sum(d, [a for a in range(g.rank(d)) if a != channels])


@GRADIENTS.op("LRNGrad")
def lrn_grad(g: Emitter, node: Node) -> relax.Expr:
    """d / n ** beta - 2 alpha beta x * (the sum of d y / n over the channels around).

    n is bias + alpha * (the sum of x ** 2 around).
    Source: tensorflow/core/kernels/lrn_op.cc, LRNGrad on a CPU.
    """
    radius = int(node.attr("depth_radius", 5))
    bias, alpha, beta = (
        float(node.attr(name, default))
        for name, default in (("bias", 1), ("alpha", 1), ("beta", 0.5))
    )

    def compute(d: te.Tensor, x: te.Tensor, y: te.Tensor) -> te.Tensor:
        squares = _around(x, radius, lambda *i: x(*i) * x(*i), "squares")
        n = te.compute(x.shape, lambda *i: _num(bias, x) + _num(alpha, x) * squares(*i), "norm")
        shares = _around(x, radius, lambda *i: d(*i) * y(*i) / n(*i), "shares")

        def element(*i: Any) -> Any:
            own = d(*i) * tirx.power(n(*i), _num(-beta, d))
            return own - _num(2 * alpha * beta, x) * x(*i) * shares(*i)

        return te.compute(x.shape, element, name="lrn_grad")

    return g.te(compute, *g.args(node), name="lrn_grad")


def _around(like: te.Tensor, radius: int, f: Callable[..., Any], name: str) -> te.Tensor:
    """Sums of f over the channels within a radius."""
    step = te.reduce_axis((0, 2 * radius + 1), name="step")

    def element(*i: Any) -> Any:
        k = i[-1] + step - radius
        inside = tirx.all(k >= 0, k < like.shape[-1])
        return te.sum(tirx.if_then_else(inside, f(*i[:-1], k), tirx.const(0, like.dtype)), step)

    return te.compute(like.shape, element, name=name)
