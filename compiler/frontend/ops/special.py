"""Special functions, spelled out in arithmetic that every target has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import relax, tirx

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.math import binary_kernel, pointwise
from dlcc.compiler.frontend.ops.table import OpTable

SPECIAL = OpTable()

R = relax.op


def constants_like(v: Any) -> Callable[[float], Any]:
    """Constants of the dtype of an expression."""
    dtype = str(v.ty.dtype)
    return lambda number: tirx.const(number, dtype)


def horner(coefficients: Sequence[float], x: Any) -> Any:
    """A polynomial, highest power first, of an expression."""
    c = constants_like(x)
    result = c(coefficients[0])
    for number in coefficients[1:]:
        result = result * x + c(number)
    return result


def _function(g: Emitter, node: Node, f: Callable[[Any], Any]) -> relax.Expr:
    return pointwise(g, g.arg(node, 0), f, node.op.lower())


@SPECIAL.op("Log1p", fold=lambda node, x: np.log1p(x))
def log1p(g: Emitter, node: Node) -> relax.Expr:
    """log(1 + x), which keeps its digits near 0."""
    return _function(g, node, log1p_of)


def log1p_of(v: Any) -> Any:
    """log(1 + v) of an expression: for |v| < 1/2 by the series of 2 artanh(v / (2 + v)).

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 4.1.27. Corrections of
    the kind (1 + v) - 1 are of no use here: TVM simplifies them to v.
    """
    c = constants_like(v)
    s = v / (c(2) + v)
    terms = 17 if str(v.ty.dtype) == "float64" else 9
    series = horner(tuple(2 / (2 * k + 1) for k in reversed(range(terms))), s * s)
    return tirx.Select(tirx.abs(v) < c(0.5), series * s, tirx.log(c(1) + v))


@SPECIAL.op("Xlog1py")
def xlog1py(g: Emitter, node: Node) -> relax.Expr:
    """x * log(1 + y), and 0 where x is 0."""

    def f(x: Any, y: Any) -> Any:
        zero = tirx.const(0, x.ty.dtype)
        return tirx.Select(x == zero, zero, x * log1p_of(y))

    return binary_kernel(g, g.arg(node, 0), g.arg(node, 1), f, "xlog1py")


_LANCZOS = (
    676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
)  # fmt: skip


def lgamma_of(v: Any) -> Any:
    """log |gamma|, of an expression.

    Source: Lanczos, "A Precision Approximation of the Gamma Function", 1964, with g = 7 and
    nine terms; below 1/2 by gamma(x) gamma(1 - x) = pi / sin(pi x).
    """
    c = constants_like(v)
    low = v < c(0.5)
    x = tirx.Select(low, c(1) - v, v) - c(1)
    total = c(0.99999999999980993)
    for i, number in enumerate(_LANCZOS):
        total = total + c(number) / (x + c(i + 1))
    t = x + c(7.5)
    right = (x + c(0.5)) * tirx.log(t) - t + c(0.5 * math.log(2 * math.pi)) + tirx.log(total)
    right = tirx.Select(tirx.isinf(v), c(math.inf), right)
    turned = v - tirx.floor(v)
    left = c(math.log(math.pi)) - tirx.log(tirx.abs(tirx.sin(c(math.pi) * turned))) - right
    pole = tirx.any(turned == c(0), tirx.isinf(v))
    return tirx.Select(low, tirx.Select(pole, c(math.inf), left), right)


@SPECIAL.op("Lgamma")
def lgamma(g: Emitter, node: Node) -> relax.Expr:
    return _function(g, node, lgamma_of)


def digamma_of(v: Any) -> Any:
    """The derivative of log gamma, of an expression.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 6.3.5 (recurrence),
    6.3.7 (reflection), 6.3.18 (asymptotic series).
    """
    c = constants_like(v)
    low = v <= c(0)
    x = tirx.Select(low, c(1) - v, v)
    total = c(0)
    for k in range(10):
        total = total - c(1) / (x + c(k))
    x = x + c(10)
    square = c(1) / (x * x)
    series = horner((-1 / 132, 1 / 240, -1 / 252, 1 / 120, -1 / 12), square) * square
    right = total + tirx.log(x) - c(0.5) / x + series
    turned = c(math.pi) * (v - tirx.floor(v))
    left = right - c(math.pi) * tirx.cos(turned) / tirx.sin(turned)
    pole = tirx.all(low, v == tirx.floor(v))
    return tirx.Select(pole, c(math.nan), tirx.Select(low, left, right))


@SPECIAL.op("Digamma")
def digamma(g: Emitter, node: Node) -> relax.Expr:
    return _function(g, node, digamma_of)


# B(2j) / (2j)!
_BERNOULLI = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160)


def zeta_of(x: Any, q: Any) -> Any:
    """Hurwitz' zeta: the sum over k of (q + k) ** -x, for x > 1 and q > 0.

    Source: Euler and Maclaurin's formula, Abramowitz and Stegun, 23.1.30, with ten terms summed.
    """
    c = constants_like(x)
    total = c(0)
    for k in range(10):
        total = total + tirx.power(q + c(k), -x)
    n = q + c(10)
    power = tirx.power(n, -x)
    total = total + power * n / (x - c(1)) + power * c(0.5)
    factor = x * power / n
    for j, number in enumerate(_BERNOULLI):
        total = total + factor * c(number)
        factor = factor * (x + c(2 * j + 1)) * (x + c(2 * j + 2)) / (n * n)
    undefined = tirx.any(x < c(1), q <= c(0))
    poles = tirx.Select(tirx.all(q <= c(0), q == tirx.floor(q)), c(math.inf), c(math.nan))
    poles = tirx.Select(x < c(1), c(math.nan), poles)
    return tirx.Select(x == c(1), c(math.inf), tirx.Select(undefined, poles, total))


@SPECIAL.op("Zeta")
def zeta(g: Emitter, node: Node) -> relax.Expr:
    x, q = g.args(node)
    return binary_kernel(g, x, q, zeta_of, "zeta")


@SPECIAL.op("Polygamma")
def polygamma(g: Emitter, node: Node) -> relax.Expr:
    """The n-th derivative of digamma: (-1) ** (n + 1) * n! * zeta(n + 1, x); n = 0: digamma."""

    def f(n: Any, x: Any) -> Any:
        c = constants_like(x)
        size = tirx.exp(lgamma_of(n + c(1))) * zeta_of(n + c(1), x)
        even = n - c(2) * tirx.floor(n * c(0.5)) == c(0)
        return tirx.Select(n == c(0), digamma_of(x), tirx.Select(even, -size, size))

    n, x = g.args(node)
    return binary_kernel(g, n, x, f, "polygamma")
