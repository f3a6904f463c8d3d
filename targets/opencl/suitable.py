"""Which kernels OpenCL can run, by the types and functions that they use."""

from __future__ import annotations

import math

from tvm import tirx
from tvm.ir import Call, Expr, Op
from tvm.tirx.buffer import BufferType
from tvm_ffi import StructuralVisitor, structural_visit

from dlcc.targets.cpu.matmul import static

# What OpenCL C has, or what is made of it. Source: OpenCL C 1.2, 6.12.2 and 6.12.6.
FUNCTIONS = frozenset(
    (
        *("exp", "exp2", "exp10", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "pow", "fmod"),
        *("floor", "ceil", "round", "trunc", "nearbyint", "fabs", "copysign", "ldexp", "hypot"),
        *("sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "atan2"),
        *("asinh", "acosh", "atanh", "erf", "sigmoid", "popcount", "isnan", "reinterpret"),
        *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "shift_left", "shift_right"),
        *("if_then_else", "likely"),
    )
)
TYPES = frozenset(
    ("bool", "float32", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
)
# Of whole numbers alone, up to so many, a kernel computes shapes and indices: what it makes is
# read by the CPU, and a launch costs more than the work.
FEW = 4096


def why_not(kernel: tirx.PrimFunc, fp16: bool) -> str:
    """Why a kernel cannot or should not run on OpenCL; "" where it can.

    fp16: whether the device computes in half precision."""
    types, functions = _used(kernel)
    known = TYPES | ({"float16"} if fp16 else set())
    if odd := sorted(types - known):
        return f"it computes in {odd[0]}, which the device does not"
    if odd := sorted(functions - FUNCTIONS):
        return f"OpenCL has no {odd[0]}"
    buffers = [p.ty for p in kernel.params if isinstance(p.ty, BufferType)]
    if all(_is_whole(b) for b in buffers) and sum(_size(b) for b in buffers) <= FEW:
        return "it computes a few whole numbers"
    return ""


def _used(kernel: tirx.PrimFunc) -> tuple[set[str], set[str]]:
    """Types of numbers, of one lane, and functions that a kernel uses."""
    types: set[str] = set()
    functions: set[str] = set()

    def each(expr: Expr, visitor: StructuralVisitor) -> None:
        if isinstance(expr, Call) and isinstance(expr.op, Op):
            functions.add(str(expr.op.name).split(".")[-1])  # tirx.exp, prim.ceil
        if (dtype := _dtype(expr)) and dtype != "handle":
            types.add(dtype.split("x", maxsplit=1)[0])
        visitor.default_visit(expr)

    structural_visit(kernel, [(Expr, each)])
    return types, functions


def _dtype(expr: Expr) -> str:
    dtype = getattr(expr, "dtype", None) or getattr(getattr(expr, "ty", None), "dtype", None)
    return str(dtype) if dtype is not None else ""


def _size(buffer: BufferType) -> int:
    """Elements of a buffer; an extent that is known when it runs counts as 1."""
    return math.prod(static(e) or 1 for e in buffer.shape)


def _is_whole(buffer: BufferType) -> bool:
    return not str(buffer.dtype).startswith(("float", "bfloat"))
