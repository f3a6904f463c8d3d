"""Parts of a Relax module: `main` with other results, and with tensors that it is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tvm import relax, tirx
from tvm.ir import IRModule

from dlcc.targets.names import OUTPUTS

GIVEN = "_given"

Reads = Mapping[str, Sequence[str]]


def variables(mod: IRModule) -> dict[str, relax.Var]:
    """What `main` binds, by name, in order; without what branches bind inside."""
    return {str(b.var.name): b.var for b in _bindings(mod)}


def bound(mod: IRModule) -> dict[str, Any]:
    """What each of these is bound to."""
    return {str(b.var.name): b.value for b in _bindings(mod)}


def tensors(mod: IRModule) -> set[str]:
    """Of these the tensors."""
    return {n for n, var in variables(mod).items() if isinstance(var.ty, relax.TensorType)}


def can_be_given(mod: IRModule) -> set[str]:
    """The variables that may become parameters: tensors whose dimensions the inputs tell."""
    told = set()
    for param in mod["main"].params:
        told |= {d for d in _dims(param) if isinstance(d, tirx.Var)}
    return {
        name
        for name, var in variables(mod).items()
        if isinstance(var.ty, relax.TensorType)
        and isinstance(var.ty.shape, relax.ShapeExpr)
        and all(v in told for d in _dims(var) for v in tirx.analysis.undefined_vars(d))
    }


def _dims(var: relax.Var) -> list[Any]:
    return list(var.ty.shape.values) if isinstance(var.ty.shape, relax.ShapeExpr) else []


def reads(mod: IRModule) -> Reads:
    """Each variable of `main`, in order, with those that its value reads."""
    return {name: _read(value) for name, value in bound(mod).items()}


def read_by(known: Reads, result: str, given: Collection[str]) -> list[str]:
    """Those of the given variables that the result is computed from, in the order of `main`."""
    read = {v for name in between(known, result, given) for v in known[name]}
    return [name for name in known if name in read and name in given]


def between(known: Reads, result: str, given: Collection[str]) -> list[str]:
    """What is computed for the result where the given variables are known, in the order of
    `main`; the result itself is the last."""
    seen: set[str] = set()
    wanted = [result]
    while wanted:
        name = wanted.pop()
        if name not in seen and name in known:
            seen.add(name)
            wanted += [v for v in known[name] if v not in given]
    return [name for name in known if name in seen]


def _read(value: Any) -> list[str]:
    found: list[str] = []

    def visit(expr: Any) -> None:
        if isinstance(expr, relax.Var):
            found.append(str(expr.name))

    relax.analysis.post_order_visit(value, visit)
    return found


def part(mod: IRModule, results: Sequence[str], given: Sequence[str] = ()) -> IRModule:
    """The module with the named variables as results of `main`.

    given: variables that become parameters behind the inputs: what reads them reads these.

    Before:  main(x): a = f(x); b = g(a); return (b,)
    After:   main(x, a_given): a = f(x); b = g(a_given); return (a, b)    results a, b; given a
    """
    main = mod["main"]
    own = variables(mod)
    params = {name: relax.Var(name + GIVEN, own[name].ty) for name in given}
    made: dict[str, relax.Var] = {}
    blocks = [_block(block, set(results), params, made) for block in main.body.blocks]
    body = relax.SeqExpr(blocks, relax.Tuple([made[name] for name in results]))
    ret = relax.TupleType([own[name].ty for name in results])
    func = relax.Function([*main.params, *params.values()], body, ret, main.is_pure, main.attrs)
    count = len(main.params) + len(params)
    out = mod.clone()
    out["main"] = func.with_attrs({OUTPUTS: list(results), "num_input": count})
    out = relax.transform.CanonicalizeBindings()(out)
    return relax.transform.DeadCodeElimination(["main"])(out)


def _block(
    block: relax.BindingBlock,
    results: set[str],
    params: dict[str, relax.Var],
    made: dict[str, relax.Var],
) -> relax.BindingBlock:
    """The block with results that outlive it; whoever reads a result or what is given reads an
    alias of it."""
    bindings: list[relax.Binding] = []
    for binding in block.bindings:
        name = str(binding.var.name)
        if name not in results and name not in params:
            bindings.append(binding)
            continue
        own = relax.Var(name, binding.var.ty)
        if isinstance(binding, relax.MatchCast):
            bindings.append(relax.MatchCast(own, binding.value, binding.ty))
        else:
            bindings.append(relax.VarBinding(own, binding.value))
        made[name] = own
        bindings.append(relax.VarBinding(binding.var, params.get(name, own)))
    kind = relax.DataflowBlock if isinstance(block, relax.DataflowBlock) else relax.BindingBlock
    return kind(bindings)


def _bindings(mod: IRModule) -> list[relax.Binding]:
    return [b for block in mod["main"].body.blocks for b in block.bindings]
