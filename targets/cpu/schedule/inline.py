"""Inlines the stages of a kernel that only map elements, as long as that does not blow it up."""

from __future__ import annotations

from collections.abc import Iterator

from tvm import ir
from tvm.ir.expr import TensorLoad
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import SBlockRV

# Expression nodes that inlining one stage may add. A stage that is read three times, itself made of
# stages that are read three times, would grow a kernel by powers of three.
MOST_ADDED = 200


def inline(s: Schedule, block: SBlockRV) -> bool:
    """Inline a map into its readers; False where its expression would be repeated too often."""
    store = s.get(block).body
    loads = sum(
        1
        for reader in s.get_consumers(block)
        for node in nodes(s.get(reader).body.value)
        if isinstance(node, TensorLoad) and node.source.same_as(store.buffer)
    )
    if loads > 1 and (loads - 1) * sum(1 for _ in nodes(store.value)) > MOST_ADDED:
        return False
    s.compute_inline(block)
    return True


def nodes(root: ir.Expr) -> Iterator[ir.Expr]:
    """An expression and all expressions in it: TVM offers no visitor of them in Python."""
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(children(node))


def children(node: ir.Expr) -> Iterator[ir.Expr]:
    """The expressions that an expression is made of."""
    info = type(node).__tvm_ffi_type_info__
    while info is not None:
        for field in info.fields:
            value = getattr(node, field.name)
            if isinstance(value, ir.Expr):
                yield value
            elif type(value).__name__ == "Array":
                yield from (v for v in value if isinstance(v, ir.Expr))
        info = getattr(info, "parent_type_info", None)
