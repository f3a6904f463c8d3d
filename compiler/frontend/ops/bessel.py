"""Bessel functions of order 0 and 1: power series near 0, asymptotic series far from it.

Source of all series: Abramowitz and Stegun, "Handbook of Mathematical Functions", 9.1.10 to
9.1.13, 9.2.5, 9.6.10 to 9.6.13, 9.7.1 and 9.7.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.integrals import Steps, real, stepped
from dlcc.compiler.frontend.ops.table import OpTable

BESSEL = OpTable()

_GAMMA = 0.5772156649015329
# where the asymptotic series is exact enough: 9 costs the K functions digits beyond the seventh
_FAR = {"I": 30.0, "K": 9.0, "J": 20.0, "Y": 20.0}
_KINDS = {
    f"Bessel{kind}{order}{scaled}": (kind, order, bool(scaled))
    for kind in "IKJY"
    for order in (0, 1)
    for scaled in (("", "e") if kind in "IK" else ("",))
}


def _near(kind: str, order: int, x: Any, r: Any) -> None:
    """r[0]: the function for x > 0 (I and J: x >= 0) by its power series.

    r[1]: the sum of terms t, r[3]: that of t * (harmonic numbers), r[2]: the term,
    r[4]: H(k) + H(k + order).
    """
    sign = real(1 if kind in "IK" else -1)
    r[2] = real(1) if order == 0 else x * real(0.5)
    r[1], r[4] = r[2], real(order)
    r[3] = r[2] * r[4]
    with T.serial(0, 80) as i:
        k = tirx.Cast("float64", i) + real(1)
        r[2] = r[2] * sign * x * x * real(0.25) / (k * (k + real(order)))
        r[4] = r[4] + real(1) / k + real(1) / (k + real(order))
        r[1], r[3] = r[1] + r[2], r[3] + r[2] * r[4]
    log = tirx.log(tirx.max(x, real(1e-300)) * real(0.5)) + real(_GAMMA)
    pole = real(order) / tirx.max(x, real(1e-300))
    if kind in "IJ":
        r[0] = r[1]
    elif kind == "K":
        turn = real(-1 if order == 0 else 1)
        r[0] = pole + turn * (log * r[1] - real(0.5) * r[3])
    else:
        r[0] = real(2 / math.pi) * (log * r[1] - real(0.5) * r[3] - pole)


def _far(kind: str, order: int, x: Any, r: Any) -> None:
    """r[0]: the function without its exponential factor (I and K), for x far from 0.

    r[1], r[3]: sums of the even and of the odd terms, whose signs differ by function.
    """
    r[2], r[1], r[3] = real(1), real(1), real(0)
    mu = 4.0 * order * order
    for k in range(1, 17):
        r[2] = r[2] * real((mu - (2 * k - 1) ** 2) / k) / (real(8) * x)
        turn = {"I": (-1) ** k, "K": 1}.get(kind, (-1) ** (k // 2))
        at = 1 if kind in "IK" or k % 2 == 0 else 3
        r[at] = r[at] + real(turn) * r[2]
    if kind in "IK":
        scale = real(1 / (2 * math.pi) if kind == "I" else math.pi / 2)
        r[0] = tirx.sqrt(scale / x) * r[1]
        return
    angle = x - real(math.pi * (0.25 + 0.5 * order))
    s, c = tirx.sin(angle), tirx.cos(angle)
    wave = c * r[1] - s * r[3] if kind == "J" else s * r[1] + c * r[3]
    r[0] = tirx.sqrt(real(2 / math.pi) / x) * wave


def _steps(kind: str, order: int, scaled: bool) -> Steps:
    def steps(given: Sequence[Any], r: Any) -> None:
        x = tirx.abs(given[0])
        growth = {"I": x, "K": -x}.get(kind)
        with T.If(x < real(_FAR[kind])):
            with T.Then():
                _near(kind, order, x, r)
                if scaled and growth is not None:
                    r[0] = r[0] * tirx.exp(-growth)
            with T.Else():
                _far(kind, order, x, r)
                if not scaled and growth is not None:
                    r[0] = r[0] * tirx.exp(growth)
        if kind in "IJ":
            r[0] = tirx.Select(given[0] < real(0), -r[0], r[0]) if order else r[0]
            return
        # TensorFlow gives no number for the second kind of order 1 at 0
        second = math.nan if order else -math.inf
        pole = real(math.inf if kind == "K" else second)
        r[0] = tirx.Select(given[0] == real(0), pole, r[0])
        r[0] = tirx.Select(given[0] < real(0), real(math.nan), r[0])

    return steps


@BESSEL.op(*_KINDS)
def bessel(g: Emitter, node: Node) -> relax.Expr:
    return stepped(g, [g.arg(node, 0)], _steps(*_KINDS[node.op]), node.op.lower())
