"""Results of a model that are nobody else's."""

from __future__ import annotations

from collections.abc import Mapping

from tvm import relax, te, tirx
from tvm.ir import IRModule


def own_results(mod: IRModule) -> IRModule:
    """Copy what `main` would hand back just as it got it.

    Before:  main(x, w) = (x, w, y)
    After:   main(x, w) = (copy(x), copy(w), y)

    A result that is an argument would share its memory, which its owner may change; and an
    argument that came over RPC is a view that TVM 0.27 cannot send back. What a branch or a
    function gives may be an argument: a loop that is not entered gives what it starts from.
    """
    main = mod["main"]
    fields = _fields(main.body.body)
    bound = {b.var: b for block in main.body.blocks for b in block.bindings}
    if not any(_may_be_given(field, bound) for field in fields):
        return mod
    builder = relax.BlockBuilder(mod)
    bindings: list[relax.Binding] = []
    results = []
    for field in fields:
        if _may_be_given(field, bound):
            field = _measured(field, bindings)
            own = relax.Var("result", field.ty)
            bindings.append(relax.VarBinding(own, copy_of(builder, field)))
            field = own
        results.append(field)
    # no dataflow block: there TVM would take the copy for a reshape, and make it a view again
    blocks = [*main.body.blocks, relax.BindingBlock(bindings)]
    body = relax.SeqExpr(blocks, relax.Tuple(results))
    out = builder.get()
    whole = relax.Function(main.params, body, main.ret_ty, main.is_pure, main.attrs)
    out.update_func(out.get_global_var("main"), whole)
    return out


def _measured(field: relax.Expr, bindings: list[relax.Binding]) -> relax.Expr:
    """The tensor with names for its dimensions where nothing tells them."""
    if isinstance(field.ty.shape, relax.ShapeExpr):
        return field
    dims = [tirx.Var(f"result{len(bindings)}_d{i}", "int64") for i in range(field.ty.ndim)]
    type_ = relax.TensorType(dims, field.ty.dtype)
    named = relax.Var("measured", type_)
    bindings.append(relax.MatchCast(named, field, type_))
    return named


def _fields(result: relax.Expr) -> list[relax.Expr]:
    return list(result.fields) if isinstance(result, relax.Tuple) else [result]


def _may_be_given(expr: relax.Expr, bound: Mapping[relax.Var, relax.Binding]) -> bool:
    """Whether a tensor may be an argument of `main`: what is bound to no kernel of its own."""
    if isinstance(expr, relax.Var):
        if expr not in bound:
            return True
        return _may_be_given(bound[expr].value, bound)
    if isinstance(expr, relax.TupleGetItem):
        made = bound.get(expr.tuple_value)
        if made is not None and isinstance(made.value, relax.Tuple):
            return _may_be_given(made.value.fields[expr.index], bound)
        return made is None or _may_be_given(made.value, bound)
    if isinstance(expr, relax.Call):
        return isinstance(expr.op, relax.GlobalVar)
    return isinstance(expr, relax.If)


def copy_of(builder: relax.BlockBuilder, tensor: relax.Expr) -> relax.Call:
    """A call of a kernel that copies a tensor."""
    return builder.call_te(_copy, tensor, primfunc_name_hint="copy")


def _copy(x: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda *i: x[i], name="copy")
