"""Tensor intrinsics: small loop nests of a schedule that are one or a few HVX instructions.

vrmpy multiplies four bytes by four bytes in each of 32 lanes and adds the four products to the
lane's int32. The form with one word of a scalar register for all lanes goes twice into a packet
and needs no splat; it takes its vector as uint8, and the word as uint8 or int8.
Source: Qualcomm Hexagon V66 HVX Programmer's Reference Manual (80-N2040-44), "Multiply by byte
with 4-wide reduction", and LLVM's IntrinsicsHexagonDep.td for the names.
"""

from __future__ import annotations

from functools import cache

from tvm import ir, tirx
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

LANES = 32  # int32 of a vector register of 1024 bits
TAPS = 4  # bytes that one lane multiplies at once
VECTOR = 128  # bytes of a vector register

# dtype of the word -> instruction; the vector is uint8
_BY_WORD = {
    "uint8": "llvm.hexagon.V6.vrmpyub.acc.128B",
    "int8": "llvm.hexagon.V6.vrmpybus.acc.128B",
}
# dtype of the data -> instruction of two vectors, the second of them int8
_BY_VECTOR = {
    "uint8": "llvm.hexagon.V6.vrmpybusv.acc.128B",
    "int8": "llvm.hexagon.V6.vrmpybv.acc.128B",
}
ACCUMULATING = (*_BY_WORD.values(), *_BY_VECTOR.values())
DATA: tuple[str, ...] = tuple(_BY_WORD)
SCOPES = ("global", "local")
ONES = 0x01010101


def register() -> None:
    """Make the intrinsics known to TVM; doing it again changes nothing."""
    for data in DATA:
        _register(data)


def dot(data: str) -> str:
    """Name of c[32] += sum over k < 4 of x[k] * w[32, k]; w is uint8."""
    return f"dlcc.hexagon.dot.{data}"


def total(data: str) -> str:
    """Name of c[32] += sum over k < 4 of x[k]: the same sum in every lane."""
    return f"dlcc.hexagon.total.{data}"


def taps(data: str) -> str:
    """Name of c[128] += sum over t < 4 of x[t, 128] * w[128, t]; w is int8."""
    return f"dlcc.hexagon.taps.{data}"


def words(data: str, scope: str = "global") -> str:
    """Name of c[128, t] = x[t, 128] for t < 4: four rows, interleaved byte by byte.

    scope: where x and c are."""
    return f"dlcc.hexagon.words.{data}.{scope}"


def dots(data: str, scope: str = "global") -> str:
    """Name of c[32] += sum over t < 4 of x[32, t] * w[32, t]; w is int8.

    scope: where x is."""
    return f"dlcc.hexagon.dots.{data}.{scope}"


@cache
def _register(data: str) -> None:
    for scope in SCOPES:
        made, plain = _words_vector(data, scope), _words_plain(data, scope)
        TensorIntrin.register(words(data, scope), plain, made, override=True)
        multiplied, plain = _dots_vector(data, scope), _dots_plain(data, scope)
        TensorIntrin.register(dots(data, scope), plain, multiplied, override=True)
    TensorIntrin.register(dot(data), _dot_plain(data), _dot_vector(data), override=True)
    TensorIntrin.register(total(data), _total_plain(data), _total_vector(data), override=True)
    TensorIntrin.register(taps(data), _taps_plain(data), _taps_vector(data), override=True)


def _dot_plain(data: str) -> tirx.PrimFunc:
    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def plain(a: T.handle, b: T.handle, c: T.handle) -> None:
        X = T.match_buffer(a, (4,), data, offset_factor=1)
        W = T.match_buffer(b, (32, 4), "uint8", offset_factor=1)
        C = T.match_buffer(c, (32,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:32], X[0:4], W[0:32, 0:4])
            T.writes(C[0:32])
            for i, k in T.grid(32, 4):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(X[vk], "int32") * T.cast(W[vi, vk], "int32")

    return plain


