"""Functions that TVM has no rule for in OpenCL C, or that of C for the CPU (`atanf`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tvm import ir, tirx
from tvm.ir import Op

Lower = Callable[[ir.Expr], ir.Expr]

ATTR = "opencl.FLowerIntrinsic"
LEVEL = 99  # above TVM's own rules

# Called by their own names for every type. Source: OpenCL C 1.2, 6.12.2.
BY_NAME = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "atan2", "tan"),
    *("copysign", "hypot", "ldexp", "log1p", "nextafter", "rsqrt"),
)


@contextmanager
def opencl_functions() -> Iterator[None]:
    """Within it, code generation for OpenCL knows them.

    TVM keeps these rules for the whole process; on leaving, its own are back."""
    before = {name: Op.get(name).get_attr(ATTR) for name in RULES}
    for name, rule in RULES.items():
        _set(name, rule)
    try:
        yield
    finally:
        for name, old in before.items():
            _set(name, old)


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


def _set(name: str, rule: Lower | None) -> None:
    op = Op.get(name)
    op.reset_attr(ATTR)
    if rule is not None:
        op.set_attr(ATTR, rule, LEVEL)
