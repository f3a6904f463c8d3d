"""Kernels of a user as functions of the module: the call of what is in a source, and its launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tvm import te, tirx

from dlcc.targets.user.kernel import ATTRIBUTE, UserKernel

Number: TypeAlias = "int | float | tirx.Expr"  # an expression is a size that is open
AXES = "xyz"
PIECES = 64  # that the parts of a kernel in C are dealt out in: more than a phone has cores
OPAQUE = 8  # TVM's OpPatternKind of a kernel that nothing is fused with

C_TYPES = {
    "bool": "uint8_t", "float32": "float", "float64": "double",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
OPENCL_TYPES = {
    "bool": "char", "float32": "float", "float64": "double",
    "int8": "char", "int16": "short", "int32": "int", "int64": "long",
    "uint8": "uchar", "uint16": "ushort", "uint32": "uint", "uint64": "ulong",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor that a kernel reads or writes."""

    shape: tuple[int | tirx.Expr, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Work-groups along up to three axes, and work-items of each."""

    groups: tuple[int | tirx.Expr, ...]
    items: tuple[int, ...]


def c_prototype(function: str, reads: Sequence[str], writes: Sequence[str], rest: str) -> str:
    """How a function in C is declared. reads, writes: dtypes.

    rest: "i" for each whole number behind them, "f" for each float, "p" for a part."""
    types = [f"const {C_TYPES[d]} *" for d in reads] + [f"{C_TYPES[d]} *" for d in writes]
    types += [{"i": "int64_t", "f": "float", "p": "int32_t"}[kind] for kind in rest]
    return f"void {function}({', '.join(types)});"


def opencl_prototype(function: str, reads: Sequence[str], writes: Sequence[str], rest: str) -> str:
    """The same in OpenCL C."""
    types = [f"__global const {OPENCL_TYPES[d]} *" for d in reads]
    types += [f"__global {OPENCL_TYPES[d]} *" for d in writes]
    types += ["long" if kind == "i" else "float" for kind in rest]
    return f"void {function}({', '.join(types)});"


def attributes(kernel: UserKernel) -> dict[str, Any]:
    """Of the function of a kernel: rules of schedules and of fusion leave it as it is."""
    return {ATTRIBUTE: kernel.attribute(), "tirx.is_scheduled": 1, "op_pattern": OPAQUE}


def calling(
    kernel: UserKernel,
    outputs: Sequence[Array],
    numbers: Sequence[Number],
    launch: Launch | None = None,
    parts: Number | None = None,
) -> Callable[..., Any]:
    """A tensor expression whose body is a call of the function in the source.

    launch: of OpenCL C.   parts: of C: how many there are, which threads share; each call is told
    the first of its parts and the one behind its last.
    Its operands are the kernel's, and what computes the same elsewhere, which it leaves alone."""

    def compute(*operands: te.Tensor) -> Any:
        def emit(ins: Sequence[Any], outs: Sequence[Any]) -> tirx.Stmt:
            pointers = [b.data for b in (*ins[: kernel.inputs], *outs)]

            def call(*more: tirx.Expr) -> tirx.Stmt:
                arguments = [*pointers, *map(_number, numbers), *more]
                return tirx.Evaluate(tirx.call_extern("void", kernel.symbol, *arguments))

            return _launched(call(), launch) if parts is None else _shared(call, parts)

        shapes, dtypes = [o.shape for o in outputs], [o.dtype for o in outputs]
        return te.extern(shapes, list(operands), emit, dtype=dtypes, name=kernel.function)

    return compute


def _number(value: Number) -> tirx.Expr:
    if isinstance(value, float):
        return tirx.const(value, "float32")
    return tirx.const(value, "int64") if isinstance(value, int) else tirx.Cast("int64", value)


def _shared(call: Callable[..., tirx.Stmt], parts: Number) -> tirx.Stmt:
    """Calls for a piece of the parts each, in parallel.

    Numbers of parts are int32: TVM would narrow those of 64 bits that depend on a loop, and the
    function would be called with other arguments than it takes."""
    count = _number(parts)
    pieces = tirx.min(count, tirx.const(PIECES, "int64"))
    piece = tirx.Var("piece", "int64")
    first = tirx.floordiv(piece * count, pieces)
    behind = tirx.floordiv((piece + 1) * count, pieces)
    zero = tirx.const(0, "int64")
    body = call(tirx.Cast("int32", first), tirx.Cast("int32", behind))
    return tirx.For(piece, zero, pieces, tirx.ForKind.PARALLEL, body)


def _launched(body: tirx.Stmt, launch: Launch | None) -> tirx.Stmt:
    """The call by every work-item."""
    if launch is None:
        return body
    extents = [(f"threadIdx.{a}", n) for a, n in zip(AXES, launch.items, strict=False)]
    extents += [(f"blockIdx.{a}", n) for a, n in zip(AXES, launch.groups, strict=False)]
    for tag, extent in extents:
        dtype = "int32" if isinstance(extent, int) else str(extent.ty.dtype)
        var = tirx.Var(tag.replace(".", "_"), dtype)
        axis = tirx.IterVar(None, var, tirx.IterVar.ThreadIndex, tag)
        count = tirx.const(extent, dtype) if isinstance(extent, int) else extent
        kind = tirx.ForKind.THREAD_BINDING
        body = tirx.For(var, tirx.const(0, dtype), count, kind, body, axis)
    return body
