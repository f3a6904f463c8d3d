"""Random tensors of a generator whose state is a variable: tf.random.Generator.

The state is frozen with the model's other variables, so each run draws what TensorFlow draws first
from it. Nodes that share a generator take their numbers one after the other, in the order in which
they are translated; what a function draws moves the state only inside of it.
Source: tensorflow/core/kernels/{stateful_random_ops,random_ops_util}.*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.random import check_algorithm, integer_law
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.philox import (
    fill,
    fill_truncated,
    normal_law,
    split_seed,
    uniform_law,
)

RANDOM_STATE = OpTable()

R = relax.op

# numbers of the stream set aside for each element: random_ops_util.h, SkipPhiloxRandom
_PER_ELEMENT = 256


def _state(g: Emitter, node: Node) -> relax.Expr:
    """The state: a counter of two integers of 64 bits, and a key of one."""
    state = g.arg(node, 0)
    if g.rank(state) != 1 or g.dtype(state) != "int64":
        raise BadNode(node, "reads no state of a Philox generator, which is 3 integers (int64)")
    return state


def _taken(g: Emitter, node: Node, first: int, count: Any, dims: Sequence[Dim] = ()) -> relax.Expr:
    """The seed in a state that begins at `first`; the state moves on by `count` elements.

    dims: the dimensions that `count` is made of.
    """
    state = _state(g, node)
    (size,) = g.static_shape(node, state)
    if size < first + 3:
        raise BadNode(node, f"a state of {size} integers, expected at least {first + 3}")

    def body(old: Any, out: Any) -> None:
        for i in range(size):
            out[i] = old[i]
        out[first] = old[first] + tirx.Cast("int64", count) * _PER_ELEMENT
        # read back: TVM takes a sum that is smaller than its part for impossible
        carry = tirx.Cast("uint64", out[first]) < tirx.Cast("uint64", old[first])
        out[first + 1] = old[first + 1] + tirx.Cast("int64", carry)

    moved = loop_kernel(g, "moved_on", [state], [([size], "int64")], body, dims)[0]
    g.values[node.inputs[0]] = moved
    counter = g.emit(R.strided_slice(state, [0], [first], [first + 2]))
    key = g.emit(R.strided_slice(state, [0], [first + 2], [first + 3]))
    return split_seed(g, key, counter)


def _seed(g: Emitter, node: Node) -> tuple[relax.Expr, list[Dim]]:
    """The seed and the shape of the result, of an op that is given the algorithm."""
    check_algorithm(g, node, 1)
    dims = g.dims(node, 2)
    return _taken(g, node, 0, product(dims), dims), dims


@RANDOM_STATE.op("StatefulUniform")
def uniform(g: Emitter, node: Node) -> relax.Expr:
    """Numbers in [0, 1)."""
    dtype = str(node.attr("dtype", "float32"))
    return fill(g, *_seed(g, node), dtype, uniform_law(dtype))


@RANDOM_STATE.op("StatefulStandardNormalV2")
def normal(g: Emitter, node: Node) -> relax.Expr:
    """Numbers of mean 0 and variance 1."""
    dtype = str(node.attr("dtype", "float32"))
    return fill(g, *_seed(g, node), dtype, normal_law(dtype))


@RANDOM_STATE.op("StatefulStandardNormal")
def normal_v1(g: Emitter, node: Node) -> relax.Expr:
    """As V2, with the algorithm as the first number of the state, where it is not checked."""
    dims, dtype = g.dims(node, 1), str(node.attr("dtype", "float32"))
    return fill(g, _taken(g, node, 1, product(dims), dims), dims, dtype, normal_law(dtype))


@RANDOM_STATE.op("StatefulTruncatedNormal")
def truncated_normal(g: Emitter, node: Node) -> relax.Expr:
    """Numbers of mean 0 and variance 1 within two deviations."""
    return fill_truncated(g, *_seed(g, node), str(node.attr("dtype", "float32")))


@RANDOM_STATE.op("StatefulUniformInt")
def uniform_int(g: Emitter, node: Node) -> relax.Expr:
    """Integers in [low, high)."""
    bounds = [g.arg(node, 3), g.arg(node, 4)]
    dtype = g.dtype(bounds[0])
    return fill(g, *_seed(g, node), dtype, integer_law(dtype, True), bounds)


@RANDOM_STATE.op("StatefulUniformFullInt")
def uniform_full_int(g: Emitter, node: Node) -> relax.Expr:
    """Integers of which every bit is random."""
    dtype = str(node.attr("dtype", "uint64"))
    return fill(g, *_seed(g, node), dtype, integer_law(dtype, False))


@RANDOM_STATE.op("RngReadAndSkip")
def read_and_skip(g: Emitter, node: Node) -> relax.Expr:
    """The state before it moves on by a number of elements."""
    check_algorithm(g, node, 1)
    state = _state(g, node)
    _taken(g, node, 0, int(g.static(node, 2, "how far to skip").item()))
    return state
