"""exp, tanh, sigmoid and erf of float32 as polynomials, which LLVM turns into vector code.

Left alone, TVM calls the C library once an element: an efficient-net spends most of its time there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tvm import ir, tirx
from tvm.ir import Op

from dlcc.targets.cpu.lowering import Lower, lowered_by

ATTR = "llvm.FLowerIntrinsic"
DEFAULT = "default.FLowerIntrinsic"  # what counts for an operator without a rule for LLVM


@contextmanager
def vector_math() -> Iterator[None]:
    """Within it, code generation for CPUs lowers float32 exp, tanh, sigmoid and erf to polynomials.

    TVM keeps these rules for the whole process; on leaving, its own are back.
    """
    ops = {name: Op.get(name) for name in RULES}
    before = {name: op.get_attr(ATTR) or op.get_attr(DEFAULT) for name, op in ops.items()}
    rules = {name: _float32_only(rule, before[name]) for name, rule in RULES.items()}
    with lowered_by(ATTR, rules):
        yield


# Minimax of (e**x - 1 - x) / x**2 in x up to ln(2) / 2: 3.1e-9 of e**x. Highest power first. Fitted
# with Lawson's weights, as are those of erf.
EXP = (1.3814583746e-3, 8.3687239543e-3, 4.1668388735e-2, 1.6666520573e-1, 4.9999993444e-1)


def exp(x: ir.Expr) -> ir.Expr:
    """e**x to 1 ulp for normal results; inf above 88.73, 0 below -103.97, nan for nan.

    e**x = 2**n e**f, with x = n ln 2 + f. Split of ln 2, the first part of which n multiplies
    exactly: Cephes, expf.c (S. Moshier)."""
    f32 = _constants(x)
    # `max(c, x)` keeps a nan in x, `max(x, c)` does not: both are a compare and a select
    x = tirx.min(f32(89.0), tirx.max(f32(-104.0), x))
    # adding 1.5 * 2**23 rounds to the nearest integer and leaves it in the low bits of the sum
    magic = 12582912.0
    shifted = _var("shifted", x)
    n_bits = _bits(shifted)
    n, f, one_f = _var("n", n_bits), _var("f", x), _var("one_f", x)
    # 1 + f is rounded; what that cuts off comes back with the small terms
    p = one_f + (_polynomial(EXP, f) * f * f + (f32(1.0) - one_f + f))
    value = tirx.Let(one_f, f32(1.0) + f, _times_power_of_two(p, n))
    value = tirx.Let(f, _less_whole_ln2(x, shifted - f32(magic)), value)
    value = tirx.Let(n, n_bits - _int(n, 0x4B400000), value)
    return tirx.Let(shifted, x * f32(1.44269504088896341) + f32(magic), value)


def _less_whole_ln2(x: ir.Expr, whole: ir.Expr) -> ir.Expr:
    f32 = _constants(x)
    return x - whole * f32(0.693359375) - whole * f32(-2.12194440e-4)


def _times_power_of_two(p: ir.Expr, n: ir.Expr) -> ir.Expr:
    """p 2**n in two steps: n reaches 129 and -150, which one exponent cannot hold."""
    half = _var("half", n)
    return tirx.Let(half, n >> _int(n, 1), p * _power_of_two(half) * _power_of_two(n - half))


def _near_exp(x: ir.Expr) -> ir.Expr:
    """e**x to 1.5 ulp for x from -88 to 88; 0 where it is less than 2**-126.5."""
    f32 = _constants(x)
    # as in `exp`, with the exponent's bias in the low bits too
    magic = 12582912.0 + 127.0
    shifted = _var("shifted", x)
    f, whole = _var("f", x), shifted - f32(magic)
    power = tirx.reinterpret(_dtype(x), _bits(shifted) << _int(_bits(shifted), 23))
    value = _polynomial((*EXP, 1.0, 1.0), f) * power
    value = tirx.Let(f, _less_whole_ln2(x, whole), value)
    return tirx.Let(shifted, x * f32(1.44269504088896341) + f32(magic), value)


def sigmoid(x: ir.Expr) -> ir.Expr:
    """1 / (1 + e**-x) to 2 ulp. Below 0 it is s = e**x / (1 + e**x) as e**x - s e**x, where the
    rounding of the quotient is lost in the difference; above 0, 1 - s likewise."""
    f32 = _constants(x)
    e, below, top = _var("e", x), _var("below", x), _var("top", x)
    value = top - top * (e / (f32(1.0) + e))
    # by its sign bit, which vector units select by without a comparison
    value = tirx.Let(top, tirx.Select(_bits(x) < _int(_bits(x), 0), e, f32(1.0)), value)
    value = tirx.Let(e, _near_exp(tirx.max(f32(-88.0), below)), value)
    return tirx.Let(below, _negative(x), value)


def tanh(x: ir.Expr) -> ir.Expr:
    """tanh to 2 ulp; right for inf and nan. Source: Cephes, tanhf.c (S. Moshier)."""
    f32 = _constants(x)
    z, size, twice = _var("z", x), _var("size", x), _var("twice", x)
    near = (_polynomial(TANH, z) * z + f32(1.0)) * x  # `p * z * x + x` would be 0.0 for -0.0
    far = _var("far", x)
    value = tirx.Select(size < f32(0.625), near, _with_sign(far, x))
    value = tirx.Let(z, x * x, value)
    # bound to a name: TVM's simplifier visits the sides of a select twice, and a `Let` only once
    e = _near_exp(twice)
    value = tirx.Let(far, f32(1.0) - f32(2.0) / (e + f32(1.0)), value)
    # tanh of 10 is 1
    value = tirx.Let(twice, tirx.min(f32(20.0), size + size), value)
    return tirx.Let(size, _abs(x), value)


TANH = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)

# Minimax of (erf x) / x - 1 in x**2 up to 0.92 (3.9e-10 of erf), and of -log(erfc x) / x in x from
# 0.9 to 4 (3.1e-9 of erf); highest power first. Fitted to scipy.special.
ERF_NEAR = (
    8.3824260403e-5, -8.1456073848e-4, 5.2012871345e-3, -2.6859500647e-2,
    1.1283697339e-1, -3.7612633856e-1, 1.2837916665e-1,
)  # fmt: skip
ERF_FAR = (
    -2.1454966593e-4, 3.2196034158e-3, -2.2904844255e-2,
    1.0528501392e-1, 6.3570075678e-1, 1.1285195449,
)  # fmt: skip


def erf(x: ir.Expr) -> ir.Expr:
    """erf to 1 ulp: x + x p(x**2) up to 0.92, 1 - e**(-x q(x)) beyond; 1 from 4 on."""
    f32 = _constants(x)
    size, near, far, q = (_var(name, x) for name in ("size", "near", "far", "q"))
    value = tirx.Select(size < f32(0.92), near, _with_sign(far, x))
    e = _near_exp(f32(0.0) - q * _polynomial(ERF_FAR, q))
    value = tirx.Let(far, f32(1.0) - e, value)
    value = tirx.Let(q, tirx.min(f32(4.0), size), value)
    value = tirx.Let(near, x + x * _polynomial(ERF_NEAR, x * x), value)
    return tirx.Let(size, _abs(x), value)


RULES: dict[str, Lower] = {
    "tirx.exp": exp,
    "tirx.sigmoid": sigmoid,
    "tirx.tanh": tanh,
    "tirx.erf": erf,
}


def _polynomial(coefficients: Sequence[float], x: ir.Expr) -> ir.Expr:
    """By Horner's rule, the highest power first."""
    f32 = _constants(x)
    value = f32(coefficients[0])
    for c in coefficients[1:]:
        value = value * x + f32(c)
    return value


def _abs(x: ir.Expr) -> ir.Expr:
    return tirx.reinterpret(_dtype(x), _bits(x) & _int(_bits(x), 0x7FFFFFFF))


def _negative(x: ir.Expr) -> ir.Expr:
    return tirx.reinterpret(_dtype(x), _bits(x) | _int(_bits(x), -0x80000000))


def _with_sign(size: ir.Expr, sign: ir.Expr) -> ir.Expr:
    """`size`, which is not negative, with the sign of the other."""
    bits = _bits(size) | (_bits(sign) & _int(_bits(sign), -0x80000000))
    return tirx.reinterpret(_dtype(size), bits)


def _bits(x: ir.Expr) -> ir.Expr:
    return tirx.reinterpret(_like(x, "int32"), x)


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