def _dot_vector(data: str) -> tirx.PrimFunc:
    instruction = _BY_WORD[data]

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def vector(a: T.handle, b: T.handle, c: T.handle) -> None:
        X = T.match_buffer(a, (4,), data, offset_factor=1)
        W = T.match_buffer(b, (32, 4), "uint8", offset_factor=1)
        C = T.match_buffer(c, (32,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:32], X[0:4], W[0:32, 0:4])
            T.writes(C[0:32])
            C[T.ramp(T.int32(0), 1, 32)] = T.call_llvm_pure_intrin(
                "int32x32",
                instruction,
                C[T.ramp(T.int32(0), 1, 32)],
                T.reinterpret("int32x32", W.vload([0, 0], "uint8x128")),
                T.reinterpret("int32", X.vload([0], f"{data}x4")),
            )

    return vector


def _total_plain(data: str) -> tirx.PrimFunc:
    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def plain(a: T.handle, c: T.handle) -> None:
        X = T.match_buffer(a, (4,), data, offset_factor=1)
        C = T.match_buffer(c, (32,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:32], X[0:4])
            T.writes(C[0:32])
            for i, k in T.grid(32, 4):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(X[vk], "int32")

    return plain


def _total_vector(data: str) -> tirx.PrimFunc:
    instruction = _BY_WORD[data]

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def vector(a: T.handle, c: T.handle) -> None:
        X = T.match_buffer(a, (4,), data, offset_factor=1)
        C = T.match_buffer(c, (32,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:32], X[0:4])
            T.writes(C[0:32])
            C[T.ramp(T.int32(0), 1, 32)] = T.call_llvm_pure_intrin(
                "int32x32",
                instruction,
                C[T.ramp(T.int32(0), 1, 32)],
                T.broadcast(T.int32(ONES), 32),
                T.reinterpret("int32", X.vload([0], f"{data}x4")),
            )

    return vector


