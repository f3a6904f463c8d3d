"""Random counts of a binomial law."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.special import lgamma_of
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.philox import SCRATCH, draw, fraction64, mixed_seed

RANDOM_BINOMIAL = OpTable()

R = relax.op

# each try succeeds with a probability above 0.7, so 64 fail once in 10 ** 33
_TRIES = 64
# a mean below 10 has counts above this once in 10 ** 60
_LARGEST = 128


def _real(number: float) -> Any:
    return tirx.const(number, "float64")


@RANDOM_BINOMIAL.op("StatelessRandomBinomial")
def random_binomial(g: Emitter, node: Node) -> relax.Expr:
    """Successes among `counts` tries of probability `probs`: by inversion for a mean below 10.

    Source: Hörmann, "The generation of binomial random variates", 1993, algorithm BTRS, above.
    A probability outside of [0, 1] is the nearer end, a negative number of tries 0, as in
    TensorFlow; NaN gives NaN.
    """
    seed = mixed_seed(g, g.arg(node, 1))
    dims, dtype = g.dims(node, 0), str(node.attr("dtype", "int64"))
    whole = relax.ShapeExpr(dims)
    parameters = [
        g.emit(R.broadcast_to(g.emit(R.astype(g.arg(node, 2 + k), "float64")), whole))
        for k in range(2)
    ]

    def body(key: Any, counts: Any, probs: Any, out: Any, r: Any, s: Any) -> None:
        with T.serial(0, product(dims)) as i:
            n = T.Bind(tirx.Select(counts[i] < _real(0), _real(0), tirx.floor(counts[i])))
            p = T.Bind(_within_one(probs[i]))
            rare = T.Bind(tirx.min(p, _real(1) - p))
            r[0] = _real(-1)
            with T.If(n * rare < _real(10)):
                with T.Then():
                    words = draw(s, key, wide(i) * _TRIES)
                    r[1] = fraction64(words[0], words[1])
                    _inverted(n, rare, r)
                with T.Else(), T.serial(0, _TRIES) as k, T.If(r[0] < _real(0)), T.Then():
                    words = draw(s, key, wide(i) * _TRIES + wide(k))
                    r[1] = fraction64(words[0], words[1]) - _real(0.5)
                    r[2] = _real(1) - fraction64(words[2], words[3])
                    _rejected(n, rare, r)
            drawn = tirx.Select(p > _real(0.5), n - r[0], r[0])
            good = tirx.all(p >= _real(0), n >= _real(0))  # neither is NaN
            out[i] = tirx.Cast(dtype, tirx.Select(good, drawn, _real(float("nan"))))

    outputs: Any = [(dims, dtype), ((4,), "float64"), SCRATCH]
    return loop_kernel(g, "random_binomial", [seed, *parameters], outputs, body)[0]


def _within_one(p: Any) -> Any:
    """p cut to [0, 1]; NaN stays."""
    low = tirx.Select(p < _real(0), _real(0), p)
    return tirx.Select(low > _real(1), _real(1), low)


def _inverted(n: Any, p: Any, r: Any) -> None:
    """r[0]: the first count whose chances, summed from 0, pass r[1]."""
    odds = T.Bind(p / (_real(1) - p))
    r[0], r[2] = _real(0), tirx.exp(n * tirx.log1p(-p))
    with T.serial(0, _LARGEST), T.If(tirx.all(r[1] >= r[2], r[0] < n)), T.Then():
        r[1] = r[1] - r[2]
        r[2] = r[2] * odds * (n - r[0]) / (r[0] + _real(1))
        r[0] = r[0] + _real(1)


def _rejected(n: Any, p: Any, r: Any) -> None:
    """r[0]: a count from the uniform numbers r[1] and r[2], or -1."""
    spread = T.Bind(tirx.sqrt(n * p * (_real(1) - p)))
    b = T.Bind(_real(1.15) + _real(2.53) * spread)
    a = T.Bind(_real(-0.0873) + _real(0.0248) * b + _real(0.01) * p)
    near = T.Bind(_real(0.5) - tirx.abs(r[1]))
    k = T.Bind(tirx.floor((_real(2) * a / near + b) * r[1] + n * p + _real(0.5)))
    quick = tirx.all(near >= _real(0.07), r[2] <= _real(0.92) - _real(4.2) / b)
    inside = T.Bind(tirx.all(k >= _real(0), k <= n))
    safe = T.Bind(tirx.min(tirx.max(k, _real(0)), n))
    mode = T.Bind(tirx.floor((n + _real(1)) * p))
    alpha = (_real(2.83) + _real(5.1) / b) * spread
    left = T.Bind(tirx.log(r[2] * alpha / (a / (near * near) + b)))
    odds = tirx.log(p / (_real(1) - p))
    right = T.Bind(_log_ways(n, safe) - _log_ways(n, mode) + (safe - mode) * odds)
    r[0] = tirx.Select(tirx.any(quick, tirx.all(inside, left <= right)), k, _real(-1))


def _log_ways(n: Any, k: Any) -> Any:
    """The logarithm of n over k, less that of n's factorial."""
    return T.Bind(-lgamma_of(k + _real(1)) - lgamma_of(n - k + _real(1)))
