"""Functions that TVM has no rule for in OpenCL C, or that of C for the CPU (`atanf`)."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tvm import ir, tirx

from dlcc.targets.cpu.lowering import Lower, lowered_by

# Called by their own names for every type. Source: OpenCL C 1.2, 6.12.2.
BY_NAME = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "atan2", "tan"),
    *("copysign", "hypot", "ldexp", "log1p", "nextafter", "rsqrt"),
)


def opencl_functions() -> AbstractContextManager[None]:
    """Within it, code generation for OpenCL knows them."""
    return lowered_by("opencl.FLowerIntrinsic", RULES)


def _by_name(call: ir.Expr) -> ir.Expr:
    name = str(call.op.name).split(".")[-1]
    return tirx.call_pure_extern(str(call.ty.dtype), name, *call.args)


def _sigmoid(call: ir.Expr) -> ir.Expr:
    """1 / (1 + e**-x)."""
    (x,) = call.args
    one = tirx.const(1.0, str(x.ty.dtype))
    return one / (one + tirx.exp(-x))


RULES: dict[str, Lower] = {
    **{f"tirx.{name}": _by_name for name in BY_NAME},
    "tirx.sigmoid": _sigmoid,
}
