"""Keeps the names of a graph's variables on the kernels that they are fused into."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterator
from typing import Any

from tvm import relax, tirx
from tvm.ir import GlobalVar, IRModule

SOURCES = "dlcc.sources"
CALLS = "dlcc.calls"  # of each call in `main`: its result, then the other variables it computes


def name_sources(fused: IRModule, grouped: IRModule, before: IRModule) -> IRModule:
    """Every kernel with an attribute that lists the variables which it computes, in order.

    before: calls of kernels, not fused.   grouped: groups as functions (FuseOps).
    fused: groups as kernels (FuseTIR); its functions have the grouped ones' variables, without
        some that nobody reads.

    All functions of the module are looked at: the bodies of loops and branches are some. TVM
    renames a group's result, and equal groups share one function. Hence calls are numbered by what
    they call with what: a number means the same tensor before and after.
    """
    kernels: dict[str, dict[str, None]] = {}
    calls: dict[str, list[list[str]]] = defaultdict(list)
    for name in _functions(before):
        for kernel, found, result in _sources(fused, grouped, before, name):
            kernels.setdefault(kernel, {}).update(dict.fromkeys(found))
            if name == "main" and result:
                calls[kernel].append([result, *(v for v in found if v != result)])
    out = fused.clone()
    for var in fused.get_global_vars():
        kernel = str(var.name_hint)
        if isinstance(fused[var], tirx.PrimFunc) and (own := kernels.get(kernel)):
            out[var] = fused[var].with_attrs({SOURCES: list(own), CALLS: calls[kernel]})
    return out


def _sources(
    fused: IRModule, grouped: IRModule, before: IRModule, function: str
) -> Iterator[tuple[str, list[str], str]]:
    """Each kernel that a function calls, with the variables that it computes there, and the one
    of them that is its result; "" where that is several."""
    numbers: dict[Hashable, int] = {}
    names: dict[int, str] = {}
    known: dict[Any, int] = {p: -1 - i for i, p in enumerate(before[function].params)}
    for binding in _bindings(before[function]):
        known[binding.var] = _number(binding.value, known, numbers)
        names.setdefault(known[binding.var], str(binding.var.name))
    known = {p: -1 - i for i, p in enumerate(grouped[function].params)}
    calls: dict[str, deque[relax.Expr]] = defaultdict(deque)
    for call in _bindings(fused[function]):
        calls[str(call.var.name)].append(call.value)  # names of groups may be those of others, too
    for group in _bindings(grouped[function]):
        made = list(_walk(grouped, group, known, numbers))
        same = calls[str(group.var.name)]
        if same and (kernel := _kernel(same.popleft())):
            result = names.get(known[group.var], "")
            yield kernel, [names[n] for n in made if n in names], result


def _functions(mod: IRModule) -> list[str]:
    """The functions of a module that are no kernels, `main` first."""
    names = [str(v.name_hint) for v in mod.get_global_vars() if isinstance(mod[v], relax.Function)]
    return sorted(names, key=lambda name: (name != "main", name))


def kernels_of(mod: IRModule) -> dict[str, list[str]]:
    """Kernel -> the variables that it computes, of a module that went through `name_sources`."""
    return {
        str(var.name_hint): [str(name) for name in mod[var].attrs[SOURCES]]
        for var in mod.get_global_vars()
        if mod[var].attrs is not None and SOURCES in mod[var].attrs
    }


def calls_of(mod: IRModule) -> dict[str, list[list[str]]]:
    """Kernel -> of each of its calls in `main` the variable that is its result, then the others
    that it computes; of a module that went through `name_sources`."""
    return {
        str(var.name_hint): [[str(name) for name in call] for call in mod[var].attrs[CALLS]]
        for var in mod.get_global_vars()
        if mod[var].attrs is not None and CALLS in mod[var].attrs
    }


def _bindings(func: relax.Function) -> list[relax.Binding]:
    bindings = (b for block in func.body.blocks for b in block.bindings)
    return [b for b in bindings if isinstance(b, relax.VarBinding)]


def _walk(
    mod: IRModule, binding: relax.Binding, known: dict[Any, int], numbers: dict[Hashable, int]
) -> Iterator[int]:
    """The numbers of what a binding computes; a group's are those of the calls inside."""
    value = binding.value
    callee = value.op if isinstance(value, relax.Call) else None
    if isinstance(callee, GlobalVar) and _is_group(mod[callee]):
        body = mod[callee]
        inner = {p: _operand(a, known) for p, a in zip(body.params, value.args, strict=True)}
        for step in _bindings(body):
            inner[step.var] = _number(step.value, inner, numbers)
            yield inner[step.var]
        result = body.body.body
        known[binding.var] = inner.get(result, len(numbers))
    else:
        known[binding.var] = _number(value, known, numbers)
        yield known[binding.var]


def _is_group(func: Any) -> bool:
    return isinstance(func, relax.Function) and "Primitive" in (func.attrs or {})


def _number(value: Any, known: dict[Any, int], numbers: dict[Hashable, int]) -> int:
    if isinstance(value, relax.Var):
        return known.get(value, len(numbers))
    if isinstance(value, relax.Call):
        callee = str(getattr(value.op, "name", getattr(value.op, "name_hint", "")))
        key: Hashable = (callee, *(_operand(a, known) for a in value.args))
    elif isinstance(value, relax.TupleGetItem):
        key = ("item", _operand(value.tuple_value, known), int(value.index))
    else:
        key = hash(value)
    return numbers.setdefault(key, len(numbers))


def _operand(arg: Any, known: dict[Any, int]) -> Any:
    if isinstance(arg, relax.Var):
        return known.get(arg, hash(arg))
    if isinstance(arg, relax.Tuple):
        return tuple(_operand(f, known) for f in arg.fields)
    return str(arg.name_hint) if isinstance(arg, GlobalVar) else ("value", hash(arg))


def _kernel(value: Any) -> str:
    """The kernel that a binding calls, or ""."""
    if not isinstance(value, relax.Call) or not value.args:
        return ""
    first = value.args[0]
    return str(first.name_hint) if isinstance(first, GlobalVar) else ""
