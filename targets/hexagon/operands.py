"""What an integer convolution or product multiplies: 8-bit tensors, and what was taken off them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import relax

from dlcc.targets.cpu.matmul import dims, is_const, static

Lookup = Callable[[relax.Var], relax.Expr | None]

BYTES = {"uint8": (0, 255), "int8": (-128, 127)}


@dataclass(frozen=True, slots=True)
class Data:
    """x - zero, x being a tensor of uint8 or int8 and 0 <= |zero| a number that x can have."""

    x: relax.Expr
    zero: int

    @property
    def dtype(self) -> str:
        return str(self.x.ty.dtype)


def data_of(expr: relax.Expr, lookup: Lookup) -> Data | None:
    """The 8-bit tensor behind an operand; None where there is none.

    Known forms: x, astype(x), astype(x) - z, astype(x) + z; z one number.
    """
    zero = 0
    if (call := _int32(expr, lookup, "relax.subtract", "relax.add")) is not None:
        number = _number(call.args[1], lookup)
        if number is None:
            return None
        zero = number if call.op.name == "relax.subtract" else -number
        expr = call.args[0]
    if (call := _int32(expr, lookup, "relax.astype")) is not None:
        expr = call.args[0]
    dtype = str(expr.ty.dtype)
    if dtype not in BYTES or expr.ty.shape is None or None in map(static, dims(expr)):
        return None
    low, high = BYTES[dtype]
    return Data(expr, zero) if low <= zero <= high else None


def weights_of(expr: relax.Expr, lookup: Lookup) -> np.ndarray | None:
    """The value of a constant operand as int32, its zero point taken off; None if not known."""
    call = _resolve(expr, lookup)
    if is_const(call):
        value = np.asarray(call.value.numpy())
        return value.astype(np.int32) if value.dtype.kind in "iu" else None
    if (call := _int32(expr, lookup, "relax.astype")) is not None:
        return weights_of(call.args[0], lookup)
    if (call := _int32(expr, lookup, "relax.subtract", "relax.add")) is not None:
        a, b = (weights_of(arg, lookup) for arg in call.args)
        if a is None or b is None:
            return None
        return np.asarray(a - b if call.op.name == "relax.subtract" else a + b, np.int32)
    return None


def as_unsigned(weights: np.ndarray) -> tuple[np.ndarray, int] | None:
    """(u, offset): weights = u - offset, u uint8; None where 8 bits do not hold their range."""
    low, high = int(weights.min()), int(weights.max())
    if high - low > 255:
        return None
    offset = 0 if low >= 0 and high <= 255 else 128 if low >= -128 and high <= 127 else -low
    return (weights + offset).astype(np.uint8), offset


def _resolve(expr: relax.Expr, lookup: Lookup) -> relax.Expr:
    while isinstance(expr, relax.Var) and (bound := lookup(expr)) is not None:
        expr = bound
    return expr


def _int32(expr: relax.Expr, lookup: Lookup, *names: str) -> relax.Call | None:
    """The call behind `expr` if it is one of these operators and computes int32."""
    call = _resolve(expr, lookup)
    named = isinstance(call, relax.Call) and getattr(call.op, "name", "") in names
    return call if named and str(call.ty.dtype) == "int32" else None


def _number(expr: relax.Expr, lookup: Lookup) -> int | None:
    """The one number that a constant holds."""
    value = weights_of(expr, lookup)
    if value is None or value.size == 0 or np.any(value != value.flat[0]):
        return None
    return int(value.flat[0]) if value.size == 1 else None
