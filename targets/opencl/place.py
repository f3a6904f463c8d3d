"""Decides where each tensor of a model lies, and copies it where another engine reads it.

A kernel reads and writes the memory of the engine that runs it. What is no kernel of the GPU runs
on the CPU beside it, in the same module:

    Before:  y = call_tir(conv2d, x, w);  k = call_tir(argsort, y)                  # main(x, w)
    After:   a = call_dps_packed("dlcc.opencl.to_device", x);  y = call_tir(conv2d, a, w)
             b = call_dps_packed("dlcc.opencl.to_host", y);    k = call_tir(argsort, b)

Inputs and outputs of `main` are the CPU's; a weight lies where it is read. What goes between other
functions, branches and loops, lies where its type says: floating-point tensors on the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from tvm import relax
from tvm.ir import GlobalVar, IRModule, Op

Where: TypeAlias = Literal["gpu", "cpu"]
# where a value lies; of a tuple, its fields; None for what is no tensor
Place: TypeAlias = "Where | tuple[Place, ...] | None"

TO_DEVICE, TO_HOST = "dlcc.opencl.to_device", "dlcc.opencl.to_host"
COPIES: dict[Where, str] = {"gpu": TO_DEVICE, "cpu": TO_HOST}

KERNELS = ("relax.call_tir", "relax.call_tir_inplace")
VIEWS = ("relax.reshape", "relax.memory.view", "relax.memory.ensure_zero_offset")
METADATA = ("relax.shape_of", "relax.tensor_to_shape", "relax.size")
FLOATS = ("float32", "float16")


@dataclass(frozen=True, slots=True)
class Placed:
    """A module whose kernels find their operands. weights: in the order of `main`'s parameters
    behind its inputs. on_gpu: whether each of them lies on the GPU."""

    module: IRModule
    weights: list[np.ndarray]
    on_gpu: list[bool]


def place(mod: IRModule, weights: Sequence[np.ndarray], kernels: Mapping[str, Where]) -> Placed:
    """The module with its copies. kernels: where each runs.

    weights: what the last parameters of `main` are. Branches must be functions."""
    out = mod.clone()
    found = Placed(out, [], [])
    for var in mod.get_global_vars():
        func = mod[var]
        if not isinstance(func, relax.Function):
            continue
        placer = _Placer(mod, kernels)
        if str(var.name_hint) != "main":
            out[var] = placer.whole(func, len(func.params), home)
            continue
        inputs = len(func.params) - len(weights)
        out[var] = placer.whole(func, inputs, _all_on_cpu)
        found.weights.extend(weights[i - inputs] for i, _, _ in placer.weights)
        found.on_gpu.extend(engine == "gpu" for _, engine, _ in placer.weights)
    return found


def is_call(expr: Any, name: str) -> bool:
    """Whether an expression is a call of the operator of that name."""
    return isinstance(expr, relax.Call) and isinstance(expr.op, Op) and expr.op.name == name


def home(type_: Any) -> Place:
    """Where a value lies that goes from function to function."""
    if isinstance(type_, relax.TupleType):
        return tuple(home(f) for f in type_.fields)
    if not isinstance(type_, relax.TensorType):
        return None
    return "gpu" if type_.ndim != 0 and str(type_.dtype) in FLOATS else "cpu"


def everywhere(type_: Any, engine: Where) -> Place:
    """A value all of whose tensors lie in one place."""
    if isinstance(type_, relax.TupleType):
        return tuple(everywhere(f, engine) for f in type_.fields)
    return engine if isinstance(type_, relax.TensorType) else None


def _all_on_cpu(type_: Any) -> Place:
    return everywhere(type_, "cpu")


@dataclass
class _Placer:
    """One function. unread: weights that nothing read so far.
    weights: number of the parameter, engine and variable of each that is read, in order."""

    mod: IRModule
    kernels: Mapping[str, Where]
    places: dict[Any, Place] = field(default_factory=dict)
    copies: dict[tuple[Any, Where], Any] = field(default_factory=dict)
    unread: dict[Any, int] = field(default_factory=dict)
    weights: list[tuple[int, Where, Any]] = field(default_factory=list)
    bindings: list[Any] = field(default_factory=list)

    def whole(
        self, func: relax.Function, inputs: int, lies: Callable[[Any], Place]
    ) -> relax.Function:
        """The function with its copies. inputs: parameters that are no weights.
        lies: where values come from its caller and go to it, by their types."""
        self.unread = {param: i for i, param in enumerate(func.params) if i >= inputs}
        self.places = {param: lies(param.ty) for param in func.params[:inputs]}
        body = self.body(func.body, lies(func.ret_ty))
        params = [*func.params[:inputs], *(var for _, _, var in self.weights)]
        return relax.Function(params, body, func.ret_ty, func.is_pure, func.attrs)

    def body(self, body: relax.SeqExpr, result: Place) -> relax.SeqExpr:
        """A sequence of bindings whose value lies where it is asked for."""
        blocks = []
        for block in body.blocks:
            outside, self.bindings = self.bindings, []
            for binding in block.bindings:
                self.binding(binding)
            blocks.append(relax.BindingBlock(self.bindings))
            self.bindings = outside
        outside, self.bindings = self.bindings, []
        value = self.moved(body.body, result)
        if self.bindings:
            blocks.append(relax.BindingBlock(self.bindings))
        self.bindings = outside
        return relax.SeqExpr(blocks, value)

    def binding(self, binding: Any) -> None:
        """Bind a variable to what it was bound to, with operands where they are read."""
        value = binding.value
        if isinstance(binding, relax.MatchCast):
            self.places[binding.var] = self.place_of(value)
            self.bindings.append(relax.MatchCast(binding.var, self.own(value), binding.ty))
            return
        if isinstance(value, relax.Call):
            value, self.places[binding.var] = self.call(value)
        elif isinstance(value, relax.If):
            value, self.places[binding.var] = self.choice(value, binding.var.ty)
        else:
            self.places[binding.var] = self.place_of(value)
            value = self.own(value)
        self.bindings.append(relax.VarBinding(binding.var, value))

    def call(self, call: relax.Call) -> tuple[relax.Call, Place]:
        """A call with its operands moved, and where its result lies."""
        if isinstance(call.op, GlobalVar):
            func = self.mod[call.op]
            args = [self.moved(a, home(p.ty)) for a, p in zip(call.args, func.params, strict=True)]
            return _with_args(call, args), home(func.ret_ty)
        name = str(call.op.name) if isinstance(call.op, Op) else ""
        if name in KERNELS:
            engine = self.kernels[str(call.args[0].name_hint)]
            kernel, operands, *rest = call.args
            args = [kernel, self.moved(operands, everywhere(operands.ty, engine)), *rest]
            return _with_args(call, args), everywhere(call.ty, engine)
        if name in VIEWS:
            args = [self.own(call.args[0]), *call.args[1:]]
            return _with_args(call, args), self.place_of(call.args[0])
        if name in METADATA:
            return _with_args(call, [self.own(a) for a in call.args]), everywhere(call.ty, "cpu")
        args = [self.moved(a, everywhere(_type(a), "cpu")) for a in call.args]
        return _with_args(call, args), everywhere(call.ty, "cpu")

    def choice(self, choice: relax.If, type_: Any) -> tuple[relax.If, Place]:
        """A choice by the CPU, whose branches give what lies where its type says."""
        condition = self.moved(choice.cond, everywhere(_type(choice.cond), "cpu"))
        before = dict(self.copies)
        branches = []
        for branch in (choice.true_branch, choice.false_branch):
            branches.append(self.body(branch, home(type_)))
            self.copies = dict(before)  # a copy made in one branch is not there outside of it
        return relax.If(condition, *branches), home(type_)

    def place_of(self, expr: Any) -> Place:
        """Where a value lies; constants are loaded to the first device, the GPU."""
        if isinstance(expr, relax.Tuple):
            return tuple(self.place_of(f) for f in expr.fields)
        if isinstance(expr, relax.TupleGetItem):
            inside = self.place_of(expr.tuple_value)
            assert isinstance(inside, tuple)
            field: Place = inside[int(expr.index)]
            return field
        if expr in self.unread:
            return home(expr.ty)
        if expr in self.places:
            return self.places[expr]
        return everywhere(_type(expr), "gpu")

    def own(self, expr: Any) -> Any:
        """A value as it lies; a weight that was not read yet gets its place by that."""
        return self.moved(expr, self.place_of(expr))

    def moved(self, expr: Any, wanted: Place) -> Any:
        """A value where it is wanted: itself, or a copy."""
        if isinstance(expr, relax.Tuple):
            assert isinstance(wanted, tuple)
            return relax.Tuple([self.moved(f, w) for f, w in zip(expr.fields, wanted, strict=True)])
        if expr in self.unread or (expr, wanted) in self.copies:
            return self.weight_or_copy(expr, wanted)
        lies = self.place_of(expr)
        if wanted is None or lies == wanted:
            return expr
        if isinstance(wanted, tuple):
            assert isinstance(lies, tuple)
            fields = [self.emit(relax.TupleGetItem(expr, i), p) for i, p in enumerate(lies)]
            return self.moved(relax.Tuple(fields), wanted)
        return self.weight_or_copy(expr, wanted)

    def weight_or_copy(self, expr: Any, wanted: Place) -> Any:
        """A tensor in another place: a weight of `main` lies in both, all else is copied."""
        assert wanted == "gpu" or wanted == "cpu"
        if (expr, wanted) in self.copies:
            return self.copies[expr, wanted]
        known = [i for i, _, var in self.weights if var.same_as(expr)]
        if expr in self.unread:
            made, number = expr, self.unread.pop(expr)
            self.places[expr] = wanted
            self.weights.append((number, wanted, made))
        elif known:
            made = relax.Var(f"{expr.name}_{wanted}", expr.ty)
            self.places[made] = wanted
            self.weights.append((known[0], wanted, made))
        else:
            made = self.emit(relax.op.call_dps_packed(COPIES[wanted], expr, expr.ty), wanted)
        self.copies[expr, wanted] = made
        return made

    def emit(self, value: Any, lies: Place) -> Any:
        """A new variable for a value."""
        type_ = value.ty_args[0] if isinstance(value, relax.Call) else value.ty
        if isinstance(value, relax.Call):
            relax.expr._update_type(value, type_)
        var = relax.Var("copy" if isinstance(value, relax.Call) else "field", type_)
        self.bindings.append(relax.VarBinding(var, value))
        self.places[var] = lies
        return var


def _type(expr: Any) -> Any:
    return getattr(expr, "ty", None)


def _with_args(call: relax.Call, args: Sequence[Any]) -> relax.Call:
    """The same call of other operands, which have the same types."""
    made = relax.Call(call.op, list(args), call.attrs, call.ty_args)
    relax.expr._update_type(made, call.ty)
    return made
