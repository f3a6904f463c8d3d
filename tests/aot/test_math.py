"""The runtime's mathematics against NumPy's in float64, whose error is far below a float's."""

from __future__ import annotations

import ctypes
import math
import random
from collections.abc import Callable

import numpy as np
import pytest

Function = Callable[..., np.ndarray]

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1.5, 2.5, -3.0, np.inf, -np.inf, np.nan]
SPECIAL += [1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38, 8388608.0, 16777216.0]
SPECIAL += [88.72, 88.73, -87.3, -103.9, -104.0, 0.41, -0.29, 0.34, 0.2679492, 0.99999994]
MOST_ULP = 2.0


def _round_half_away(x: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(x), np.copysign(np.floor(np.abs(x) + 0.5), x), x)


ONE: dict[str, Function] = {
    "expf": np.exp,
    "exp2f": np.exp2,
    "exp10f": lambda x: np.power(10.0, x),
    "expm1f": np.expm1,
    "logf": np.log,
    "log2f": np.log2,
    "log10f": np.log10,
    "log1pf": np.log1p,
    "sinhf": np.sinh,
    "coshf": np.cosh,
    "tanhf": np.tanh,
    "asinhf": np.arcsinh,
    "acoshf": np.arccosh,
    "atanhf": np.arctanh,
    "sinf": np.sin,
    "cosf": np.cos,
    "tanf": np.tan,
    "asinf": np.arcsin,
    "acosf": np.arccos,
    "atanf": np.arctan,
    "erff": np.vectorize(math.erf, otypes=["f8"]),
}
EXACT: dict[str, Function] = {
    "sqrtf": np.sqrt,
    "floorf": np.floor,
    "ceilf": np.ceil,
    "truncf": np.trunc,
    "rintf": np.rint,
    "nearbyintf": np.rint,
    "roundevenf": np.rint,
    "roundf": _round_half_away,
    "fabsf": np.abs,
}
TWO: dict[str, Function] = {"powf": np.power, "atan2f": np.arctan2}
EXACT_TWO: dict[str, Function] = {
    "fmodf": np.fmod,
    "fmaxf": np.fmax,
    "fminf": np.fmin,
    "copysignf": np.copysign,
}


def numbers(count: int) -> np.ndarray:
    """Special values, any bits at all, and numbers of usual sizes."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)
    parts = [bits, rng.uniform(-1, 1, count), rng.uniform(-110, 110, count)]
    parts += [rng.uniform(0.9, 1.1, count), np.round(rng.normal(0, 20, count)) / 2]
    with np.errstate(invalid="ignore"):  # signalling nans among the bits
        return np.concatenate([np.float32(SPECIAL), *parts]).astype(np.float32)


def call(library: ctypes.CDLL, name: str, *args: np.ndarray) -> np.ndarray:
    function = library[name]
    function.restype = ctypes.c_float
    function.argtypes = [ctypes.c_float] * len(args)
    rows = zip(*(a.tolist() for a in args), strict=True)
    return np.array([function(*row) for row in rows], np.float32)


def assert_close(found: np.ndarray, wanted: np.ndarray, most_ulp: float, *args: np.ndarray) -> None:
    """found: float32.   wanted: float64.   Infinities, nans and signs of zeros are exact."""
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = wanted.astype(np.float32)
        finite = np.where(np.isfinite(rounded), rounded, np.float32(1))
        ulp = np.abs(found.astype(np.float64) - wanted) / np.spacing(np.abs(finite))
    same = (found == rounded) | (np.isnan(found) & np.isnan(wanted))
    off = np.where(same, 0.0, np.where(np.isnan(ulp), np.inf, ulp))
    worst = int(np.argmax(off))
    at = [float(a[worst]) for a in args]
    assert off[worst] <= most_ulp, f"{at}: {found[worst]}, wanted {wanted[worst]}"


@pytest.mark.parametrize("name", ONE)
def test_one_argument(runtime: ctypes.CDLL, name: str) -> None:
    x = numbers(4000)
    with np.errstate(all="ignore"):
        wanted = ONE[name](x.astype(np.float64))
    assert_close(call(runtime, name, x), wanted, MOST_ULP, x)


@pytest.mark.parametrize("name", EXACT)
def test_exact_with_one_argument(runtime: ctypes.CDLL, name: str) -> None:
    x = numbers(4000)
    with np.errstate(all="ignore"):
        wanted = EXACT[name](x.astype(np.float64)).astype(np.float32)
    found = call(runtime, name, x)
    np.testing.assert_array_equal(found, wanted)
    zeros = found == 0
    np.testing.assert_array_equal(np.signbit(found)[zeros], np.signbit(wanted)[zeros])


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Every special value with every other, and numbers of usual sizes."""
    rng = np.random.default_rng(1)
    a, b = (v.ravel() for v in np.meshgrid(np.float32(SPECIAL), np.float32(SPECIAL)))
    more = [rng.permutation(numbers(4000)) for _ in range(2)]
    x = np.concatenate([a, more[0], rng.uniform(0, 3, 4000), rng.uniform(-8, 8, 4000)])
    y = np.concatenate([b, more[1], rng.uniform(-40, 40, 4000), rng.integers(-9, 9, 4000)])
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("name", [*TWO, *EXACT_TWO])
def test_two_arguments(runtime: ctypes.CDLL, name: str) -> None:
    x, y = pairs()
    with np.errstate(all="ignore"):
        wanted = (TWO | EXACT_TWO)[name](x.astype(np.float64), y.astype(np.float64))
    assert_close(call(runtime, name, x, y), wanted, MOST_ULP if name in TWO else 0.0, x, y)


