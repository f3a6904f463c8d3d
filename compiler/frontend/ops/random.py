"""Random tensors: uniform, normal and truncated normal numbers, integers, with and without state.

Seeds as attributes give what TensorFlow draws first; see `philox` for what a module without
state means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.philox import (
    Law,
    fill,
    fill_truncated,
    joined,
    mixed_seed,
    node_seed,
    normal_law,
    split_seed,
    uniform_law,
)
from dlcc.compiler.frontend.values import Known, known

RANDOM = OpTable()

PHILOX, CHOSEN_BY_DEVICE = 1, 3  # tensorflow/core/framework/rng_alg.h


def seed_of(g: Emitter, node: Node) -> tuple[relax.Expr, int]:
    """The seed of any random op, and at which input its parameters begin."""
    if not node.op.startswith("Stateless"):
        return node_seed(g, node), 1
    if len(node.inputs) < 4 or node.op == "StatelessRandomUniformInt":
        return mixed_seed(g, g.arg(node, 1)), 2
    check_algorithm(g, node, 3)
    return split_seed(g, g.arg(node, 1), g.arg(node, 2)), 4


def check_algorithm(g: Emitter, node: Node, index: int) -> None:
    """Raises BadNode for a generator other than Philox."""
    algorithm = int(g.static(node, index, "the algorithm").item())
    if algorithm not in (PHILOX, CHOSEN_BY_DEVICE):
        raise BadNode(
            node,
            f"asks for generator {algorithm}, there is only Philox (1)",
            hint="make the model with the default algorithm, or with alg='philox'",
        )


def _dtype(node: Node) -> str:
    return str(node.attr("dtype", "float32"))


@RANDOM.op("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2")
def random_uniform(g: Emitter, node: Node) -> relax.Expr:
    """Numbers in [0, 1)."""
    return fill(g, seed_of(g, node)[0], g.dims(node, 0), _dtype(node), uniform_law(_dtype(node)))


@RANDOM.op("RandomStandardNormal", "StatelessRandomNormal", "StatelessRandomNormalV2")
def random_normal(g: Emitter, node: Node) -> relax.Expr:
    """Numbers of mean 0 and variance 1."""
    return fill(g, seed_of(g, node)[0], g.dims(node, 0), _dtype(node), normal_law(_dtype(node)))


@RANDOM.op("TruncatedNormal", "StatelessTruncatedNormal", "StatelessTruncatedNormalV2")
def truncated_normal(g: Emitter, node: Node) -> relax.Expr:
    """Numbers of mean 0 and variance 1 within two deviations."""
    return fill_truncated(g, seed_of(g, node)[0], g.dims(node, 0), _dtype(node))


def integer_law(dtype: str, lower_and_upper: bool) -> Law:
    """Integers in [low, high), or of all bits."""
    wide = dtype.endswith("64")
    bits = "uint64" if wide else "uint32"

    def law(a: Any, b: Any, c: Any, d: Any, extra: Sequence[Any] = ()) -> Sequence[Any]:
        words = [joined(a, b), joined(c, d)] if wide else [a, b, c, d]
        if not lower_and_upper:
            return [tirx.reinterpret(dtype, w) for w in words]
        low, high = (tirx.reinterpret(bits, e[0]) for e in extra)
        return [tirx.reinterpret(dtype, low + tirx.truncmod(w, high - low)) for w in words]

    return law


@RANDOM.op("RandomUniformInt", "StatelessRandomUniformInt", "StatelessRandomUniformIntV2")
def random_uniform_int(g: Emitter, node: Node) -> relax.Expr:
    """Integers in [low, high)."""
    seed, first = seed_of(g, node)
    bounds = [g.arg(node, first), g.arg(node, first + 1)]
    dtype = g.dtype(bounds[0])
    return fill(g, seed, g.dims(node, 0), dtype, integer_law(dtype, True), bounds)


@RANDOM.op("StatelessRandomUniformFullInt", "StatelessRandomUniformFullIntV2")
def random_full_int(g: Emitter, node: Node) -> relax.Expr:
    """Integers of which every bit is random."""
    law = integer_law(_dtype(node), False)
    return fill(g, seed_of(g, node)[0], g.dims(node, 0), _dtype(node), law)


@RANDOM.op("NonDeterministicInts")
def random_ints(g: Emitter, node: Node) -> relax.Expr:
    """Integers of any bits: those of this node's seed, the same ones at every run."""
    law = integer_law(str(node.attr("dtype", "int64")), False)
    return fill(g, node_seed(g, node), g.dims(node, 0), str(node.attr("dtype", "int64")), law)


@RANDOM.op("StatelessRandomGetKeyCounter")
def key_and_counter(g: Emitter, node: Node) -> list[relax.Expr]:
    """A key (1,) and a counter (2,), of 64 bits each, from two integers."""
    words = mixed_seed(g, g.arg(node, 0))
    return [_joined_pairs(g, words, 0, 1), _joined_pairs(g, words, 2, 2)]


def _joined_pairs(g: Emitter, words: relax.Expr, start: int, count: Dim) -> relax.Expr:
    def compute(t: te.Tensor) -> te.Tensor:
        def element(i: Any) -> Any:
            return joined(t(start + 2 * i), t(start + 2 * i + 1))

        return te.compute([count], element, name="words")

    return g.te(compute, words, name="words")


@RANDOM.op("StatelessRandomGetAlg")
def algorithm(g: Emitter, node: Node) -> Known:
    """Philox, wherever the module runs."""
    return known(PHILOX, "int32")


@RANDOM.op("StatelessRandomGetKeyCounterAlg")
def key_counter_algorithm(g: Emitter, node: Node) -> list[Any]:
    return [*key_and_counter(g, node), algorithm(g, node)]
