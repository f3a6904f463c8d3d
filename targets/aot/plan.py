"""Lowered Relax -> program: what every call reads and writes, and where that is in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx
from tvm.ir import GlobalVar, IRModule, Op

from dlcc.targets.aot.macs import macs_of
from dlcc.targets.aot.pack import Interval, alive, pack
from dlcc.targets.aot.program import Buffer, Call, Copy, Program, Tensor, aligned
from dlcc.targets.cpu.codegen import reshape_in_place
from dlcc.targets.cpu.sources import SOURCES
from dlcc.targets.errors import ToolchainError
from dlcc.targets.names import nodes_of, output_names

HINT = (
    "compile this model for host or arm with the runtime tvm, or cut the graph before it with "
    "`--output`"
)

# Calls that turn data into shapes.
DATA_DEPENDENT = ("relax.tensor_to_shape", "relax.dynamic_strided_slice", "relax.run.nonzero")

# Dataflow -> calls of kernels that write into tensors which `main` allocates. Memory is placed
# by `plan` itself: TVM's StaticPlanBlockMemory reuses whole tensors and never splits one.
LOWER: tuple[tvm.transform.Pass, ...] = (
    relax.transform.ToNonDataflow(),
    relax.transform.RemovePurityChecking(),
    relax.transform.CallTIRRewrite(),
)


@dataclass(slots=True)
class _Made:
    """A tensor that `main` allocates. first, last: calls that write and read it."""

    size_bytes: int
    first: int
    last: int
    output: int | None = None


@dataclass(frozen=True, slots=True)
class _Given:
    """A tensor that is there before the first call."""

    buffer: Buffer


_Value = _Made | _Given


@dataclass(slots=True)
class _Walk:
    """What is known of the variables of `main` while its bindings are read in order."""

    mod: IRModule
    values: dict[Any, _Value] = field(default_factory=dict)
    tuples: dict[Any, list[relax.Expr]] = field(default_factory=dict)
    made: list[_Made] = field(default_factory=list)
    calls: list[tuple[str, list[_Value]]] = field(default_factory=list)
    parameters: bytearray = field(default_factory=bytearray)
    constants: dict[bytes, int] = field(default_factory=dict)


def lower(mod: IRModule, target: tvm.target.Target) -> IRModule:
    """Fused Relax -> `main` of allocations, calls of kernels, and views."""
    with target:
        return tvm.transform.Sequential(list(LOWER))(reshape_in_place(mod))


def plan(mod: IRModule, scratch_bytes: Mapping[str, int], task_bytes: int = 0) -> Program:
    """Place the memory of a model.

    mod: went through `lower`.   scratch_bytes: kernel -> bytes of its temporaries.
    task_bytes: of one task's, within parallel loops.
    Raises ToolchainError, naming the node, for what cannot be known while compiling.
    """
    walk = _walked(mod)
    main = mod["main"]
    results = [_operand(walk, f, "the result") for f in _fields(walk, main.body.body)]
    copies = _claim_outputs(results, len(walk.calls))
    places, arena_bytes, live = _place(walk, scratch_bytes)
    scratch = places[len(places) - len(walk.calls) :]
    where = {id(t): Buffer("arena", at) for t, at in zip(walk.made, places, strict=False)}
    calls = [
        _call(walk.mod, name, [_buffer(v, where) for v in operands], at, scratch_bytes)
        for (name, operands), at in zip(walk.calls, scratch, strict=True)
    ]
    kinds = list(main.body.body.ty.fields)
    outputs = _tensors(kinds, output_names(mod, len(kinds)))
    inputs = [(p.ty, *nodes_of(mod, [str(p.name)])) for p in main.params]
    return Program(
        _tensors([kind for kind, _ in inputs], [name for _, name in inputs]),
        outputs,
        tuple(calls),
        tuple(Copy(_buffer(v, where), i, outputs[i].size_bytes) for i, v in copies),
        bytes(walk.parameters),
        arena_bytes,
        tuple(live[: len(calls)]),
        task_bytes,
    )


def require_static(mod: IRModule) -> None:
    """Raise what `plan` would raise, before kernels of unknown shapes are lowered."""
    _walked(mod)


def _walked(mod: IRModule) -> _Walk:
    walk = _Walk(mod)
    for number, param in enumerate(mod["main"].params):
        walk.values[param] = _Given(Buffer("input", number))
    for block in mod["main"].body.blocks:
        for binding in block.bindings:
            _read(walk, binding)
    return walk


def size_bytes(tensor: relax.TensorType) -> int:
    """Bytes of a tensor of known shape."""
    extents = [int(d) for d in tensor.shape.values]
    return math.prod(extents) * np.dtype(_numpy_name(str(tensor.dtype))).itemsize


def _numpy_name(dtype: str) -> str:
    return {"bfloat16": "uint16"}.get(dtype, dtype)


def _tensors(types: Sequence[relax.TensorType], names: Sequence[str]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name, str(ty.dtype), tuple(int(d) for d in ty.shape.values), size_bytes(ty))
        for name, ty in zip(names, types, strict=True)
    )


def _read(walk: _Walk, binding: relax.Binding) -> None:
    """Note what a binding makes or calls."""
    var = binding.var
    (name,) = nodes_of(walk.mod, [str(var.name)])
    if isinstance(binding, relax.MatchCast):
        raise _refused(name, "its shape is only known when the model runs")
    value = binding.value
    if isinstance(value, relax.If):
        raise _refused(name, "it runs one branch or the other")
    if isinstance(value, relax.Tuple) or value in walk.tuples:
        walk.tuples[var] = _fields(walk, value)
    elif isinstance(value, relax.ShapeExpr):
        return  # a call that needs it is refused
    elif not isinstance(value, relax.Call):
        walk.values[var] = _operand(walk, value, name)
    elif isinstance(value.op, GlobalVar):
        _note_call(walk, value, name)
    elif isinstance(value.op, Op) and value.op.name == "relax.builtin.alloc_tensor":
        made = _Made(_static_bytes(var, name), len(walk.calls), len(walk.calls))
        walk.made.append(made)
        walk.values[var] = made
    elif isinstance(value.op, Op) and value.op.name == "relax.reshape":
        walk.values[var] = _operand(walk, value.args[0], name)  # the same memory
    else:
        raise _refused(name, _why(value))


def _note_call(walk: _Walk, call: relax.Call, name: str) -> None:
    kernel = str(call.op.name_hint)
    if not isinstance(walk.mod[call.op], tirx.PrimFunc):
        raise _refused(name, f"it calls the function {kernel}, a loop or a branch")
    number = len(walk.calls)
    fields = [f for a in call.args for f in _fields(walk, a)]
    operands = [_operand(walk, f, name) for f in fields]
    for operand in operands:
        if isinstance(operand, _Made):
            operand.last = number
    walk.calls.append((kernel, operands))


def _fields(walk: _Walk, value: relax.Expr) -> list[relax.Expr]:
    """What a tuple, or a name of one, is made of; anything else by itself."""
    if isinstance(value, relax.Tuple):
        return list(value.fields)
    return walk.tuples.get(value, [value])


def _operand(walk: _Walk, value: relax.Expr, name: str) -> _Value:
    """The memory that an expression stands for."""
    if isinstance(value, relax.Var):
        if value not in walk.values:
            raise _refused(name, f"it needs {value.name}, which is no tensor of known shape")
        return walk.values[value]
    if isinstance(value, relax.TupleGetItem):
        return _operand(walk, _fields(walk, value.tuple_value)[int(value.index)], name)
    if hasattr(getattr(value, "value", None), "numpy"):
        return _Given(Buffer("parameter", _constant(walk, value.value.numpy())))
    raise _refused(name, f"it needs a value of kind {type(value).__name__}")


def _constant(walk: _Walk, value: np.ndarray) -> int:
    """Where a constant is in the parameters; equal bytes are stored once."""
    content = np.ascontiguousarray(value).tobytes()
    if content not in walk.constants:
        walk.constants[content] = len(walk.parameters)
        walk.parameters += content + bytes(aligned(len(content)) - len(content))
    return walk.constants[content]


def _static_bytes(var: relax.Var, name: str) -> int:
    shape = var.ty.shape
    if shape is None or not all(isinstance(d, int | tirx.IntImm) for d in shape.values):
        raise _refused(name, "its shape is only known when the model runs")
    return size_bytes(var.ty)


def _claim_outputs(results: Sequence[_Value], end: int) -> list[tuple[int, _Value]]:
    """Let kernels write results where the caller wants them; returns those to be copied."""
    copies: list[tuple[int, _Value]] = []
    for number, value in enumerate(results):
        if isinstance(value, _Made) and value.output is None:
            value.output = number
        else:
            copies.append((number, value))
    for _, value in copies:
        if isinstance(value, _Made):
            value.last = end
    return copies


def _place(walk: _Walk, scratch_bytes: Mapping[str, int]) -> tuple[list[int], int, list[int]]:
    """Places of the tensors that `main` made, then of each call's temporaries; the bytes of the
    arena; and those alive at each call."""
    intervals = [
        Interval(0 if t.output is not None else t.size_bytes, t.first, t.last) for t in walk.made
    ]
    for number, (kernel, _) in enumerate(walk.calls):
        intervals.append(Interval(scratch_bytes.get(kernel, 0), number, number))
    places, arena_bytes = pack(intervals)
    return places, arena_bytes, alive(intervals)


def _buffer(value: _Value, where: Mapping[int, Buffer]) -> Buffer:
    if isinstance(value, _Given):
        return value.buffer
    return where[id(value)] if value.output is None else Buffer("output", value.output)


def _call(
    mod: IRModule, kernel: str, operands: list[Buffer], at: int, scratch_bytes: Mapping[str, int]
) -> Call:
    func = mod[kernel]
    attrs = func.attrs or {}
    variables = [str(s) for s in attrs[SOURCES]] if SOURCES in attrs else []
    sources = nodes_of(mod, variables)
    macs = macs_of(func)
    return Call(kernel, tuple(operands), sources, macs, at, scratch_bytes.get(kernel, 0))


def _why(call: relax.Call) -> str:
    callee = str(getattr(call.op, "global_symbol", getattr(call.op, "name", call.op)))
    if callee in ("relax.call_dps_packed", "relax.call_pure_packed"):
        callee = str(getattr(call.args[0], "global_symbol", callee))
    if callee.startswith(DATA_DEPENDENT):
        return "its shape is only known when the model runs"
    return f"it needs {callee.removeprefix('relax.')} of TVM's runtime library"


def _refused(name: str, why: str) -> ToolchainError:
    return ToolchainError(f"{name}: {why}, which a program without TVM cannot do", hint=HINT)
