"""exp, tanh and sigmoid of float32 as polynomials, which LLVM turns into vector code.

Left alone, TVM calls the C library once an element: an efficient-net spends most of its time there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tvm import ir, tirx
from tvm.ir import Op

from dlcc.targets.cpu.lowering import Lower, lowered_by

ATTR = "llvm.FLowerIntrinsic"
DEFAULT = "default.FLowerIntrinsic"  # what counts for an operator without a rule for LLVM


@contextmanager
def vector_math() -> Iterator[None]:
    """Within it, code generation for CPUs lowers float32 exp, tanh and sigmoid to polynomials.

    TVM keeps these rules for the whole process; on leaving, its own are back.
    """
    ops = {name: Op.get(name) for name in RULES}
    before = {name: op.get_attr(ATTR) or op.get_attr(DEFAULT) for name, op in ops.items()}
    rules = {name: _float32_only(rule, before[name]) for name, rule in RULES.items()}
    with lowered_by(ATTR, rules):
        yield


def exp(x: ir.Expr) -> ir.Expr:
    """e**x to 1 ulp for normal results; inf above 88.73, 0 below -103.97, nan for nan.

    x = n ln 2 + f, e**x = 2**n e**f. Polynomial and split of ln 2: Cephes, expf.c (S. Moshier).
    """
    f32 = _constants(x)
    # `max(c, x)` keeps a nan in x, `max(x, c)` does not: both are a compare and a select
    x = tirx.max(f32(-104.0), x)
    x = tirx.min(f32(89.0), x)
    # adding 1.5 * 2**23 rounds to the nearest integer and leaves it in the low bits of the sum
    magic = 12582912.0
    shifted = _var("shifted", x)
    n_bits = tirx.reinterpret(_like(x, "int32"), shifted)
    n = _var("n", n_bits)
    f = _var("f", x)
    p = f32(1.9875691500e-4)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * f + f32(c)
    p = p * f * f + f + f32(1.0)
    # 2**n in two halves: n reaches 129 and -150, which one exponent cannot hold
    half = _var("half", n_bits)
    value = p * _power_of_two(half) * _power_of_two(n - half)
    value = tirx.Let(half, n >> _int(n, 1), value)
    whole = shifted - f32(magic)
    value = tirx.Let(f, x - whole * f32(0.693359375) - whole * f32(-2.12194440e-4), value)
    value = tirx.Let(n, n_bits - _int(n, 0x4B400000), value)
    return tirx.Let(shifted, x * f32(1.44269504088896341) + f32(magic), value)


def sigmoid(x: ir.Expr) -> ir.Expr:
    """1 / (1 + e**-x)."""
    one = _constants(x)(1.0)
    return one / (one + exp(_constants(x)(0.0) - x))


def tanh(x: ir.Expr) -> ir.Expr:
    """tanh to 2 ulp; right for inf and nan. Source: Cephes, tanhf.c (S. Moshier)."""
    f32 = _constants(x)
    z, size = _var("z", x), _var("size", x)
    p = f32(-5.70498872745e-3)
    for c in (2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1):
        p = p * z + f32(c)
    near = (p * z + f32(1.0)) * x  # not `p * z * x + x`, which is 0.0 for -0.0
    far = _var("far", x)
    value = tirx.Select(x < f32(0.0), f32(0.0) - far, far)
    value = tirx.Select(size < f32(0.625), near, value)
    value = tirx.Let(z, x * x, value)
    # bound to a name: TVM's simplifier visits the sides of a select twice, and a `Let` only once
    value = tirx.Let(far, f32(1.0) - f32(2.0) / (exp(size + size) + f32(1.0)), value)
    return tirx.Let(size, tirx.Select(x < f32(0.0), f32(0.0) - x, x), value)


RULES: dict[str, Lower] = {"tirx.exp": exp, "tirx.sigmoid": sigmoid, "tirx.tanh": tanh}


def _plain_sigmoid(x: ir.Expr) -> ir.Expr:
    """Sigmoid of other dtypes, for which TVM has no rule for CPUs."""
    one = _constants(x)(1.0)
    return one / (one + tirx.exp(_constants(x)(0.0) - x))


def _float32_only(rule: Lower, otherwise: Lower | None) -> Lower:
    """`rule` for float32, and for float16 through float32; other dtypes as before."""

    def lower(call: ir.Expr) -> ir.Expr:
        (x,) = call.args
        dtype = _dtype(x)
        if dtype.startswith("float16"):
            wide = tirx.Cast(dtype.replace("float16", "float32"), x)
            name = _var("x", wide)
            return tirx.Cast(dtype, tirx.Let(name, wide, rule(name)))
        if not dtype.startswith("float32"):
            return otherwise(call) if otherwise is not None else _plain_sigmoid(x)
        name = _var("x", x)
        return tirx.Let(name, x, rule(name))

    return lower


def _dtype(x: ir.Expr) -> str:
    return str(x.dtype if hasattr(x, "dtype") else x.ty.dtype)


def _like(x: ir.Expr, scalar: str) -> str:
    return _dtype(x).replace("float32", scalar)


def _var(name: str, like: ir.Expr) -> ir.Expr:
    return tirx.Var(name, _dtype(like))


def _constants(like: ir.Expr) -> Callable[[float], ir.Expr]:
    return lambda value: tirx.const(value, _dtype(like))


def _int(like: ir.Expr, value: int) -> ir.Expr:
    return tirx.const(value, _dtype(like))


def _power_of_two(n: ir.Expr) -> ir.Expr:
    bits = (n + _int(n, 127)) << _int(n, 23)
    return tirx.reinterpret(_dtype(n).replace("int32", "float32"), bits)
