"""Special functions that are sums or continued fractions: computed in float64, element by element.

Wide arithmetic pays twice: sums with cancellation keep the digits of float32, and one set of
terms serves every dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.broadcasting import broadcast
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.special import lgamma_of
from dlcc.compiler.frontend.ops.table import OpTable

INTEGRALS = OpTable()

# (elements in float64, scratch): emits the loops and leaves the result in scratch[0]
Steps = Callable[[Sequence[Any], Any], None]

_TERMS = 500  # of series and fractions that end as soon as a term no longer counts
_STEP = 1e-16


def real(number: float) -> Any:
    return tirx.const(number, "float64")


def stepped(g: Emitter, tensors: Sequence[relax.Expr], steps: Steps, name: str) -> relax.Expr:
    """Emit the steps for each element of tensors of one shape."""
    dims, dtype = g.shape(tensors[0]), g.dtype(tensors[0])
    count = len(tensors)

    def body(*buffers: Any) -> None:
        out, r = buffers[count:]
        with T.serial(0, product(dims)) as i:
            for k in range(count):
                r[8 + k] = tirx.Cast("float64", buffers[k][i])
            steps([r[8 + k] for k in range(count)], r)
            out[i] = tirx.Cast(dtype, r[0])

    return loop_kernel(g, name, tensors, [(dims, dtype), ((12,), "float64")], body)[0]


def until_settled(r: Any, slot: int, emit: Callable[[Any], None]) -> None:
    """Repeat until r[slot], the size of the last term, is nothing to r[0]; k counts from 1."""
    r[slot] = real(1)
    with (
        T.serial(0, _TERMS) as i,
        T.If(tirx.abs(r[slot]) > real(_STEP) * tirx.abs(r[0])),
        T.Then(),
    ):
        emit(tirx.Cast("float64", i) + real(1))


def _nonzero(x: Any) -> Any:
    return tirx.Select(tirx.abs(x) < real(1e-300), real(1e-300), x)


def _log(x: Any) -> Any:
    return tirx.log(tirx.max(x, real(1e-300)))


# ---------------------------------------------------------------- incomplete gamma and beta


def _gamma_parts(a: Any, x: Any, r: Any) -> None:
    """r[0]: the share of gamma(a) below x where r[7] is 1, that above x where it is 0.

    Source: Press et al., "Numerical Recipes", 3rd edition, section 6.2: a series below a + 1,
    Lentz' continued fraction above.
    """
    r[7] = tirx.Cast("float64", x < a + real(1))
    with T.If(r[7] > real(0)):
        with T.Then():
            r[0] = real(1) / a
            r[2] = r[0]

            def term(k: Any) -> None:
                r[2] = r[2] * x / (a + k)
                r[0], r[1] = r[0] + r[2], r[2]

            until_settled(r, 1, term)
        with T.Else():
            r[2] = x + real(1) - a  # b
            r[3] = real(1e300)  # c
            r[4] = real(1) / _nonzero(r[2])  # d
            r[0] = r[4]

            def fraction(k: Any) -> None:
                step = k * (a - k)
                r[2] = r[2] + real(2)
                r[4] = real(1) / _nonzero(step * r[4] + r[2])
                r[3] = _nonzero(r[2] + step / r[3])
                r[5] = r[3] * r[4]
                r[0] = r[0] * r[5]
                r[1] = (r[5] - real(1)) * r[0]

            until_settled(r, 1, fraction)
    r[0] = r[0] * tirx.exp(a * _log(x) - x - lgamma_of(a))


@INTEGRALS.op("Igamma", "Igammac")
def incomplete_gamma(g: Emitter, node: Node) -> relax.Expr:
    """The share of gamma(a) below x (Igamma) or above x (Igammac)."""
    lower = node.op == "Igamma"

    def steps(given: Sequence[Any], r: Any) -> None:
        a, x = given
        _gamma_parts(a, x, r)
        r[0] = tirx.Select(r[7] == real(1 if lower else 0), r[0], real(1) - r[0])
        ends = tirx.Select(x == real(0), real(0 if lower else 1), real(1 if lower else 0))
        r[0] = tirx.Select(tirx.any(x == real(0), tirx.isinf(x)), ends, r[0])
        outside = tirx.any(x < real(0), a <= real(0), tirx.isnan(x), tirx.isnan(a))
        r[0] = tirx.Select(outside, real(math.nan), r[0])

    return stepped(g, broadcast(g, *g.args(node)), steps, node.op.lower())


def _beta_fraction(a: Any, b: Any, x: Any, r: Any) -> None:
    """r[0]: the continued fraction of the incomplete beta function.

    Source: Press et al., "Numerical Recipes", 3rd edition, section 6.4, betacf.
    """
    r[3], r[4] = real(1), real(1) / _nonzero(real(1) - (a + b) * x / (a + real(1)))
    r[0] = r[4]

    def advance(step: Any) -> None:
        r[5] = step
        r[4] = real(1) / _nonzero(real(1) + r[5] * r[4])
        r[3] = _nonzero(real(1) + r[5] / r[3])
        r[6] = r[3] * r[4]
        r[0] = r[0] * r[6]

    def term(k: Any) -> None:
        two = real(2) * k
        advance(k * (b - k) * x / ((a - real(1) + two) * (a + two)))
        advance(-(a + k) * (a + b + k) * x / ((a + two) * (a + real(1) + two)))
        r[1] = (r[6] - real(1)) * r[0]

    until_settled(r, 1, term)


@INTEGRALS.op("Betainc")
def incomplete_beta(g: Emitter, node: Node) -> relax.Expr:
    """The share of the beta function's integral below x."""
    a, b = broadcast(g, g.arg(node, 0), g.arg(node, 1))
    a, x = broadcast(g, a, g.arg(node, 2))
    b, _ = broadcast(g, b, x)

    def steps(given: Sequence[Any], r: Any) -> None:
        a, b, x = given
        # the fraction converges fast below the mean; the other side is its mirror image
        mirrored = x >= (a + real(1)) / (a + b + real(2))
        r[7] = tirx.Cast("float64", mirrored)
        other = real(1) - x
        with T.If(mirrored):
            with T.Then():
                _beta_fraction(b, a, other, r)
                r[0] = r[0] / b
            with T.Else():
                _beta_fraction(a, b, x, r)
                r[0] = r[0] / a
        power = lgamma_of(a + b) - lgamma_of(a) - lgamma_of(b) + a * _log(x) + b * _log(other)
        r[0] = r[0] * tirx.exp(power)
        r[0] = tirx.Select(r[7] > real(0), real(1) - r[0], r[0])
        r[0] = tirx.Select(x == real(0), real(0), tirx.Select(x == real(1), real(1), r[0]))
        outside = tirx.any(x < real(0), x > real(1), a <= real(0), b <= real(0))
        r[0] = tirx.Select(outside, real(math.nan), r[0])

    return stepped(g, [a, b, x], steps, "betainc")


