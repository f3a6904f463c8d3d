"""Matrix products."""

from __future__ import annotations

from tvm import relax

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable

LINALG = OpTable()

R = relax.op


@LINALG.op("MatMul")
def matmul(g: Emitter, node: Node) -> relax.Expr:
    x, y = g.args(node)
    x = _transposed(g, x) if node.attr("transpose_a") else x
    y = _transposed(g, y) if node.attr("transpose_b") else y
    return R.matmul(x, y)


@LINALG.op("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def batch_matmul(g: Emitter, node: Node) -> relax.Expr:
    x, y = g.args(node)
    x = _transposed(g, x) if node.attr("adj_x") else x
    y = _transposed(g, y) if node.attr("adj_y") else y
    if out := node.attr("Tout"):
        return R.matmul(R.astype(x, out), R.astype(y, out))
    return R.matmul(x, y)


def _transposed(g: Emitter, x: relax.Expr) -> relax.Expr:
    rank = g.rank(x)
    return R.permute_dims(x, [*range(rank - 2), rank - 1, rank - 2])


@LINALG.op("Einsum")
def einsum(g: Emitter, node: Node) -> relax.Expr:
    return R.einsum(tuple(g.args(node)), node.attr("equation"))


@LINALG.op("Cross")
def cross(g: Emitter, node: Node) -> relax.Expr:
    """a × b over a last axis of 3: (a1 b2 - a2 b1, a2 b0 - a0 b2, a0 b1 - a1 b0)."""
    a, b = g.args(node)

    def rolled(x: relax.Expr, by: int) -> relax.Expr:
        order = g.const([(i + by) % 3 for i in range(3)], "int32")
        return R.take(x, order, axis=g.rank(x) - 1)

    left = R.multiply(rolled(a, 1), rolled(b, 2))
    return R.subtract(left, R.multiply(rolled(a, 2), rolled(b, 1)))
