"""Half precision: floats lie in memory as float16, and are added up in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm import relax, te, tirx
from tvm.ir import GlobalVar, IRModule

from dlcc.targets.artifact import HALF
from dlcc.targets.cpu.sources import SOURCES
from dlcc.targets.opencl.place import is_call

FULL = "float32"
LARGEST = float(np.finfo(np.float16).max)

Kernel = tuple[str, tuple[bool, ...]]  # its name, and which operands are half


def halve(
    mod: IRModule, weights: Sequence[np.ndarray], on_gpu: Callable[[tirx.PrimFunc], bool]
) -> tuple[IRModule, list[np.ndarray]]:
    """Keep in float16 what kernels of the GPU read and write in `main`; its own inputs and outputs
    stay as they are.

    Before:  y = call_tir(conv2d, x, w, b)                    # all float32
    After:   h = call_tir(to_half, x);  z = call_tir(conv2d_half, h, w16, b16)
             y = call_tir(to_full, z)   # where a result or the CPU reads it
             conv2d_half: z = float16(sum(float32(h) * float32(w16)) + float32(b16))

    weights: what the last parameters of `main` are; returns those that are read now. One with a
    number that float16 does not have stays in float32.
    """
    halver = _Halver(mod, relax.BlockBuilder(mod), weights, on_gpu)
    main = halver.rewritten(mod["main"])
    out = halver.builder.get()
    out.update_func(out.get_global_var("main"), main)
    out = relax.transform.DeadCodeElimination(["main"])(relax.transform.FuseTIR()(out))
    for var in out.get_global_vars():
        if sources := halver.sources.get(str(var.name_hint)):
            out[var] = out[var].with_attr(SOURCES, sources)
    return out, halver.kept


@dataclass
class _Halver:
    """`main`, binding by binding. A variable stays the float32 tensor that it was.

    half: variable -> the same numbers in float16.   bound: variables that are there by now.
    unread: weights that are no parameter yet.   kept: the weights of the parameters `params`.
    """

    mod: IRModule
    builder: relax.BlockBuilder
    weights: Sequence[np.ndarray]
    on_gpu: Callable[[tirx.PrimFunc], bool]
    half: dict[Any, Any] = field(default_factory=dict)
    bound: set[Any] = field(default_factory=set)
    values: dict[Any, np.ndarray] = field(default_factory=dict)
    params: list[Any] = field(default_factory=list)
    kept: list[np.ndarray] = field(default_factory=list)
    groups: dict[Kernel, GlobalVar] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)
    bindings: list[Any] = field(default_factory=list)

    def rewritten(self, main: relax.Function) -> relax.Function:
        inputs = len(main.params) - len(self.weights)
        self.values = dict(zip(main.params[inputs:], self.weights, strict=True))
        self.bound = set(main.params[:inputs])
        blocks = []
        for block in main.body.blocks:
            self.bindings = []
            for binding in block.bindings:
                self.binding(binding)
            blocks.append(relax.BindingBlock(self.bindings))
        self.bindings = []
        self.need(main.body.body)
        blocks.append(relax.BindingBlock(self.bindings))
        params = [*main.params[:inputs], *self.params]
        body = relax.SeqExpr([b for b in blocks if len(b.bindings)], main.body.body)
        return relax.Function(params, body, main.ret_ty, main.is_pure, main.attrs)

    def binding(self, binding: Any) -> None:
        value = binding.value
        if self.is_for_gpu(value):
            self.kernel(binding.var, value)
            return
        if is_call(value, "relax.reshape") and value.args[0] in self.half:
            made = relax.op.reshape(self.half[value.args[0]], value.args[1])
            self.half[binding.var] = self.emit(made, _in(binding.var.ty, HALF))
            return
        self.need(value)
        self.bindings.append(binding)
        self.bound.add(binding.var)

    def is_for_gpu(self, value: Any) -> bool:
        """Whether a value is what a kernel of the GPU makes, in one tensor."""
        if not is_call(value, "relax.call_tir") or not isinstance(value.ty, relax.TensorType):
            return False
        return self.on_gpu(self.mod[value.args[0]])

    def kernel(self, var: Any, call: relax.Call) -> None:
        """A call whose operands and result are float16 where they are float32."""
        given = call.args[1]
        operands = list(given.fields) if isinstance(given, relax.Tuple) else [given]
        args = [self.as_half(a) if _is_full(a.ty) else self.as_itis_call(a) for a in operands]
        made = relax.Call(self.group(call, operands, args), [*args, *call.args[2:]])
        if not _is_full(call.ty):
            relax.expr._update_type(made, call.ty)
            self.bindings.append(relax.VarBinding(var, made))
            self.bound.add(var)
            return
        self.half[var] = self.emit(made, _in(call.ty, HALF))

    def group(self, call: relax.Call, operands: Sequence[Any], args: Sequence[Any]) -> GlobalVar:
        """A function of a kernel and the conversions around it, which becomes one kernel."""
        name = str(call.args[0].name_hint)
        pairs = zip(operands, args, strict=True)
        halves = tuple(_is_full(o.ty) and not _is_full(a.ty) for o, a in pairs)
        key = (name, halves)
        if key in self.groups:
            return self.groups[key]
        params = [relax.Var(f"p{i}", a.ty) for i, a in enumerate(args)]
        sizes = [relax.Var(f"s{i}", a.ty) for i, a in enumerate(call.args[2:])]
        builder = self.builder
        with builder.function(f"{name}_half", [*params, *sizes], private=True):
            with builder.dataflow():
                plain = [
                    builder.emit(_cast(builder, p, FULL)) if h else p
                    for p, h in zip(params, halves, strict=True)
                ]
                inner = [call.args[0], relax.Tuple(plain), *sizes]
                made = builder.emit(relax.Call(call.op, inner, call.attrs, [call.ty]))
                if _is_full(call.ty):
                    made = builder.emit(_cast(builder, made, HALF))
                out = builder.emit_output(made)
            var = builder.emit_func_output(out)
        builder.update_func(var, builder.get()[var].with_attr("Primitive", 1))
        kernel = self.mod[call.args[0]]
        if kernel.attrs is not None and SOURCES in kernel.attrs:
            self.sources[str(var.name_hint)] = list(kernel.attrs[SOURCES])
        self.groups[key] = var
        return var

    def as_half(self, expr: Any) -> Any:
        """A tensor in float16; a weight with a number that has none as it is."""
        if expr in self.half:
            return self.half[expr]
        if expr in self.values:
            value = self.values[expr]
            if np.abs(value, where=np.isfinite(value), out=np.zeros_like(value)).max(initial=0) > (
                LARGEST
            ):
                return self.as_itis_call(expr)
            made = relax.Var(f"{expr.name}_half", _in(expr.ty, HALF))
            self.params.append(made)
            self.kept.append(value.astype(np.float16))
        else:
            made = self.emit(_cast(self.builder, self.as_itis_call(expr), HALF), _in(expr.ty, HALF))
        self.half[expr] = made
        return made

    def as_itis_call(self, expr: Any) -> Any:
        """A value, with what it reads bound before."""
        self.need(expr)
        return expr

    def need(self, expr: Any) -> None:
        """Bind what an expression reads, where that is there in float16 only, or a weight."""
        for var in relax.analysis.free_vars(expr):
            if var in self.bound:
                continue
            self.bound.add(var)
            if var in self.values:
                self.params.append(var)
                self.kept.append(self.values[var])
            elif var in self.half:
                made = _cast(self.builder, self.half[var], FULL)
                relax.expr._update_type(made, var.ty)
                self.bindings.append(relax.VarBinding(var, made))

    def emit(self, value: relax.Call, type_: Any) -> Any:
        """A new variable for a value of that type."""
        relax.expr._update_type(value, type_)
        var = relax.Var("half", type_)
        self.bindings.append(relax.VarBinding(var, value))
        return var


def _cast(builder: relax.BlockBuilder, tensor: Any, dtype: str) -> relax.Call:
    def cast(x: te.Tensor) -> te.Tensor:
        return te.compute(x.shape, lambda *i: x(*i).astype(dtype), name="cast", tag="elemwise")

    return builder.call_te(cast, tensor, primfunc_name_hint=f"to_{dtype}")


def _in(type_: Any, dtype: str) -> Any:
    return relax.TensorType(type_.shape, dtype)


def _is_full(type_: Any) -> bool:
    return isinstance(type_, relax.TensorType) and str(type_.dtype) == FULL
