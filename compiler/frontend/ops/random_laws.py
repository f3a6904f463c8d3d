"""Random tensors whose laws need tries or tables: gamma, Poisson, classes, and orders."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.random import seed_of
from dlcc.compiler.frontend.ops.special import lgamma_of
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.philox import (
    SCRATCH,
    draw,
    fraction64,
    mixed_seed,
    node_seed,
    normal_law,
    split_seed,
)

RANDOM_LAWS = OpTable()

R = relax.op

# each try succeeds with a probability above 0.7, so 64 fail once in 10 ** 33
_TRIES = 64


def _real(number: float) -> Any:
    return tirx.const(number, "float64")


@RANDOM_LAWS.op("RandomShuffle", "StatelessShuffle")
def random_shuffle(g: Emitter, node: Node) -> relax.Expr:
    """The rows in another order; the one of a stateless shuffle is not TensorFlow's.

    Source: Fisher and Yates, in the order of tensorflow/core/kernels/random_shuffle_op.cc.
    """
    x = g.arg(node, 0)
    if g.rank(x) == 0:
        return x
    count = g.shape(x)[0]

    def body(key: Any, order: Any, held: Any, s: Any) -> None:
        with T.serial(0, count) as i:
            order[i] = wide(i)
        with T.serial(0, count - 1) as i:
            words = draw(s, key, tirx.floordiv(i, 4))
            held[0] = tirx.Cast("int64", words[3])
            for k in range(3):
                with T.If(tirx.floormod(i, 4) == k), T.Then():
                    held[0] = tirx.Cast("int64", words[k])
            held[0] = wide(i) + tirx.truncmod(held[0], wide(count - i))
            held[1] = order[i]
            order[i] = order[held[0]]
            order[held[0]] = held[1]

    outputs = [([count], "int64"), ((2,), "int64"), SCRATCH]
    stateless = node.op == "StatelessShuffle"
    seed = split_seed(g, g.arg(node, 1), g.arg(node, 2)) if stateless else node_seed(g, node)
    order = loop_kernel(g, "shuffled", [seed], outputs, body)[0]
    return R.take(x, order, axis=0)


@RANDOM_LAWS.op("RandomCrop")
def random_crop(g: Emitter, node: Node) -> relax.Expr:
    """A window of a size (height, width) anywhere in an image (height, width, channels)."""
    x, (height, width) = g.arg(node, 0), g.dims(node, 1)
    rows, columns, channels = g.shape(x)
    if all(isinstance(v, int) for v in (rows, columns, height, width)) and (
        height > rows or width > columns
    ):
        raise BadNode(node, f"crops {height} x {width} out of {rows} x {columns}")

    def body(key: Any, t: Any, out: Any, s: Any, corner: Any) -> None:
        words = draw(s, key, tirx.const(0, "int64"))
        corner[0] = tirx.floormod(tirx.Cast("int64", words[0]), wide(rows - height + 1))
        corner[1] = tirx.floormod(tirx.Cast("int64", words[1]), wide(columns - width + 1))
        with T.serial(0, height) as y, T.serial(0, width) as z, T.serial(0, channels) as c:
            at = (wide(y) + corner[0]) * columns + wide(z) + corner[1]
            out[(y * width + z) * channels + c] = t[at * channels + c]

    outputs = [([height, width, channels], g.dtype(x)), SCRATCH, ((2,), "int64")]
    return loop_kernel(g, "random_crop", [node_seed(g, node), x], outputs, body)[0]


@RANDOM_LAWS.op("Multinomial", "StatelessMultinomial")
def multinomial(g: Emitter, node: Node) -> relax.Expr:
    """(batch, classes) log-odds -> (batch, samples) classes, by the inverse of the sums."""
    logits = g.emit(R.astype(g.arg(node, 0), "float64"))
    stateless = node.op.startswith("Stateless")
    seed = mixed_seed(g, g.arg(node, 2)) if stateless else node_seed(g, node)
    (samples,) = g.dims(node, 1)
    batch, classes = g.shape(logits)
    dtype = node.attr("output_dtype", "int64")
    chances = g.emit(R.cumsum(R.nn.softmax(logits, -1), 1, "float64"))

    def body(key: Any, sums: Any, out: Any, s: Any) -> None:
        with T.serial(0, batch) as b, T.serial(0, samples) as i:
            words = draw(s, key, b * samples + i)
            place = fraction64(words[0], words[1]) * sums[b * classes + classes - 1]
            out[b * samples + i] = tirx.const(0, dtype)
            with T.serial(0, classes - 1) as c:
                passed = tirx.Cast(dtype, sums[b * classes + c] <= place)
                out[b * samples + i] = out[b * samples + i] + passed

    outputs = [([batch, samples], dtype), SCRATCH]
    return loop_kernel(g, "multinomial", [seed, chances], outputs, body)[0]


def _law_shape(g: Emitter, node: Node, parameter: relax.Expr) -> list[Dim]:
    """A shape for each parameter; stateless ops are given the two together."""
    own = [] if node.op.startswith("Stateless") else g.shape(parameter)
    return [*g.dims(node, 0), *own]


@RANDOM_LAWS.op("RandomGamma", "StatelessRandomGammaV2", "StatelessRandomGammaV3")
def random_gamma(g: Emitter, node: Node) -> relax.Expr:
    """Numbers of a gamma law of scale 1, of each shape parameter.

    Source: Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000; below 1
    by gamma(a) = gamma(a + 1) * u ** (1 / a).
    """
    seed, index = seed_of(g, node)
    alpha = g.arg(node, index)
    dims = _law_shape(g, node, alpha)
    inner, dtype, law = product(g.shape(alpha)), g.dtype(alpha), normal_law("float64")

    def body(key: Any, a: Any, out: Any, r: Any, s: Any) -> None:
        with T.serial(0, product(dims)) as i:
            shape = tirx.Cast("float64", a[tirx.floormod(i, inner)])
            low = shape < _real(1)
            d = tirx.Select(low, shape + _real(1), shape) - _real(1 / 3)
            r[0] = _real(0)
            with T.serial(0, _TRIES) as k, T.If(r[0] == _real(0)), T.Then():
                block = (wide(i) * _TRIES + wide(k)) * 2
                r[1] = law(*draw(s, key, block))[0]
                words = draw(s, key, block + 1)
                r[2], r[3] = _open(words[0], words[1]), _open(words[2], words[3])
                r[0] = _cube(d, r[1], r[2])
            power = tirx.Select(low, tirx.log(r[3]) / tirx.max(shape, _real(1e-300)), _real(0))
            out[i] = tirx.Cast(dtype, d * r[0] * tirx.exp(power))

    outputs = [(dims, dtype), ((4,), "float64"), SCRATCH]
    return loop_kernel(g, "random_gamma", [seed, alpha], outputs, body)[0]


def _open(high: Any, low: Any) -> Any:
    """A number above 0 and at most 1."""
    return _real(1) - fraction64(high, low)


def _cube(d: Any, x: Any, u: Any) -> Any:
    """v = (1 + x / sqrt(9 d)) ** 3 where the try succeeds, else 0."""
    t = _real(1) + x / tirx.sqrt(_real(9) * d)
    v = tirx.max(t * t * t, _real(1e-300))
    bound = _real(0.5) * x * x + d - d * v + d * tirx.log(v)
    return tirx.Select(tirx.all(t > _real(0), tirx.log(u) < bound), v, _real(0))


@RANDOM_LAWS.op("RandomPoissonV2", "RandomPoisson", "StatelessRandomPoisson")
def random_poisson(g: Emitter, node: Node) -> relax.Expr:
    """Counts of a Poisson law of each rate: by inversion below 10, by rejection above.

    Source: Hörmann, "The transformed rejection method for generating Poisson random variables",
    1993, algorithm PTRS.
    """
    seed, index = seed_of(g, node)
    rate = g.arg(node, index)
    dims = _law_shape(g, node, rate)
    dtype = str(node.attr("dtype") or g.dtype(rate))
    inner = product(g.shape(rate))

    def body(key: Any, rates: Any, out: Any, r: Any, s: Any) -> None:
        with T.serial(0, product(dims)) as i:
            lam = tirx.Cast("float64", rates[tirx.floormod(i, inner)])
            r[0] = _real(-1)
            with T.If(lam < _real(10)):
                with T.Then():
                    words = draw(s, key, wide(i) * _TRIES)
                    r[1] = fraction64(words[0], words[1])
                    _inverted(lam, r)
                with T.Else(), T.serial(0, _TRIES) as k, T.If(r[0] < _real(0)), T.Then():
                    words = draw(s, key, wide(i) * _TRIES + wide(k))
                    r[1] = _open(words[0], words[1]) - _real(0.5)
                    r[2] = _open(words[2], words[3])
                    _rejected(lam, r)
            out[i] = tirx.Cast(dtype, r[0])

    outputs = [(dims, dtype), ((4,), "float64"), SCRATCH]
    return loop_kernel(g, "random_poisson", [seed, rate], outputs, body)[0]


def _inverted(lam: Any, r: Any) -> None:
    """r[0]: the first count whose chances, summed from 0, pass r[1]. 64 are enough below 10."""
    r[0], r[2] = _real(0), tirx.exp(-lam)
    with T.serial(0, 64), T.If(r[1] >= r[2]), T.Then():
        r[1] = r[1] - r[2]
        r[0] = r[0] + _real(1)
        r[2] = r[2] * lam / r[0]


def _rejected(lam: Any, r: Any) -> None:
    """r[0]: a count from the uniform numbers r[1] and r[2], or -1."""
    b = _real(0.931) + _real(2.53) * tirx.sqrt(lam)
    a = _real(0.02483) * b - _real(0.059)
    inverse = _real(1.1239) + _real(1.1328) / (b - _real(3.4))
    near = _real(0.5) - tirx.abs(r[1])
    r[3] = tirx.floor((_real(2) * a / near + b) * r[1] + lam + _real(0.43))
    quick = tirx.all(near >= _real(0.07), r[2] <= _real(0.9277) - _real(3.6224) / (b - _real(2)))
    out = tirx.any(r[3] < _real(0), tirx.all(near < _real(0.013), r[2] > near))
    left = tirx.log(r[2] * inverse / (a / (near * near) + b))
    right = r[3] * tirx.log(lam) - lam - lgamma_of(r[3] + _real(1))
    good = tirx.any(quick, tirx.all(tirx.Not(out), left <= right))
    r[0] = tirx.Select(good, r[3], _real(-1))
