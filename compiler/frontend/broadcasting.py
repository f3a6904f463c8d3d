"""Broadcasting, also of dimensions that are not known until the model runs."""

from __future__ import annotations

from typing import Any

from tvm import relax, te, tirx, topi

from dlcc.compiler.frontend.dims import Dim, same_dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node

R = relax.op


def broadcast(g: Emitter, x: relax.Expr, y: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
    """Both tensors in the shape that they broadcast to.

    Symbolic dimensions that differ may turn out equal, or one of them 1: the result has the other
    one then. What does not broadcast at run time gives a result without meaning, but reads no
    memory that is not its own.
    """
    a, b = g.shape(x), g.shape(y)
    rank = max(len(a), len(b))
    a, b = [1] * (rank - len(a)) + a, [1] * (rank - len(b)) + b
    dims = [_wider(p, q) for p, q in zip(a, b, strict=True)]
    return _stretched(g, g.reshape(x, a), a, dims), _stretched(g, g.reshape(y, b), b, dims)


def _wider(p: Dim, q: Dim) -> Dim:
    if isinstance(p, int):
        return q if p == 1 else p
    if isinstance(q, int):
        return p if q == 1 else q
    return p if same_dim(p, q) else tirx.Select(p == 1, q, p)


def _stretched(g: Emitter, x: relax.Expr, own: list[Dim], dims: list[Dim]) -> relax.Expr:
    """`x` repeated along the axes where it has one element."""
    open_ = [not isinstance(o, int) and not same_dim(o, d) for o, d in zip(own, dims, strict=True)]
    if not any(open_):
        return g.emit(R.broadcast_to(x, relax.ShapeExpr(dims)))

    def compute(t: te.Tensor, *shape: Any) -> te.Tensor:
        def element(*i: Any) -> Any:
            at = [
                tirx.min(v, extent - 1) if loose else (v if same_dim(o, d) else 0)
                for v, extent, loose, o, d in zip(i, t.shape, open_, own, dims, strict=True)
            ]
            return t[tuple(at)]

        return te.compute(shape, element, name="broadcast", tag=topi.tag.BROADCAST)

    sizes = [tirx.IntImm("int64", d) if isinstance(d, int) else d for d in dims]
    return g.te(compute, x, *sizes, name="broadcast")


def operands(g: Emitter, node: Node) -> tuple[relax.Expr, relax.Expr]:
    """The two inputs of a node; broadcast already where Relax cannot tell the result's shape."""
    x, y = g.args(node)
    a, b = g.shape(x), g.shape(y)
    pairs = zip(reversed(a), reversed(b), strict=False)
    if all((isinstance(p, int) and isinstance(q, int)) or _same(p, q) for p, q in pairs):
        return x, y
    return broadcast(g, x, y)


def _same(p: Dim, q: Dim) -> bool:
    if isinstance(p, int) or isinstance(q, int):
        return 1 in (p, q)
    return bool(p.same_as(q))
