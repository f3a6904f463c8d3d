"""Schur's form of complex matrices, by the QR algorithm, in float64.

The steps here emit loops over one matrix, which lies in two buffers, of its real and of its
imaginary part, from `base` on.
"""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.values import Complex

WIDE = "float64"

# two or three steps an eigenvalue are usual; every tenth has another shift, for cyclic matrices
_STEPS = 60
_EPSILON = 2.0**-52

Pair = tuple[Any, Any]  # a real and an imaginary part


def real(number: float) -> Any:
    return tirx.const(number, WIDE)


def bound(z: Pair) -> Pair:
    """The numbers as they are now, whatever the buffers that they come from hold later."""
    return T.Bind(z[0]), T.Bind(z[1])


def conj(z: Pair) -> Pair:
    return z[0], -z[1]


def plus(a: Pair, b: Pair) -> Pair:
    return a[0] + b[0], a[1] + b[1]


def minus(a: Pair, b: Pair) -> Pair:
    return a[0] - b[0], a[1] - b[1]


def times(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def over(a: Pair, b: Pair) -> Pair:
    size = b[0] * b[0] + b[1] * b[1]
    return (a[0] * b[0] + a[1] * b[1]) / size, (a[1] * b[0] - a[0] * b[1]) / size


def root(z: Pair) -> Pair:
    """The square root with a real part not below 0; of a negative number above the axis."""
    size = T.Bind(tirx.sqrt(z[0] * z[0] + z[1] * z[1]))
    large = T.Bind(tirx.sqrt(real(0.5) * (size + tirx.abs(z[0]))))
    small = tirx.abs(z[1]) / (real(2) * tirx.Select(large == real(0), real(1), large))
    left = z[0] < real(0)
    imag = T.Bind(tirx.Select(left, large, small))
    return bound((tirx.Select(left, small, large), tirx.Select(z[1] < real(0), -imag, imag)))


def size_of(z: Pair) -> Any:
    return tirx.abs(z[0]) + tirx.abs(z[1])


def load(parts: Pair, at: Any) -> Pair:
    """An element, as it is now."""
    return bound((parts[0][at], parts[1][at]))


def store(parts: Pair, at: Any, z: Pair) -> None:
    """Set an element; z is read before either part is written."""
    parts[0][at], parts[1][at] = bound(z)


def schur(g: Emitter, z: Complex) -> tuple[Complex, Complex]:
    """(t, u), float64: z = u t uᴴ, t upper triangular, u unitary.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, 7.4 and 7.5, with rotations
    and single shifts.
    """
    *lead, n, _ = dims = g.shape(z.real)
    given = [g.emit(relax.op.astype(p, WIDE)) for p in (z.real, z.imag)]

    def body(re: Any, im: Any, a: Any, b: Any, x: Any, y: Any, turns: Any) -> None:
        with T.serial(0, product(lead)) as m:
            base = m * n * n
            with T.serial(0, n) as i, T.serial(0, n) as j:
                at = base + i * n + j
                a[at], b[at] = re[at], im[at]
                x[at], y[at] = tirx.Cast(WIDE, i == j), real(0)
            _to_hessenberg((a, b), (x, y), base, n, turns)
            with T.serial(0, n - 1) as step:
                last = n - 1 - step
                with T.serial(0, _STEPS) as k:
                    _qr_step((a, b), (x, y), (base, n, last), k, turns)
                store((a, b), base + last * n + last - 1, (real(0), real(0)))

    outputs: Any = [*[(dims, WIDE)] * 4, ([4 * n], WIDE)]
    made = loop_kernel(g, "schur", given, outputs, body)
    return Complex(*made[:2]), Complex(*made[2:4])


def _set_turn(turns: Any, k: Any, a: Pair, b: Pair) -> None:
    """Rotation k brings (a, b) to (r, 0): its numbers are a / r and b / r."""
    size = T.Bind(tirx.sqrt(a[0] * a[0] + a[1] * a[1] + b[0] * b[0] + b[1] * b[1]))
    none = size == real(0)
    for i, part in enumerate((*a, *b)):
        turned = part / tirx.Select(none, real(1), size)
        turns[4 * k + i] = tirx.Select(none, real(float(i == 0)), turned)


def _turn(parts: Pair, first: Any, second: Any, turns: Any, k: Any, rows: bool) -> None:
    """Two elements of two rows turned by rotation k, or those of two columns by its adjoint."""
    alpha, beta = (turns[4 * k], turns[4 * k + 1]), (turns[4 * k + 2], turns[4 * k + 3])
    if rows:
        alpha, beta = conj(alpha), conj(beta)
    x, y = load(parts, first), load(parts, second)
    store(parts, first, plus(times(alpha, x), times(beta, y)))
    store(parts, second, minus(times(conj(alpha), y), times(conj(beta), x)))


def _to_hessenberg(a: Pair, u: Pair, base: Any, n: Any, turns: Any) -> None:
    """Zeros below the first subdiagonal, by rotations of rows k + 1 and those below."""
    with T.serial(0, n) as k, T.serial(0, n) as i, T.If(i >= k + 2), T.Then():
        pivot, row = base + (k + 1) * n, base + i * n
        _set_turn(turns, 0, load(a, pivot + k), load(a, row + k))
        with T.serial(0, n) as j:
            _turn(a, pivot + j, row + j, turns, 0, rows=True)
        with T.serial(0, n) as j:
            at = base + j * n
            _turn(a, at + k + 1, at + i, turns, 0, rows=False)
            _turn(u, at + k + 1, at + i, turns, 0, rows=False)


def _qr_step(a: Pair, u: Pair, where: tuple[Any, Any, Any], k: Any, turns: Any) -> None:
    """Q R of the leading block less a shift, and R Q plus it, unless the last row is done."""
    base, n, last = where
    low, high = base + last * n + last, base + (last - 1) * n + last - 1
    near = size_of(load(a, low)) + size_of(load(a, high))
    with T.If(size_of(load(a, low - 1)) > real(_EPSILON) * near), T.Then():
        shift = _shift(a, (low, high), k)
        with T.serial(0, last + 1) as i:
            store(a, base + i * n + i, minus(load(a, base + i * n + i), shift))
        with T.serial(0, last) as i:
            row, below = base + i * n, base + (i + 1) * n
            _set_turn(turns, i, load(a, row + i), load(a, below + i))
            with T.serial(0, n - i) as j:
                _turn(a, row + i + j, below + i + j, turns, i, rows=True)
        with T.serial(0, last) as i:
            with T.serial(0, i + 2) as j:
                _turn(a, base + j * n + i, base + j * n + i + 1, turns, i, rows=False)
            with T.serial(0, n) as j:
                _turn(u, base + j * n + i, base + j * n + i + 1, turns, i, rows=False)
        with T.serial(0, last + 1) as i:
            store(a, base + i * n + i, plus(load(a, base + i * n + i), shift))


def _shift(a: Pair, corner: tuple[Any, Any], k: Any) -> Pair:
    """The eigenvalue of the last two rows and columns that is nearer to the last element."""
    low, high = corner
    d, c, b = load(a, low), load(a, low - 1), load(a, high + 1)
    half = bound(minus(load(a, high), d))
    half = bound((real(0.5) * half[0], real(0.5) * half[1]))
    square = root(bound(plus(times(half, half), times(b, c))))
    one, other = bound(plus(half, square)), bound(minus(half, square))
    first = size_of(one) < size_of(other)
    near = [tirx.Select(first, p, q) for p, q in zip(one, other, strict=True)]
    odd = tirx.floormod(k, 10) == 9
    return bound((
        d[0] + tirx.Select(odd, size_of(c), near[0]), d[1] + tirx.Select(odd, real(0), near[1]),
    ))  # fmt: skip
