"""Which of the kernels that users gave a kind of target takes."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.ir import IRModule, Op
from tvm.relax.expr_functor import PyExprMutator, mutator

from dlcc.targets.errors import DlccError, NoFormForTarget
from dlcc.targets.rewriting import rewritten
from dlcc.targets.user.kernel import IN_C, UserKernel, user_kernel, user_kernels


def chosen(mod: IRModule, kind: str, beside: str = "") -> IRModule:
    """The module with the kernels that users gave for a kind of target, and without the others.

    Before:  other = call_tir(clipped, x); y = call_tir(clipped_c, (x, other))
    After:   y = call_tir(clipped_c, x)    on the kinds that clipped_c is for
             y = call_tir(clipped, x)      elsewhere

    beside: the kind of CPU beside an accelerator, which runs what has no other form.
    Raises NoFormForTarget where there is none at all.
    """
    return _rewritten(mod, _Chooser(mod, kind, beside))


def one_form(mod: IRModule) -> IRModule:
    """The module with one form of each op: to show it, not to build it."""
    return _rewritten(mod, _Chooser(mod, "", ""))


def _rewritten(mod: IRModule, found: _Chooser) -> IRModule:
    if not any(True for _ in user_kernels(mod)):
        return mod
    out = relax.transform.CanonicalizeBindings()(rewritten(mod, found, found.refused))
    return relax.transform.DeadCodeElimination(["main"])(out)


CHOSEN = "dlcc.chosen"


@mutator
class _Chooser(PyExprMutator):  # type: ignore[misc]
    """kind: of the target that takes its kernels; "": the last of each op is taken."""

    def __init__(self, mod: IRModule, kind: str, beside: str) -> None:
        super().__init__(mod)
        self.mod, self.kind, self.beside = mod, kind, beside
        self.refused: list[DlccError] = []  # TVM makes others of them on their way out

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        if not isinstance(call.op, Op) or call.op.name != "relax.call_tir":
            return call
        func = self.mod[call.args[0]]
        kernel = user_kernel(func)
        if kernel is None:
            return call
        operands = list(call.args[1].fields)
        others = operands[kernel.inputs :]
        if not self.kind:
            return self._taken(call, func, kernel, operands)
        if self.kind in kernel.targets or (not others and self.beside in kernel.targets):
            return self._taken(call, func, kernel, operands)
        if not others:
            self.refused.append(_no_form(kernel, self.kind))
            raise self.refused[0]
        return others[0] if len(others) == 1 else relax.Tuple(others)

    def _taken(
        self, call: relax.Call, func: tirx.PrimFunc, kernel: UserKernel, operands: list[Any]
    ) -> relax.Expr:
        """A call of the kernel alone."""
        kept = [*func.params[: kernel.inputs], *func.params[len(operands) :]]
        alone = tirx.PrimFunc(kept, func.body, func.ret_type, attrs=func.attrs)
        alone = alone.with_attr(CHOSEN, 1)  # one of its own, also where it takes all operands
        var = self.builder_.add_func(alone, kernel.name)
        inputs = relax.Tuple(operands[: kernel.inputs])
        made = relax.Call(call.op, [var, inputs, *call.args[2:]], call.attrs, call.ty_args)
        relax.expr._update_type(made, call.ty)
        return made


def _no_form(kernel: UserKernel, kind: str) -> NoFormForTarget:
    language = "C" if kind in IN_C else "OpenCL C"
    return NoFormForTarget(
        f"{kernel.op} has no form for the target {kind}: {kernel.by} gives it for "
        f"{', '.join(kernel.targets)} alone",
        hint=f'add a converter, @OPS.op("{kernel.op}"), which serves every target, or '
        f'OPS.kernel("{kernel.op}", target="{kind}", source=…) in {language}',
    )
