"""Kernels of a model as models of their own, so that one is built and measured like the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm_ffi
from tvm import relax, tirx
from tvm.ir import GlobalVar, IRModule
from tvm.ir.expr import TensorLoad

from dlcc.targets.traces import kernel_key

WIDE = ("int32", "int64", "uint32", "uint64")


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input of a kernel, and the random numbers that it may take: low <= x < high."""

    shape: tuple[int, ...]
    dtype: str
    low: float
    high: float

    def random(self, generator: np.random.Generator) -> np.ndarray:
        if self.dtype == "bool":
            return generator.integers(0, 2, self.shape).astype(bool)
        if self.dtype.startswith(("int", "uint")):
            made = generator.integers(int(self.low), int(self.high), self.shape, "int64")
            return made.astype(self.dtype)
        return _floats(generator.uniform(self.low, self.high, self.shape), self.dtype)


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unscheduled kernel of a model.

    key: names what it computes, the same for equal kernels.   outputs: how many tensors it writes,
    its last parameters.   calls: how often an inference calls it, as far as loops are not run."""

    key: str
    name: str
    func: tirx.PrimFunc
    outputs: int
    calls: int

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it is measured with."""
        indirect = reads_indirectly(self.func)
        given = self.func.params[: len(self.func.params) - self.outputs]
        return tuple(_tensor(p.ty, indirect) for p in given)

    def alone(self) -> IRModule:
        """A model that calls this kernel and nothing else.

        main(x0, x1, …) = (call_tir(kernel, (x0, x1, …)),)"""
        types = [relax.TensorType(_shape(p.ty), str(p.ty.dtype)) for p in self.func.params]
        split = len(types) - self.outputs
        args = [relax.Var(f"x{i}", t) for i, t in enumerate(types[:split])]
        bb = relax.BlockBuilder()
        kernel = bb.add_func(self.func, self.name)
        with bb.function("main", args):
            with bb.dataflow():
                made = bb.emit(relax.call_tir(kernel, relax.Tuple(args), types[split:]))
                parts = [made] if self.outputs == 1 else [made[i] for i in range(self.outputs)]
                out = bb.emit_output(relax.Tuple(parts))
            bb.emit_func_output(out)
        return bb.get()


def kernels_of(mod: IRModule) -> list[Kernel]:
    """The kernels of a module of unscheduled kernels that can stand alone, each once.

    Left out are those with shapes that are not known, those that write into their arguments, and
    those that came with a schedule."""
    outputs: dict[str, int] = {}
    calls: dict[str, int] = {}
    for name, count in _calls(mod):
        outputs[name] = count
        calls[name] = calls.get(name, 0) + 1
    found: dict[str, Kernel] = {}
    for name in sorted(calls):
        func = mod[name]
        if not isinstance(func, tirx.PrimFunc) or not stands_alone(func):
            continue
        key = kernel_key(func)
        before = found[key].calls if key in found else 0
        found[key] = Kernel(key, name, func, outputs[name], calls[name] + before)
    return list(found.values())


def stands_alone(func: tirx.PrimFunc) -> bool:
    """Whether a kernel can be called with tensors of known shapes and has no schedule yet."""
    if func.attrs is not None and "tirx.is_scheduled" in func.attrs.keys():  # noqa: SIM118
        return False
    return all(hasattr(p.ty, "shape") and _shape(p.ty) is not None for p in func.params)


def reads_indirectly(func: tirx.PrimFunc) -> bool:
    """Whether an element that is read tells where another is read: its numbers are indices."""
    found = False

    def visit_index(node: Any) -> None:
        nonlocal found
        found = found or isinstance(node, TensorLoad)

    def visit(node: Any) -> None:
        if isinstance(node, TensorLoad):
            for index in node.indices:
                tvm_ffi.structural_walk(index, visit_index)

    tvm_ffi.structural_walk(func.body, visit)
    return found


def _calls(mod: IRModule) -> Iterator[tuple[str, int]]:
    """Each call of a kernel: its name, and how many tensors it gives."""
    for var in mod.get_global_vars():
        func = mod[var]
        if isinstance(func, relax.Function):
            yield from _calls_in(func.body)


def _calls_in(body: Any) -> Iterator[tuple[str, int]]:
    for block in getattr(body, "blocks", ()):
        for binding in block.bindings:
            value = binding.value
            if isinstance(value, relax.If):
                yield from _calls_in(value.true_branch)
                yield from _calls_in(value.false_branch)
            elif isinstance(value, relax.Call) and _is_call_tir(value) and len(value.args) == 2:
                (made,) = value.ty_args
                count = len(made.fields) if isinstance(made, relax.TupleType) else 1
                yield str(value.args[0].name_hint), count


def _is_call_tir(call: relax.Call) -> bool:
    named = str(getattr(call.op, "name", "")) == "relax.call_tir"
    return named and isinstance(call.args[0], GlobalVar)


def _shape(kind: Any) -> tuple[int, ...] | None:
    """Extents of a tensor; None where one is not known."""
    if not all(isinstance(e, int | tirx.IntImm) for e in kind.shape):
        return None
    return tuple(int(e) for e in kind.shape)


def _tensor(kind: Any, indirect: bool) -> Tensor:
    shape, dtype = _shape(kind), str(kind.dtype)
    assert shape is not None
    if dtype in WIDE:
        return Tensor(shape, dtype, 0, 1 if indirect else 100)
    if dtype.startswith("int"):
        return Tensor(shape, dtype, -100, 100)
    if dtype.startswith("uint"):
        return Tensor(shape, dtype, 0, 200)
    return Tensor(shape, dtype, -1.0, 1.0)


def _floats(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype != "bfloat16":
        return values.astype(dtype)
    import ml_dtypes

    return values.astype(ml_dtypes.bfloat16)


def random_inputs(tensors: Sequence[Tensor], seed: int) -> list[np.ndarray]:
    """The same numbers for the same seed, in every process."""
    generator = np.random.default_rng(seed)
    return [tensor.random(generator) for tensor in tensors]
