"""Relax functions of a module, as a mutator leaves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tvm import relax
from tvm.ir import GlobalVar, IRModule
from tvm.relax.expr_functor import PyExprMutator

from dlcc.targets.errors import DlccError


def relax_functions(mod: IRModule) -> Iterator[GlobalVar]:
    """Their variables, by name, so that results do not depend on TVM's order."""
    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        if isinstance(mod[var], relax.Function):
            yield var


def rewritten(mod: IRModule, mutator: PyExprMutator, refused: Sequence[DlccError] = ()) -> IRModule:
    """The module of the mutator's builder, with every Relax function visited.

    refused: where the mutator notes an error before it raises it, for TVM makes another of it on
    its way out; the first is raised."""
    try:
        for var in relax_functions(mod):
            mutator.builder_.update_func(var, mutator.visit_expr(mod[var]))
    except RuntimeError as error:
        if refused:
            raise refused[0] from error
        raise
    return mutator.builder_.get()
