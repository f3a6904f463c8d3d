"""Writes to frozen variables, whose results are read: the values that the variables then have.

A variable is a constant here, so a write counts from the saved value at every run; where another
node reads the variable, which would see the write in TensorFlow, the write is refused.
"""

from __future__ import annotations

from tvm import relax

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.scatter import JOINS, join_of, scattered
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Value

UPDATE = OpTable()

R = relax.op


def _require_unread(g: Emitter, node: Node) -> None:
    """Raises BadNode where a node other than this one reads the variable that it writes."""
    variable = node.inputs[0]
    readers = [n.name for n in g.graph.nodes if variable in n.inputs and n.name != node.name]
    if readers:
        raise BadNode(
            node,
            f"writes to {variable.node!r}, which {readers[0]!r} reads as well",
            hint="export the model for inference; a compiled model has no state",
        )


@UPDATE.op("Assign")
def assign(g: Emitter, node: Node) -> Value:
    _require_unread(g, node)
    return g.value(node, 1)


@UPDATE.op("AssignAdd", "AssignSub")
def assign_step(g: Emitter, node: Node) -> relax.Expr:
    _require_unread(g, node)
    return (R.add if node.op == "AssignAdd" else R.subtract)(*g.args(node))


@UPDATE.op(*(f"ScatterNd{how}" for how in ("Update", "Add", "Sub", "Max", "Min")))
def scatter_slices(g: Emitter, node: Node) -> relax.Expr:
    _require_unread(g, node)
    x, indices, updates = g.args(node)
    return scattered(g, node, (x, indices, updates), join_of(node))


@UPDATE.op(*(f"Scatter{how}" for how in JOINS))
def scatter_rows(g: Emitter, node: Node) -> relax.Expr:
    """Rows joined with updates, or each with one number."""
    _require_unread(g, node)
    x, indices, updates = g.args(node)
    rows = g.shape(indices)
    vectors = g.emit(g.reshape(indices, [*rows, 1]))
    whole = relax.ShapeExpr([*rows, *g.shape(x)[1:]])
    updates = g.emit(R.broadcast_to(updates, whole))
    return scattered(g, node, (x, vectors, updates), join_of(node))
