"""What a function of a Relax module binds, and how often it reads it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tvm import relax

Bound = dict[Any, relax.Expr]


def bindings(func: relax.Function) -> tuple[Bound, Counter[Any]]:
    """What each variable of a function is bound to, and how often each is read."""
    bound: Bound = {}
    uses: Counter[Any] = Counter()

    def visit(expr: Any) -> None:
        if isinstance(expr, relax.Var):
            uses[expr] += 1
        if isinstance(expr, relax.SeqExpr):
            bound.update({b.var: b.value for block in expr.blocks for b in block.bindings})

    relax.analysis.post_order_visit(func, visit)
    return bound, uses
