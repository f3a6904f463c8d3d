"""Gives every branch of an `if` a function of its own."""

from __future__ import annotations

from tvm import relax
from tvm.ir import IRModule
from tvm.relax.expr_functor import PyExprMutator, mutator


def outline_branches(mod: IRModule) -> IRModule:
    """Replace what the branches of an `if` compute by a call of a new function.

    Before:  y = exp(x) if p else relu(x)
    After:   y = branch_0(x) if p else branch_1(x)

    TVM's StaticPlanBlockMemory lets one branch use storage that only the other allocates (seen in
    0.27: the process dies in AllocTensor). A function has storage of its own.
    """
    outliner = _Outliner(mod)
    callers = {}
    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        if isinstance(mod[var], relax.Function):
            outliner.is_pure = mod[var].is_pure
            callers[var] = outliner.visit_expr(mod[var])
    if not outliner.outlined:
        return mod
    out = outliner.builder_.get()
    for var, caller in callers.items():  # the builder itself loses track of equal functions
        out.update_func(var, caller)
    return out


@mutator
class _Outliner(PyExprMutator):  # type: ignore[misc]
    def __init__(self, mod: IRModule) -> None:
        super().__init__(mod)
        self.is_pure = True
        self.outlined = 0

    def visit_if_(self, choice: relax.If) -> relax.Expr:
        choice = self.visit_expr_post_order(choice)
        branches = [self._outline(b) for b in (choice.true_branch, choice.false_branch)]
        return relax.If(choice.cond, *branches)

    def _outline(self, branch: relax.Expr) -> relax.Expr:
        if isinstance(branch, relax.SeqExpr) and not any(b.bindings for b in branch.blocks):
            return branch
        free = list(relax.analysis.free_vars(branch))
        plain = relax.Function(free, branch, None, self.is_pure)
        unknown = list(relax.analysis.free_symbolic_vars(plain))
        args: list[relax.Expr] = list(free)
        if unknown:  # dimensions that no argument's shape tells
            free.append(relax.Var("dims", relax.ShapeType(unknown)))
            args.append(relax.ShapeExpr(unknown))
            plain = relax.Function(free, branch, None, self.is_pure)
        made = relax.utils.copy_with_new_vars(plain)
        var = self.builder_.add_func(made, f"branch_{self.outlined}")
        self.outlined += 1
        return relax.Call(var, args)