# ---------------------------------------------------------------- integrals of one argument


def _dawson(given: Sequence[Any], r: Any) -> None:
    """exp(-x²) times the integral of exp(t²).

    Source: Rybicki, "Dawson's Integral and the Sampling Theorem", 1989, with steps of 0.2.
    """
    (x,) = given
    step = 0.2
    r[1] = real(2) * tirx.nearbyint(x / real(2 * step))
    r[2] = x - r[1] * real(step)
    r[0] = real(0)
    with T.serial(0, 32) as i:
        odd = real(2) * tirx.Cast("float64", i) - real(31)
        distance = r[2] - odd * real(step)
        r[0] = r[0] + tirx.exp(-distance * distance) / (r[1] + odd)
    r[0] = r[0] * real(1 / math.sqrt(math.pi))


def _expint(given: Sequence[Any], r: Any) -> None:
    """Ei(x) for x >= 0. Source: Abramowitz and Stegun, 5.1.10 and 5.1.51."""
    (x,) = given
    with T.If(x < real(40)):
        with T.Then():
            r[0], r[2] = real(0.5772156649015329) + _log(x), real(1)

            def term(k: Any) -> None:
                r[2] = r[2] * x / k
                r[1] = r[2] / k
                r[0] = r[0] + r[1]

            until_settled(r, 1, term)
        with T.Else():
            r[0], r[2] = real(1), real(1)
            with T.serial(0, 30) as i:
                r[2] = r[2] * (tirx.Cast("float64", i) + real(1)) / x
                r[0] = r[0] + r[2]
            r[0] = r[0] * tirx.exp(x) / x
    r[0] = tirx.Select(x == real(0), real(-math.inf), r[0])
    r[0] = tirx.Select(x < real(0), real(math.nan), r[0])


