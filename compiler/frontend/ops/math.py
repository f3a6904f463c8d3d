"""Elementwise arithmetic and functions, with NumPy's broadcasting, by TensorFlow's rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, te, tirx, topi

from dlcc.compiler.frontend.broadcasting import broadcast, operands
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import Fold, OpTable

MATH = OpTable()

R = relax.op
Call = Callable[..., relax.Expr]


def pointwise(g: Emitter, x: relax.Expr, f: Callable[[Any], Any], name: str) -> relax.Expr:
    """Emit a kernel that applies `f` to each element."""

    def compute(t: te.Tensor) -> te.Tensor:
        return te.compute(t.shape, lambda *i: f(t(*i)), name=name, tag=topi.tag.ELEMWISE)

    return g.te(compute, x, name=name)


def binary_kernel(
    g: Emitter, x: relax.Expr, y: relax.Expr, f: Callable[[Any, Any], Any], name: str
) -> relax.Expr:
    """Emit a kernel that applies `f` to each pair of elements, broadcast."""
    x, y = broadcast(g, x, y)

    def compute(a: te.Tensor, b: te.Tensor) -> te.Tensor:
        return te.compute(a.shape, lambda *i: f(a(*i), b(*i)), name=name, tag=topi.tag.ELEMWISE)

    return g.te(compute, x, y, name=name)


# ---------------------------------------------------------------- unary


def _unary(names: tuple[str, ...], call: Call, fold: Callable[..., Any] | None = None) -> None:
    """One row for functions that Relax has with TensorFlow's meaning."""

    def convert(g: Emitter, node: Node) -> relax.Expr:
        return call(g.arg(node, 0))

    convert.__name__ = names[0].lower()
    MATH.op(*names, fold=_numpy(fold))(convert)


def _numpy(f: Callable[..., Any] | None) -> Fold | None:
    return None if f is None else lambda node, *arrays: np.asarray(f(*arrays), arrays[0].dtype)


