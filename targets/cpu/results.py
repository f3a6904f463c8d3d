"""Results of a model that are nobody else's."""

from __future__ import annotations

from tvm import relax, te
from tvm.ir import IRModule


def own_results(mod: IRModule) -> IRModule:
    """Copy what `main` would hand back just as it got it.

    Before:  main(x, w) = (x, w, y)
    After:   main(x, w) = (copy(x), copy(w), y)

    A result that is an argument would share its memory, which its owner may change; and an
    argument that came over RPC is a view that TVM 0.27 cannot send back.
    """
    main = mod["main"]
    fields = _fields(main.body.body)
    params = list(main.params)
    if not any(_same(field, params) for field in fields):
        return mod
    builder = relax.BlockBuilder(mod)
    bindings = []
    results = []
    for field in fields:
        if _same(field, params):
            copy = builder.call_te(_copy, field, primfunc_name_hint="copy")
            own = relax.Var("result", field.ty)
            bindings.append(relax.VarBinding(own, copy))
            field = own
        results.append(field)
    # no dataflow block: there TVM would take the copy for a reshape, and make it a view again
    blocks = [*main.body.blocks, relax.BindingBlock(bindings)]
    body = relax.SeqExpr(blocks, relax.Tuple(results))
    out = builder.get()
    whole = relax.Function(main.params, body, main.ret_ty, main.is_pure, main.attrs)
    out.update_func(out.get_global_var("main"), whole)
    return out


def _fields(result: relax.Expr) -> list[relax.Expr]:
    return list(result.fields) if isinstance(result, relax.Tuple) else [result]


def _same(field: relax.Expr, params: list[relax.Var]) -> bool:
    return any(field.same_as(param) for param in params)


def _copy(x: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda *i: x[i], name="copy")
