"""From placed kernels to the instructions of the VM: every tensor is allocated where it lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import tvm
from tvm import relax
from tvm.ir import GlobalVar, IRModule, StringImm

from dlcc.targets.cpu.codegen import LOWER
from dlcc.targets.opencl.place import TO_DEVICE, Where, is_call

# of a call that is bound to a variable: its operands in place of those it has, or None
Rewrite: TypeAlias = Callable[[Any, relax.Call], list[Any] | None]

# The devices that a program is loaded with, in this order.
DEVICES: tuple[Where, ...] = ("gpu", "cpu")
# TVM plans memory by the scope of a tensor and not by its device (0.27): while it plans, tensors
# of the CPU have a scope of their own.
PLANNED = "global.cpu"


def lower(mod: IRModule, target: tvm.target.Target, kernels: Mapping[str, Where]) -> IRModule:
    """Relax of calls to kernels -> Relax of VM instructions with memory planned statically.

    Before:  y = call_tir(conv2d, x, w)
    After:   s = alloc_storage(size, device=0); y = alloc_tensor(s); conv2d(x, w, y)
    """
    plan = next(i for i, p in enumerate(LOWER) if p.info.name == "StaticPlanBlockMemory")
    with target:
        mod = tvm.transform.Sequential(list(LOWER[:plan]))(mod)
        mod = _rewritten(mod, lambda func: _allocate(func, kernels))
        mod = LOWER[plan](mod)
        mod = _rewritten(mod, lambda _: _rename)
        return tvm.transform.Sequential(list(LOWER[plan + 1 :]))(mod)


def _rewritten(mod: IRModule, of: Callable[[relax.Function], Rewrite]) -> IRModule:
    """The module with some calls replaced by others of the same type."""
    out = mod.clone()
    for var in mod.get_global_vars():
        func = mod[var]
        if isinstance(func, relax.Function):
            body = _rewritten_body(func.body, of(func))
            out[var] = relax.Function(func.params, body, func.ret_ty, func.is_pure, func.attrs)
    return out


def _rewritten_body(body: Any, rewrite: Rewrite) -> Any:
    if not isinstance(body, relax.SeqExpr):
        return body
    blocks = [
        relax.BindingBlock([_rewritten_binding(b, rewrite) for b in block.bindings])
        for block in body.blocks
    ]
    return relax.SeqExpr(blocks, body.body)


def _rewritten_binding(binding: Any, rewrite: Rewrite) -> Any:
    value = binding.value
    if isinstance(value, relax.If):
        branches = [_rewritten_body(b, rewrite) for b in (value.true_branch, value.false_branch)]
        return relax.VarBinding(binding.var, relax.If(value.cond, *branches))
    if not isinstance(value, relax.Call) or isinstance(binding, relax.MatchCast):
        return binding
    args = rewrite(binding.var, value)
    if args is None:
        return binding
    made = relax.Call(value.op, args, value.attrs, value.ty_args)
    relax.expr._update_type(made, value.ty)
    return relax.VarBinding(binding.var, made)


def _allocate(func: relax.Function, kernels: Mapping[str, Where]) -> Rewrite:
    """Allocates what a function's kernels write where they run."""
    engines = _written_by(func, kernels)

    def rewrite(var: Any, call: relax.Call) -> list[Any] | None:
        if not is_call(call, "relax.builtin.alloc_tensor"):
            return None
        shape, dtype, _, scope = call.args
        engine = engines.get(var, "cpu")
        scope = StringImm(PLANNED) if engine == "cpu" else scope
        return [shape, dtype, relax.prim_value(DEVICES.index(engine)), scope]

    return rewrite


def _rename(_var: Any, call: relax.Call) -> list[Any] | None:
    """Gives the CPU's tensors back the scope that its allocator knows."""
    if not any(_is_planned(a) for a in call.args):
        return None
    return [StringImm("global") if _is_planned(a) else a for a in call.args]


def _is_planned(arg: Any) -> bool:
    return isinstance(arg, StringImm) and str(arg.value) == PLANNED


def _written_by(func: relax.Function, kernels: Mapping[str, Where]) -> dict[Any, Where]:
    """Allocated tensor -> the engine that writes it: the first call that has it as an operand."""
    found: dict[Any, Where] = {}
    allocated: set[Any] = set()

    def visit(expr: Any) -> None:
        if not isinstance(expr, relax.SeqExpr):
            return
        for binding in (b for block in expr.blocks for b in block.bindings):
            value = binding.value
            if is_call(value, "relax.builtin.alloc_tensor"):
                allocated.add(binding.var)
            elif isinstance(value, relax.Call):
                for arg in value.args:
                    if arg in allocated and arg not in found:
                        found[arg] = _engine_of(value, kernels)

    relax.analysis.post_order_visit(func.body, visit)
    return found


def _engine_of(call: relax.Call, kernels: Mapping[str, Where]) -> Where:
    if isinstance(call.op, GlobalVar):
        return kernels[str(call.op.name_hint)]
    is_copy = isinstance(call.op, relax.ExternFunc) and call.op.global_symbol == TO_DEVICE
    return "gpu" if is_copy else "cpu"