_UNARY: tuple[tuple[tuple[str, ...], Call, Callable[..., Any] | None], ...] = (
    (("Abs",), R.abs, np.abs),
    (("Neg",), R.negative, np.negative),
    (("Ceil",), R.ceil, np.ceil),
    (("Floor",), R.floor, np.floor),
    (("Sqrt",), R.sqrt, np.sqrt),
    (("Exp",), R.exp, np.exp),
    (("Log",), R.log, np.log),
    (("Sin",), R.sin, np.sin),
    (("Cos",), R.cos, np.cos),
    (("Tan",), R.tan, np.tan),
    (("Atan",), R.atan, np.arctan),
    (("Asin",), R.asin, np.arcsin),
    (("Acos",), R.acos, np.arccos),
    (("Sigmoid",), R.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    (("Square",), lambda x: R.multiply(x, x), np.square),
)
for _row in _UNARY:
    _unary(*_row)


def _fold_rsqrt(node: Node, x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / np.sqrt(x), x.dtype)


@MATH.op("Rsqrt", fold=_fold_rsqrt)
def rsqrt(g: Emitter, node: Node) -> relax.Expr:
    return R.rsqrt(g.arg(node, 0))


def _fold_reciprocal(node: Node, x: np.ndarray) -> Any:
    return 1 / x if x.dtype.kind == "f" else None


@MATH.op("Reciprocal", "Inv", fold=_fold_reciprocal)
def reciprocal(g: Emitter, node: Node) -> relax.Expr:
    x = g.arg(node, 0)
    return R.divide(g.const(1, g.dtype(x)), x)


def _fold_round(node: Node, x: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(x), x.dtype)


@MATH.op("Round", "Rint", fold=_fold_round)
def round_(g: Emitter, node: Node) -> relax.Expr:
    """Half to even; integers are round already."""
    x = g.arg(node, 0)
    if g.dtype(x).startswith(("int", "uint")):
        return x
    return pointwise(g, x, tirx.nearbyint, "round_half_even")


# ---------------------------------------------------------------- binary


def _binary(
    names: tuple[str, ...], call: Call, fold: Callable[..., Any] | None, symbolic: bool
) -> None:
    def convert(g: Emitter, node: Node) -> relax.Expr:
        return call(*operands(g, node))

    def numpy_fold(node: Node, x: np.ndarray, y: np.ndarray) -> Any:
        assert fold is not None
        result = fold(x, y)
        return result if object in (x.dtype, y.dtype) else np.asarray(result, x.dtype)

    convert.__name__ = names[0].lower()
    MATH.op(*names, fold=numpy_fold if fold else None, symbolic=symbolic)(convert)


_BINARY: tuple[tuple[tuple[str, ...], Call, Callable[..., Any] | None, bool], ...] = (
    (("Add", "AddV2", "BiasAddV1"), R.add, np.add, True),
    (("Sub",), R.subtract, np.subtract, True),
    (("Mul",), R.multiply, np.multiply, True),
    (("Atan2",), R.atan2, np.arctan2, False),
)
for _row2 in _BINARY:
    _binary(*_row2)


@MATH.op("Sign", fold=_numpy(np.sign))
def sign(g: Emitter, node: Node) -> relax.Expr:
    """-1, 0 or 1; NaN stays, and -0.0 becomes 0.0."""

    def f(v: Any) -> Any:
        zero, one = tirx.const(0, v.ty.dtype), tirx.const(1, v.ty.dtype)
        return tirx.Select(v > zero, one, tirx.Select(v < zero, zero - one, rest(v)))

    x = g.arg(node, 0)
    rest = tirx.abs if g.dtype(x).startswith("float") else lambda v: v
    return pointwise(g, x, f, "sign")


def is_integer(dtype: str) -> bool:
    """Whether a dtype's name is that of an integer."""
    return dtype.startswith(("int", "uint"))


def or_nan(pick: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`pick`, which gives its second operand where either is NaN, made to give NaN."""

    def picked(a: Any, b: Any) -> Any:
        if is_integer(str(a.ty.dtype)):
            return pick(a, b)
        return tirx.Select(tirx.isnan(a), a, pick(a, b))

    return picked


def _fold_div(node: Node, x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind in "iu":
        return _truncated(x, y) if np.all(y != 0) else None
    return np.trunc(x / y) if node.op == "TruncateDiv" else x / y


def _truncated(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    quotient = np.abs(x) // np.abs(y)
    return np.asarray(np.where((x < 0) != (y < 0), -quotient, quotient), x.dtype)


@MATH.op("RealDiv", "Div", "TruncateDiv", fold=_fold_div)
def divide(g: Emitter, node: Node) -> relax.Expr:
    """Integers are divided toward zero."""
    x, y = g.args(node)
    if is_integer(g.dtype(x)):
        return binary_kernel(g, x, y, _safe(tirx.truncdiv), "divide")
    quotient = R.divide(*operands(g, node))
    return R.trunc(quotient) if node.op == "TruncateDiv" else quotient


def _safe(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Integer division that gives 0 for a divisor of 0, instead of a trap on x86.

    TensorFlow reports an error there; a deployed kernel has no way to.
    """

    def safe(a: Any, b: Any) -> Any:
        zero, one = tirx.const(0, b.ty.dtype), tirx.const(1, b.ty.dtype)
        divisor = tirx.Select(b == zero, one, b)
        return tirx.Select(b == zero, tirx.const(0, a.ty.dtype), f(a, divisor))

    return safe


def _fold_floor_div(node: Node, x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype == object or y.dtype == object:
        return np.frompyfunc(lambda a, b: a // b, 2, 1)(x, y)
    return None if x.dtype.kind in "iu" and np.any(y == 0) else np.floor_divide(x, y)


@MATH.op("FloorDiv", fold=_fold_floor_div, symbolic=True)
def floor_div(g: Emitter, node: Node) -> relax.Expr:
    x, y = g.args(node)
    if is_integer(g.dtype(x)):
        return binary_kernel(g, x, y, _safe(tirx.floordiv), "floor_divide")
    return R.floor(R.divide(*operands(g, node)))


def _fold_floor_mod(node: Node, x: np.ndarray, y: np.ndarray) -> Any:
    return None if x.dtype.kind in "iu" and np.any(y == 0) else np.mod(x, y)


@MATH.op("FloorMod", fold=_fold_floor_mod)
def floor_mod(g: Emitter, node: Node) -> relax.Expr:
    """The remainder with the divisor's sign."""
    x, y = g.args(node)
    if is_integer(g.dtype(x)):
        return binary_kernel(g, x, y, _safe(tirx.floormod), "floor_mod")

    def f(a: Any, b: Any) -> Any:
        rest = _fmod(a, b)
        zero = tirx.const(0, a.ty.dtype)
        other = tirx.Select(b < zero, rest > zero, rest < zero)
        return tirx.Select(other, rest + b, rest)

    return binary_kernel(g, x, y, f, "floor_mod")


def _fmod(a: Any, b: Any) -> Any:
    """The remainder with the dividend's sign: a - trunc(a / b) * b, rounded once.

    The quotient may be one off where a / b is rounded to an integer, which is set right. One that
    has more bits than the dtype is C's fmod's business.
    """
    exact, function = {"float32": (2**22, "fmodf"), "float64": (2**51, "fmod")}[str(a.ty.dtype)]
    near = tirx.abs(a / b) < tirx.const(exact, a.ty.dtype)
    far = tirx.call_pure_extern(a.ty.dtype, function, a, b)
    return tirx.if_then_else(near, _near_fmod(a, b), far)


def _near_fmod(a: Any, b: Any) -> Any:
    zero = tirx.const(0, a.ty.dtype)
    rest = tirx.op.fma(-tirx.trunc(a / b), b, a)
    size = tirx.abs(b)
    up, down = tirx.Select(a >= zero, size, -size), tirx.Select(a >= zero, -size, size)
    wrong_sign = tirx.Select(a >= zero, rest < zero, rest > zero)
    rest = tirx.Select(wrong_sign, rest + up, rest)
    rest = tirx.Select(tirx.abs(rest) >= size, rest + down, rest)
    # a finite number fits into infinity no times
    return tirx.Select(tirx.isinf(b), a, rest)


@MATH.op("Mod", "TruncateMod")
def truncate_mod(g: Emitter, node: Node) -> relax.Expr:
    """The remainder with the dividend's sign, as C has it."""
    x, y = g.args(node)
    if is_integer(g.dtype(x)):
        return binary_kernel(g, x, y, _safe(tirx.truncmod), "truncate_mod")
    return binary_kernel(g, x, y, _fmod, "truncate_mod")


@MATH.op("DivNoNan", "MulNoNan", "Xdivy", "Xlogy")
def zero_guarded(g: Emitter, node: Node) -> relax.Expr:
    """0 where the guarding operand is 0, whatever the other one is."""
    x, y = operands(g, node)
    choices: dict[str, tuple[Callable[[], relax.Expr], relax.Expr]] = {
        "DivNoNan": (lambda: R.divide(x, y), y),
        "MulNoNan": (lambda: R.multiply(x, y), y),
        "Xdivy": (lambda: R.divide(x, y), x),
        "Xlogy": (lambda: R.multiply(x, R.log(y)), x),
    }
    value, guard = choices[node.op]
    zero = g.const(0, g.dtype(x))
    return R.where(R.equal(guard, zero), zero, value())


@MATH.op("SquaredDifference")
def squared_difference(g: Emitter, node: Node) -> relax.Expr:
    d = g.emit(R.subtract(*operands(g, node)))
    return R.multiply(d, d)


@MATH.op("Pow", fold=_numpy(np.power))
def power(g: Emitter, node: Node) -> relax.Expr:
    """x ** y. Integers by repeated squaring; small constant exponents by multiplication."""
    x, y = g.args(node)
    exponent = g.known(node, 1)
    if exponent is not None and exponent.size == 1 and g.rank(y) == 0:
        value = exponent.item()
        if value == 2:
            return R.multiply(x, x)
        if value == 0.5:
            return R.sqrt(x)
    if is_integer(g.dtype(x)):
        return binary_kernel(g, x, y, _integer_power, "integer_power")
    return R.power(x, y)


def _integer_power(x: Any, y: Any) -> Any:
    """Square and multiply over the exponent's low 6 bits: more overflow every integer but ±1."""
    one = tirx.const(1, x.ty.dtype)
    result, base = one, x
    for bit in range(6):
        odd = (y >> tirx.const(bit, y.ty.dtype)) & tirx.const(1, y.ty.dtype)
        result = tirx.Select(odd == tirx.const(1, y.ty.dtype), result * base, result)
        base = base * base
    return result


@MATH.op("AddN", "AccumulateNV2")
def add_n(g: Emitter, node: Node) -> relax.Expr:
    total, *rest = g.args(node)
    for term in rest:
        total = R.add(total, term)
    return total
