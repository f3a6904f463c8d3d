"""Relax functions made while another one is built, which take along what they read from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import relax

from dlcc.compiler.frontend.emitter import Emitter


@dataclass(frozen=True, slots=True)
class Closure:
    """A function, and the tensors of its surroundings that it takes behind its own arguments."""

    function: relax.GlobalVar
    captured: tuple[relax.Expr, ...]

    def __call__(self, *args: relax.Expr) -> relax.Call:
        return relax.Call(self.function, [*args, *self.captured])


def block_of(g: Emitter, emit: Callable[[], object]) -> relax.BindingBlock:
    """What `emit` emits, as a block of its own instead of in the function under construction."""
    g.builder._begin_binding_block()
    g.inner += 1
    try:
        emit()
    finally:
        g.inner -= 1
        block = g.builder._end_block()
    return block


def closure(
    g: Emitter,
    name: str,
    params: Sequence[relax.Var],
    blocks: Sequence[relax.BindingBlock],
    result: relax.Var,
) -> Closure:
    """A function of these blocks; names it has not bound itself become parameters."""
    body = g.builder.normalize(relax.SeqExpr(list(blocks), result))
    plain = relax.Function(list(params), body)
    free = list(relax.analysis.free_vars(plain))
    args: list[relax.Expr] = list(free)
    plain = relax.Function([*params, *free], body)
    unknown = list(relax.analysis.free_symbolic_vars(plain))
    if unknown:  # dimensions that no argument's shape tells
        free.append(relax.Var("dims", relax.ShapeType(unknown)))
        args.append(relax.ShapeExpr(unknown))
        plain = relax.Function([*params, *free], body)
    made = relax.utils.copy_with_new_vars(plain)
    return Closure(g.builder.add_func(made, name), tuple(args))
