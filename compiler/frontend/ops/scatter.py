"""Elements and rows written to places that indices name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product, wide
from dlcc.compiler.frontend.ops.table import OpTable

SCATTER = OpTable()

R = relax.op

# how an update joins what stands at its place
Join = Callable[[Any, Any], Any]
JOINS: dict[str, Join] = {
    "Update": lambda old, new: new,
    "Add": lambda old, new: old + new,
    "Sub": lambda old, new: old - new,
    "Mul": lambda old, new: old * new,
    "Div": lambda old, new: _quotient(old, new),
    "Min": tirx.min,
    "Max": tirx.max,
}


def _quotient(old: Any, new: Any) -> Any:
    whole = str(old.ty.dtype).startswith(("int", "uint"))
    return tirx.truncdiv(old, new) if whole else old / new


def join_of(node: Node) -> Join:
    return next(join for how, join in JOINS.items() if node.op.endswith(how))


def scattered(
    g: Emitter, node: Node, tensors: tuple[relax.Expr, relax.Expr, relax.Expr], join: Join
) -> relax.Expr:
    """x with each update joined to the slice that an index vector names, in their order.

    tensors: x, index vectors along a last axis, updates. An index outside is left out.
    """
    x, indices, updates = tensors
    dims = g.shape(x)
    *lead, depth = g.shape(indices)
    if not isinstance(depth, int):
        raise BadNode(node, "the length of an index vector is not known")
    inner = product(dims[depth:])

    def body(t: Any, at: Any, new: Any, out: Any, place: Any) -> None:
        with T.serial(0, product(dims)) as i:
            out[i] = t[i]
        with T.serial(0, product(lead)) as n:
            place[0], place[1] = tirx.const(0, "int64"), tirx.const(1, "int64")
            for axis in range(depth):
                k = wide(at[n * depth + axis])
                with T.If(tirx.any(k < 0, k >= dims[axis])), T.Then():
                    place[1] = tirx.const(0, "int64")
                place[0] = place[0] * dims[axis] + k
            with T.If(place[1] > 0), T.Then(), T.serial(0, inner) as j:
                where = place[0] * inner + j
                out[where] = join(out[where], new[n * inner + j])

    outputs = [(dims, g.dtype(x)), ((2,), "int64")]
    return loop_kernel(g, "scatter", [x, indices, updates], outputs, body)[0]


@SCATTER.op(
    *(f"TensorScatter{how}" for how in ("Update", "Add", "Sub", "Max", "Min")),
    "ScatterNdNonAliasingAdd",
)
def tensor_scatter(g: Emitter, node: Node) -> relax.Expr:
    x, indices, updates = g.args(node)
    return scattered(g, node, (x, indices, updates), join_of(node))


@SCATTER.op("ScatterNd")
def scatter_nd(g: Emitter, node: Node) -> relax.Expr:
    """Updates summed into zeros."""
    indices, updates = g.arg(node, 0), g.arg(node, 1)
    dtype = g.dtype(updates)
    zeros = g.emit(R.full(relax.ShapeExpr(g.dims(node, 2)), g.const(0, dtype), dtype))
    return scattered(g, node, (zeros, indices, updates), JOINS["Add"])
