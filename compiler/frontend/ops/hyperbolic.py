"""Hyperbolic functions and exp(x) - 1, which keep their digits near 0 and the sign of a zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, tirx

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.math import pointwise
from dlcc.compiler.frontend.ops.special import constants_like, horner, log1p_of
from dlcc.compiler.frontend.ops.table import OpTable

HYPERBOLIC = OpTable()


def _register(op: str, f: Callable[[Any], Any], numpy: Callable[..., Any]) -> None:
    def convert(g: Emitter, node: Node) -> relax.Expr:
        return pointwise(g, g.arg(node, 0), f, op.lower())

    convert.__name__ = op.lower()
    HYPERBOLIC.op(op, fold=lambda node, x: np.asarray(numpy(x), x.dtype))(convert)


def _sinh_near(v: Any) -> Any:
    """sinh(v) for |v| < 1. Source: Abramowitz and Stegun, 4.5.62, the power series."""
    terms = 10 if str(v.ty.dtype) == "float64" else 6
    return v * horner([1 / math.factorial(2 * k + 1) for k in reversed(range(terms))], v * v)


def sinh_of(v: Any) -> Any:
    """(exp(v) - exp(-v)) / 2, of an expression; exp(v/2) twice, as exp(v) overflows too early."""
    c = constants_like(v)
    root = tirx.exp(tirx.abs(v) * c(0.5))
    far = c(0.5) * root * root - c(0.5) / root / root
    far = tirx.Select(v < c(0), -far, far)
    return tirx.Select(tirx.abs(v) < c(1), _sinh_near(v), far)


def cosh_of(v: Any) -> Any:
    """(exp(v) + exp(-v)) / 2, of an expression."""
    c = constants_like(v)
    root = tirx.exp(tirx.abs(v) * c(0.5))
    return c(0.5) * root * root + c(0.5) / root / root


def expm1_of(v: Any) -> Any:
    """exp(v) - 1, of an expression; near 0 as 2 sinh(v/2) exp(v/2)."""
    c = constants_like(v)
    half = v * c(0.5)
    near = c(2) * _sinh_near(half) * tirx.exp(half)
    return tirx.Select(tirx.abs(v) < c(1), near, tirx.exp(v) - c(1))


def tanh_of(v: Any) -> Any:
    """tanh, of an expression: t / (t + 2) with t = exp(2|v|) - 1."""
    c = constants_like(v)
    size = tirx.abs(v)
    t = expm1_of(tirx.min(c(22), size) * c(2))  # a constant first keeps NaN
    value = tirx.Select(tirx.isnan(v), v, t / (t + c(2)))
    value = tirx.Select(v < c(0), -value, value)
    return tirx.Select(v == c(0), v, value)


def atanh_of(v: Any) -> Any:
    """log((1 + v) / (1 - v)) / 2, of an expression."""
    c = constants_like(v)
    size = tirx.abs(v)
    value = c(0.5) * log1p_of((size + size) / (c(1) - size))
    value = tirx.Select(v < c(0), -value, value)
    return tirx.Select(v == c(0), v, value)


_register("Sinh", sinh_of, np.sinh)
_register("Cosh", cosh_of, np.cosh)
_register("Asinh", tirx.asinh, np.arcsinh)
_register("Acosh", tirx.acosh, np.arccosh)
_register("Atanh", atanh_of, np.arctanh)
_register("Expm1", expm1_of, np.expm1)


@HYPERBOLIC.op("Tanh", fold=lambda node, x: np.tanh(x))
def tanh(g: Emitter, node: Node) -> relax.Expr:
    """Targets have rules of their own for float32; TVM's for float64 is not exact near 0."""
    x = g.arg(node, 0)
    return pointwise(g, x, tanh_of, "tanh") if g.dtype(x) == "float64" else relax.op.tanh(x)
