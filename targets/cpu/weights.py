"""Moves a model's constants out of its code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import tvm
from tvm import relax
from tvm.ir import IRModule
from tvm.relax.expr_functor import PyExprMutator, mutator

from dlcc.targets.views import view_of

SMALL_BYTES = 64

Key = tuple[str, tuple[int, ...], bytes]  # dtype, shape and digest of a constant


def lift_weights(
    mod: IRModule, least_bytes: int = SMALL_BYTES + 1
) -> tuple[IRModule, list[np.ndarray]]:
    """Make every constant tensor of at least so many bytes a parameter of `main`.

    Before:  main(x) = loop(x) + const_1;  loop(x) = matmul(x, const_0)
    After:   main(x, weight_0, weight_1) = loop(x, weight_1) + weight_0
             loop(x, weight_0) = matmul(x, weight_0)

    Equal tensors (dtype, shape, content) share one parameter. A function takes those that it and
    the functions it calls need. Returns the module and the tensors in the order of `main`'s
    parameters.
    """
    found: dict[Key, relax.Expr] = {}
    needs = _needs(mod, found, least_bytes)
    out = mod.clone()
    lifted = {name: _renewed(mod, name, needs, found) for name, keys in needs.items() if keys}
    for name, var in lifted.items():
        func = _lifted(mod, name, needs, found, lifted)
        del out[mod.get_global_var(name)]
        out[var] = func
    weights = [view_of(found[key].value) for key in needs["main"]]
    return out, weights


def _needs(
    mod: IRModule, found: dict[Key, relax.Expr], least_bytes: int
) -> dict[str, dict[Key, None]]:
    """The constants that each function needs, in their order, its own first."""
    needs: dict[str, dict[Key, None]] = {}
    calls: dict[str, dict[str, None]] = {}
    for var in mod.get_global_vars():
        func = mod[var]
        if not isinstance(func, relax.Function):
            continue
        name = str(var.name_hint)
        own, called = needs.setdefault(name, {}), calls.setdefault(name, {})

        def visit(
            expr: relax.Expr, own: dict[Key, None] = own, called: dict[str, None] = called
        ) -> None:
            if (key := key_of(expr, least_bytes)) is not None:
                found.setdefault(key, expr)
                own[key] = None
            elif isinstance(expr, relax.Call) and isinstance(expr.op, relax.GlobalVar):
                called[str(expr.op.name_hint)] = None

        relax.analysis.post_order_visit(func.body, visit)
    changed = True
    while changed:
        before = {name: len(keys) for name, keys in needs.items()}
        for name, called in calls.items():
            for other in called:
                needs[name] |= needs.get(other, {})
        changed = before != {name: len(keys) for name, keys in needs.items()}
    return needs


def key_of(expr: relax.Expr, least_bytes: int = SMALL_BYTES + 1) -> Key | None:
    """What identifies a constant tensor of so many bytes; None for any other expression."""
    if not hasattr(getattr(expr, "value", None), "numpy"):
        return None
    value = view_of(expr.value)
    if value.nbytes < least_bytes:
        return None
    flat = np.ascontiguousarray(value).reshape(-1)
    digest = hashlib.sha256(flat.view(np.uint8).data).digest()
    return str(value.dtype), tuple(value.shape), digest


def _renewed(
    mod: IRModule,
    name: str,
    needs: Mapping[str, Mapping[Key, None]],
    found: Mapping[Key, relax.Expr],
) -> tvm.ir.GlobalVar:
    """A variable of the same name, of the type with weights: the old one is the input's too."""
    func = mod[name]
    params = [*(p.ty for p in func.params), *(found[k].ty for k in needs[name])]
    var = tvm.ir.GlobalVar(name)
    relax.expr._update_type(var, relax.FuncType(params, func.ret_ty, bool(func.is_pure)))
    return var


def _lifted(
    mod: IRModule,
    name: str,
    needs: Mapping[str, Mapping[Key, None]],
    found: Mapping[Key, relax.Expr],
    lifted: Mapping[str, tvm.ir.GlobalVar],
) -> relax.Function:
    """The function that takes its constants behind its own parameters."""
    func = mod[name]
    weights = {k: relax.Var(f"weight_{i}", found[k].ty) for i, k in enumerate(needs[name])}
    body = _Lifter(mod, weights, needs, lifted).visit_expr(func.body)
    params = [*func.params, *weights.values()]
    return relax.Function(params, body, func.ret_ty, func.is_pure, func.attrs)


@mutator
class _Lifter(PyExprMutator):  # type: ignore[misc]
    def __init__(
        self,
        mod: IRModule,
        weights: Mapping[Key, relax.Var],
        needs: Mapping[str, Mapping[Key, None]],
        lifted: Mapping[str, tvm.ir.GlobalVar],
    ) -> None:
        super().__init__(mod)
        self.weights = weights
        self.needs = needs
        self.lifted = lifted

    def visit_generic_const_(self, const: relax.Expr) -> relax.Expr:
        key = key_of(const, least_bytes=0)
        return const if key is None else self.weights.get(key, const)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        args = [self.visit_expr(a) for a in call.args]
        op = call.op
        if isinstance(op, relax.GlobalVar) and str(op.name_hint) in self.lifted:
            name = str(op.name_hint)
            args += [self.weights[k] for k in self.needs[name]]
            op = self.lifted[name]
        made = relax.Call(op, args, call.attrs, call.ty_args)
        relax.expr._update_type(made, call.ty)  # weights do not change what comes out
        return made