def _fresnel(cosine: bool) -> Steps:
    """The integral of cos (or sin) of πt²/2. Source: Abramowitz and Stegun, 7.3.11 to 7.3.28."""

    def steps(given: Sequence[Any], r: Any) -> None:
        x = tirx.abs(given[0])
        half = real(math.pi / 2) * x * x
        with T.If(x < real(3.2)):
            with T.Then():
                r[2] = x if cosine else x * half
                r[0] = r[2] if cosine else r[2] / real(3)

                def term(k: Any) -> None:
                    first, order = (real(-1), real(1)) if cosine else (real(0), real(3))
                    two = real(2) * k + first
                    r[2] = -r[2] * half * half / (two * (two + real(1)))
                    r[1] = r[2] / (real(4) * k + order)
                    r[0] = r[0] + r[1]

                until_settled(r, 1, term)
            with T.Else():
                _far_fresnel(x, half, cosine, r)
        r[0] = tirx.Select(given[0] < real(0), -r[0], r[0])

    return steps


def _far_fresnel(x: Any, half: Any, cosine: bool, r: Any) -> None:
    r[3] = real(1) / (real(4) * half * half)
    r[4], r[5] = real(1), real(1)
    for m in range(6, 0, -1):
        r[4] = real(1) - real((4 * m - 1) * (4 * m - 3)) * r[3] * r[4]
        r[5] = real(1) - real((4 * m + 1) * (4 * m - 1)) * r[3] * r[5]
    f = r[4] / (real(math.pi) * x)
    h = r[5] / (real(math.pi**2) * x * x * x)
    s, c = tirx.sin(half), tirx.cos(half)
    r[0] = real(0.5) + (f * s - h * c if cosine else -f * c - h * s)
    r[0] = tirx.Select(tirx.isinf(x), real(0.5), r[0])


def _spence(given: Sequence[Any], r: Any) -> None:
    """Li2(1 - x). Source: Lewin, "Polylogarithms and Associated Functions", 1981, 1.3 to 1.5."""
    (x,) = given
    r[3] = tirx.Select(x > real(1), real(1) / tirx.max(x, real(1e-300)), x)
    r[4] = tirx.Select(r[3] < real(0.5), r[3], real(1) - r[3])
    r[0], r[2] = real(0), real(1)
    with T.serial(0, 60) as i:
        k = tirx.Cast("float64", i) + real(1)
        r[2] = r[2] * r[4]
        r[0] = r[0] + r[2] / (k * k)
    turned = real(math.pi**2 / 6) - _log(r[3]) * _log(real(1) - r[3]) - r[0]
    turned = tirx.Select(r[3] == real(0), real(math.pi**2 / 6), turned)
    r[0] = tirx.Select(r[3] < real(0.5), turned, r[0])
    r[0] = tirx.Select(x > real(1), real(-0.5) * _log(x) * _log(x) - r[0], r[0])
    r[0] = tirx.Select(x < real(0), real(math.nan), r[0])


_ONE: dict[str, Steps] = {
    "Dawsn": _dawson,
    "Expint": _expint,
    "FresnelCos": _fresnel(True),
    "FresnelSin": _fresnel(False),
    "Spence": _spence,
}


@INTEGRALS.op(*_ONE)
def integral(g: Emitter, node: Node) -> relax.Expr:
    return stepped(g, [g.arg(node, 0)], _ONE[node.op], node.op.lower())