WIDE: dict[str, Function] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
}
WIDE_EXACT: dict[str, Function] = {
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": _round_half_away,
    "rint": np.rint,
    "nearbyint": np.rint,
    "roundeven": np.rint,
}


@pytest.mark.parametrize("name", [*WIDE, *WIDE_EXACT])
def test_doubles(runtime: ctypes.CDLL, name: str) -> None:
    """To 4 units of the last place."""
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 2**64, 4000, dtype=np.uint64).view(np.float64)
    parts = [bits, rng.uniform(-1, 1, 4000), rng.uniform(-760, 760, 4000)]
    parts += [rng.uniform(0.9, 1.1, 4000), np.round(rng.normal(0, 20, 4000)) / 2]
    parts += [np.arange(1, 2000) * (np.pi / 2), [5e-324, 2.2250738585072014e-308, 1e300]]
    x = np.concatenate([SPECIAL, *parts])
    function = runtime[name]
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_double]
    found = np.array([function(v) for v in x.tolist()])
    with np.errstate(all="ignore"):
        wanted = (WIDE | WIDE_EXACT)[name](x)
        off = np.abs(found - wanted) / np.spacing(np.where(np.isfinite(wanted), np.abs(wanted), 1))
    off[(found == wanted) | (np.isnan(found) & np.isnan(wanted))] = 0
    worst = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
    most = 0 if name in WIDE_EXACT else 4
    assert off[worst] <= most, f"{x[worst]!r}: {found[worst]!r}, wanted {wanted[worst]!r}"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("mul", np.multiply), ("div", np.divide), ("add", np.add), ("sub", np.subtract)],
)
def test_doubles_are_rounded_as_the_processor_does(
    runtime: ctypes.CDLL, name: str, wanted: Function
) -> None:
    rng = np.random.default_rng(2)
    special = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, 2.2250738585072014e-308]
    special += [1.7976931348623157e308, 1.5, 3.0, 1e-160, 1e160, 2.225073858507201e-308]
    a, b = (v.ravel() for v in np.meshgrid(special, special))
    bits = [rng.integers(0, 2**64, 4000, dtype=np.uint64).view(np.float64) for _ in range(2)]
    near = rng.normal(size=4000)
    x = np.concatenate([a, bits[0], near, near * 2.0**-1000, rng.integers(-5, 5, 500) * 5e-324])
    y = np.concatenate([b, bits[1], near * 2.0 ** rng.integers(-60, 60, 4000)])
    y = np.concatenate([y, 2.0 ** -rng.uniform(0, 60, 4000), rng.normal(size=500)])
    function = runtime[f"__hexagon_{name}df3"]
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_double] * 2
    rows = zip(x.tolist(), y.tolist(), strict=True)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal([function(*row) for row in rows], wanted(x, y))


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", ["udiv", "umod", "div", "mod"])
def test_division_of_integers(runtime: ctypes.CDLL, name: str, bits: int) -> None:
    unsigned, signed = {32: (ctypes.c_uint32, ctypes.c_int32)}.get(
        bits, (ctypes.c_uint64, ctypes.c_int64)
    )
    kind = unsigned if name.startswith("u") else signed
    function = runtime[f"__hexagon_{name}{'si3' if bits == 32 else 'di3'}"]
    function.restype = kind
    function.argtypes = [kind] * 2
    draw = random.Random(3)
    for _ in range(4000):
        n, d = (kind(draw.getrandbits(draw.randint(1, bits))).value for _ in range(2))
        if d == 0:
            continue
        quotient = abs(n) // abs(d) * (1 if (n < 0) == (d < 0) else -1)
        wanted = quotient if "div" in name else n - quotient * d
        assert function(n, d) == kind(wanted).value, (n, d)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 33, 200])
@pytest.mark.parametrize(("to", "start"), [(0, 0), (3, 3), (4, 8), (8, 16), (16, 8), (1, 40)])
def test_memory(runtime: ctypes.CDLL, size: int, to: int, start: int) -> None:
    before = bytes(random.Random(4).randbytes(512))
    for name in ("memcpy", "memmove"):
        if name == "memcpy" and abs(to - start) < size:
            continue  # not defined where both overlap
        memory = ctypes.create_string_buffer(before, 512)
        address = ctypes.addressof(memory)
        runtime[name](*map(ctypes.c_void_p, (address + to, address + start)), ctypes.c_size_t(size))
        wanted = before[:to] + before[start : start + size] + before[to + size :]
        assert memory.raw == wanted, name
    memory = ctypes.create_string_buffer(before, 512)
    runtime.memset(ctypes.c_void_p(ctypes.addressof(memory) + to), 0x1A5, ctypes.c_size_t(size))
    assert memory.raw == before[:to] + b"\xa5" * size + before[to + size :]