def _taps_plain(data: str) -> tirx.PrimFunc:
    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def plain(a: T.handle, b: T.handle, c: T.handle) -> None:
        X = T.match_buffer(a, (4, 128), data, offset_factor=1, scope="local")
        W = T.match_buffer(b, (128, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (128,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:128], X[0:4, 0:128], W[0:128, 0:4])
            T.writes(C[0:128])
            for i, t in T.grid(128, 4):
                with T.sblock("update"):
                    vi, vt = T.axis.remap("SR", [i, t])
                    C[vi] = C[vi] + T.cast(X[vt, vi], "int32") * T.cast(W[vi, vt], "int32")

    return plain


def _call(dtype: str, name: str, *args: ir.Expr) -> ir.Expr:
    return T.call_llvm_pure_intrin(dtype, f"llvm.hexagon.V6.{name}.128B", *args)


def _interleaved(low: ir.Expr, high: ir.Expr, size: int, half: str) -> ir.Expr:
    """One half of low[0], high[0], low[1], high[1], …: elements of `size` bytes."""
    return _call("int32x32", half, _call("int32x64", "vshuffvdd", high, low, T.int32(-size)))


def _words(runs: list[ir.Expr], quarter: int) -> ir.Expr:
    """The four bytes of each of 32 results; LLVM computes what quarters share once."""
    half, inner = ("lo", "hi")[quarter // 2], ("lo", "hi")[quarter % 2]
    low, high = (_interleaved(runs[i], runs[i + 1], 1, half) for i in (0, 2))
    return _interleaved(low, high, 2, inner)


def _taps_vector(data: str) -> tirx.PrimFunc:
    instruction = _BY_VECTOR[data]

    def product(acc: ir.Expr, x: tirx.Buffer, w: tirx.Buffer, quarter: int) -> ir.Expr:
        runs = [T.reinterpret("int32x32", x.vload([t, 0], f"{data}x128")) for t in range(4)]
        weights = T.reinterpret("int32x32", w.vload([quarter * LANES, 0], "int8x128"))
        return T.call_llvm_pure_intrin("int32x32", instruction, acc, _words(runs, quarter), weights)

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def vector(a: T.handle, b: T.handle, c: T.handle) -> None:
        X = T.match_buffer(a, (4, 128), data, offset_factor=1, scope="local")
        W = T.match_buffer(b, (128, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (128,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:128], X[0:4, 0:128], W[0:128, 0:4])
            T.writes(C[0:128])
            C[T.ramp(T.int32(0), 1, 32)] = product(C[T.ramp(T.int32(0), 1, 32)], X, W, 0)
            C[T.ramp(T.int32(32), 1, 32)] = product(C[T.ramp(T.int32(32), 1, 32)], X, W, 1)
            C[T.ramp(T.int32(64), 1, 32)] = product(C[T.ramp(T.int32(64), 1, 32)], X, W, 2)
            C[T.ramp(T.int32(96), 1, 32)] = product(C[T.ramp(T.int32(96), 1, 32)], X, W, 3)

    return vector


def _words_plain(data: str, scope: str) -> tirx.PrimFunc:
    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def plain(a: T.handle, c: T.handle) -> None:
        row = T.int32()
        X = T.match_buffer(a, (4, 128), data, strides=[row, 1], offset_factor=1, scope=scope)
        C = T.match_buffer(c, (128, 4), data, offset_factor=1, scope=scope)
        with T.sblock("root"):
            T.reads(X[0:4, 0:128])
            T.writes(C[0:128, 0:4])
            for i, t in T.grid(128, 4):
                with T.sblock("update"):
                    vi, vt = T.axis.remap("SS", [i, t])
                    C[vi, vt] = X[vt, vi]

    return plain


def _words_vector(data: str, scope: str) -> tirx.PrimFunc:
    def quarter(x: tirx.Buffer, number: int) -> ir.Expr:
        runs = [T.reinterpret("int32x32", x.vload([t, 0], f"{data}x128")) for t in range(4)]
        return T.reinterpret(f"{data}x128", _words(runs, number))

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def vector(a: T.handle, c: T.handle) -> None:
        row = T.int32()
        X = T.match_buffer(a, (4, 128), data, strides=[row, 1], offset_factor=1, scope=scope)
        C = T.match_buffer(c, (128, 4), data, offset_factor=1, scope=scope)
        with T.sblock("root"):
            T.reads(X[0:4, 0:128])
            T.writes(C[0:128, 0:4])
            C.vstore([0, 0], quarter(X, 0))
            C.vstore([32, 0], quarter(X, 1))
            C.vstore([64, 0], quarter(X, 2))
            C.vstore([96, 0], quarter(X, 3))

    return vector


def _dots_plain(data: str, scope: str) -> tirx.PrimFunc:
    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def plain(a: T.handle, b: T.handle, c: T.handle) -> None:
        X = T.match_buffer(a, (32, 4), data, offset_factor=1, scope=scope)
        W = T.match_buffer(b, (32, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (32,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:32], X[0:32, 0:4], W[0:32, 0:4])
            T.writes(C[0:32])
            for i, t in T.grid(32, 4):
                with T.sblock("update"):
                    vi, vt = T.axis.remap("SR", [i, t])
                    C[vi] = C[vi] + T.cast(X[vi, vt], "int32") * T.cast(W[vi, vt], "int32")

    return plain


def _dots_vector(data: str, scope: str) -> tirx.PrimFunc:
    instruction = _BY_VECTOR[data]

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def vector(a: T.handle, b: T.handle, c: T.handle) -> None:
        X = T.match_buffer(a, (32, 4), data, offset_factor=1, scope=scope)
        W = T.match_buffer(b, (32, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (32,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:32], X[0:32, 0:4], W[0:32, 0:4])
            T.writes(C[0:32])
            C[T.ramp(T.int32(0), 1, 32)] = T.call_llvm_pure_intrin(
                "int32x32",
                instruction,
                C[T.ramp(T.int32(0), 1, 32)],
                T.reinterpret("int32x32", X.vload([0, 0], f"{data}x128")),
                T.reinterpret("int32x32", W.vload([0, 0], "int8x128")),
            )

    return vector
