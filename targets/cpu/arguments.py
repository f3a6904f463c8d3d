"""Arguments of a model that its branches and loops decide by, or put into their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tvm import relax
from tvm.ir import GlobalVar, IRModule

from dlcc.targets.cpu.results import copy_of

Escaping = dict[str, set[int]]


def own_arguments(mod: IRModule) -> IRModule:
    """Copy the arguments of `main` that decide, or that a function may hand back.

    Before:  main(x) = branch_0(x) if p else branch_1(x);     branch_1(x) = (x,)
    After:   main(given) = x = copy(given); branch_0(x) if p else branch_1(x)

    What came over RPC is a view, which TVM 0.27 cannot put into a tuple, nor read as a condition.
    """
    escaping = _escaping(mod)
    main = mod["main"]
    given = [main.params[i] for i in sorted(_called_with(main, escaping) | _conditions(main))]
    if not given:
        return mod
    builder = relax.BlockBuilder(mod)
    params = {p: relax.Var(f"{p.name}_given", p.ty) for p in given}
    copies = [relax.VarBinding(p, copy_of(builder, new)) for p, new in params.items()]
    # no dataflow block: there TVM would take the copy for a reshape, and make it a view again
    body = relax.SeqExpr([relax.BindingBlock(copies), *main.body.blocks], main.body.body)
    out = builder.get()
    new_params = [params.get(p, p) for p in main.params]
    whole = relax.Function(new_params, body, main.ret_ty, main.is_pure, main.attrs)
    out.update_func(out.get_global_var("main"), whole)
    return out


def _escaping(mod: IRModule) -> Escaping:
    """Function -> the numbers of its parameters that decide, or may be in its result."""
    functions = {
        str(v.name_hint): mod[v]
        for v in mod.get_global_vars()
        if isinstance(mod[v], relax.Function) and v.name_hint != "main"
    }
    found: Escaping = {name: set() for name in functions}
    changed = True
    while changed:
        changed = False
        for name, func in functions.items():
            own = _called_with(func, found) | _in_tuples(func) | _conditions(func)
            if not own <= found[name]:
                found[name] |= own
                changed = True
    return found


def _in_tuples(func: relax.Function) -> set[int]:
    """The parameters that a function puts into a tuple, or returns."""
    exprs: list[Any] = [func.body.body, *(v for _, v in _bindings(func))]
    fields = [f for e in exprs if isinstance(e, relax.Tuple) for f in e.fields]
    return _numbers(func, [*fields, func.body.body])


def _conditions(func: relax.Function) -> set[int]:
    """The parameters that a function takes as the condition of a choice."""
    return _numbers(func, [v.cond for _, v in _bindings(func) if isinstance(v, relax.If)])


def _called_with(func: relax.Function, escaping: Mapping[str, set[int]]) -> set[int]:
    """The parameters that a function hands to others which may give them back."""
    args = [
        value.args[i]
        for _, value in _bindings(func)
        if isinstance(value, relax.Call) and isinstance(value.op, GlobalVar)
        for i in escaping.get(str(value.op.name_hint), ())
    ]
    return _numbers(func, args)


def _numbers(func: relax.Function, exprs: list[Any]) -> set[int]:
    """Which parameters these are, by themselves or under another name."""
    position = {p: i for i, p in enumerate(func.params) if isinstance(p.ty, relax.TensorType)}
    bound = dict(_bindings(func))
    found = set()
    for expr in exprs:
        while isinstance(expr, relax.Var) and isinstance(bound.get(expr), relax.Var):
            expr = bound[expr]
        if isinstance(expr, relax.Var) and expr in position:
            found.add(position[expr])
    return found


def _bindings(func: relax.Function) -> Iterator[tuple[relax.Var, Any]]:
    """All bindings, those in the arms of a choice too; a result of an arm as if it were bound."""
    stack: list[Any] = [func.body]
    while stack:
        body = stack.pop()
        if not isinstance(body, relax.SeqExpr):
            continue
        for binding in (b for block in body.blocks for b in block.bindings):
            yield binding.var, binding.value
            if isinstance(binding.value, relax.If):
                stack += [binding.value.true_branch, binding.value.false_branch]
