"""Random numbers in a compiled module: Philox, a generator that is a function of a counter.

A compiled module has no state, so each run draws the same numbers: for given seeds those that
TensorFlow draws in its first run on a CPU.
Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011, Philox 4x32-10;
tensorflow/core/lib/random/{philox_random,random_distributions}.h.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product

# scratch of a generator, in words of 32 bits: where each part begins
_COUNTER, RESULT, _KEY, _NEXT = 0, 4, 8, 10
SCRATCH: tuple[tuple[int], str] = ((14,), "uint32")

# four random words -> as many numbers as they are good for
Law = Callable[..., Sequence[Any]]


def word(number: int) -> Any:
    return tirx.const(number & 0xFFFFFFFF, "uint32")


def _long(value: Any) -> Any:
    return tirx.Cast("uint64", value)


def node_seed(g: Emitter, node: Node) -> relax.Expr:
    """(key, key, counter × 4) as uint32 from a node's attributes.

    Without seeds TensorFlow draws other numbers in each process; here the node's name is the seed,
    so that two nodes differ.
    """
    seed, other = int(node.attr("seed", 0)), int(node.attr("seed2", 0))
    if seed == other == 0:
        seed = zlib.crc32(node.name.encode())
    words = [seed, seed >> 32, 0, 0, other, other >> 32]
    return g.const([w & 0xFFFFFFFF for w in words], "uint32")


def mixed_seed(g: Emitter, seed: relax.Expr) -> relax.Expr:
    """(key, key, counter × 4) from the two integers that stateless ops take.

    Source: tensorflow/core/kernels/stateless_random_ops.cc, GenerateKey.
    """

    def body(given: Any, out: Any, s: Any) -> None:
        for k in range(2):
            wide = _long(tirx.Cast("int64", given[k]))
            s[_COUNTER + 2 * k] = tirx.Cast("uint32", wide & _long(word(-1)))
            s[_COUNTER + 2 * k + 1] = tirx.Cast("uint32", wide >> tirx.const(32, "uint64"))
        s[_KEY], s[_KEY + 1] = word(0x3EC8F720), word(0x02461E29)
        _ten_rounds(s)
        for k, source in enumerate((0, 1, None, None, 2, 3)):
            out[k] = word(0) if source is None else s[RESULT + source]

    return loop_kernel(g, "mixed_seed", [seed], [((6,), "uint32"), SCRATCH], body)[0]


def split_seed(g: Emitter, key: relax.Expr, counter: relax.Expr) -> relax.Expr:
    """(key, key, counter × 4) from a key (1,) and a counter (2,) of 64 bits each."""

    def body(k: Any, c: Any, out: Any) -> None:
        for i, wide in enumerate((k[0], c[0], c[1])):
            out[2 * i] = tirx.Cast("uint32", _long(wide) & _long(word(-1)))
            out[2 * i + 1] = tirx.Cast("uint32", _long(wide) >> tirx.const(32, "uint64"))

    return loop_kernel(g, "split_seed", [key, counter], [((6,), "uint32")], body)[0]


def draw(s: Any, seed: Any, index: Any) -> list[Any]:
    """Emit the computation of block `index` of a stream; its four words, valid until the next."""
    low = _long(seed[3]) << tirx.const(32, "uint64") | _long(seed[2])
    total = low + _long(index)
    s[_COUNTER] = tirx.Cast("uint32", total & _long(word(-1)))
    s[_COUNTER + 1] = tirx.Cast("uint32", total >> tirx.const(32, "uint64"))
    # read back: TVM takes (low + index) < low for false, as if integers had no end
    carry = joined(s[_COUNTER], s[_COUNTER + 1]) < low
    s[_COUNTER + 2] = seed[4] + tirx.Cast("uint32", carry)
    s[_COUNTER + 3] = seed[5] + tirx.Cast("uint32", s[_COUNTER + 2] < seed[4])
    s[_KEY], s[_KEY + 1] = seed[0], seed[1]
    _ten_rounds(s)
    return [s[RESULT + k] for k in range(4)]


def _ten_rounds(s: Any) -> None:
    for k in range(4):
        s[RESULT + k] = s[_COUNTER + k]
    with T.serial(0, 10):
        first = _long(s[RESULT]) * _long(word(0xD2511F53))
        second = _long(s[RESULT + 2]) * _long(word(0xCD9E8D57))
        thirty_two = tirx.const(32, "uint64")
        s[_NEXT] = tirx.Cast("uint32", second >> thirty_two) ^ s[RESULT + 1] ^ s[_KEY]
        s[_NEXT + 1] = tirx.Cast("uint32", second & _long(word(-1)))
        s[_NEXT + 2] = tirx.Cast("uint32", first >> thirty_two) ^ s[RESULT + 3] ^ s[_KEY + 1]
        s[_NEXT + 3] = tirx.Cast("uint32", first & _long(word(-1)))
        for k in range(4):
            s[RESULT + k] = s[_NEXT + k]
        s[_KEY] = s[_KEY] + word(0x9E3779B9)
        s[_KEY + 1] = s[_KEY + 1] + word(0xBB67AE85)


# ---------------------------------------------------------------- words as numbers


def fraction32(x: Any) -> Any:
    """A float32 in [0, 1) from the low 23 bits of a word."""
    return tirx.Cast("float32", x & word(0x7FFFFF)) * tirx.const(2.0**-23, "float32")


def fraction64(high: Any, low: Any) -> Any:
    """A float64 in [0, 1) from 52 bits of two words."""
    bits = _long(high & word(0xFFFFF)) << tirx.const(32, "uint64") | _long(low)
    return tirx.Cast("float64", bits) * tirx.const(2.0**-52, "float64")


def joined(low: Any, high: Any) -> Any:
    """Two words as one of 64 bits."""
    return _long(high) << tirx.const(32, "uint64") | _long(low)


def uniform_law(dtype: str) -> Law:
    """Numbers in [0, 1)."""
    if dtype == "float64":
        return lambda a, b, c, d: [fraction64(a, b), fraction64(c, d)]
    bits = {"float32": 23, "float16": 10, "bfloat16": 7}[dtype]

    def one(x: Any) -> Any:
        kept = tirx.Cast("float32", x & word((1 << bits) - 1))
        return tirx.Cast(dtype, kept * tirx.const(2.0**-bits, "float32"))

    return lambda *words: [one(w) for w in words]


def normal_law(dtype: str) -> Law:
    """Numbers of mean 0 and variance 1, two from each pair of uniform ones.

    Source: Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.
    """

    def pair(u: Any, v: Any) -> list[Any]:
        wide = u.ty.dtype
        radius = tirx.max(u, tirx.const(1e-7, wide))
        radius = tirx.sqrt(tirx.const(-2, wide) * tirx.log(radius))
        turn = tirx.const(2 * math.pi, wide) * v
        return [tirx.Cast(dtype, f(turn) * radius) for f in (tirx.sin, tirx.cos)]

    if dtype == "float64":
        return lambda a, b, c, d: pair(fraction64(a, b), fraction64(c, d))
    return lambda a, b, c, d: [
        *pair(fraction32(a), fraction32(b)), *pair(fraction32(c), fraction32(d))
    ]  # fmt: skip


def fill(
    g: Emitter,
    seed: relax.Expr,
    dims: Sequence[Dim],
    dtype: str,
    law: Law,
    extra: Sequence[relax.Expr] = (),
) -> relax.Expr:
    """A tensor of numbers by a law, which also gets the buffers of `extra`, as `extra`."""
    count = product(dims)

    def body(key: Any, *buffers: Any) -> None:
        out, s = buffers[-2:]
        given = {"extra": buffers[:-2]} if extra else {}
        per = len(law(*[word(0)] * 4, **given))
        with T.serial(0, tirx.floordiv(count + (per - 1), per)) as i:
            for k, number in enumerate(law(*draw(s, key, i), **given)):
                with T.If(i * per + k < count), T.Then():
                    out[i * per + k] = number

    return loop_kernel(g, "random", [seed, *extra], [(dims, dtype), SCRATCH], body)[0]


def fill_truncated(
    g: Emitter, seed: relax.Expr, dims: Sequence[Dim], dtype: str, limit: float = 2.0
) -> relax.Expr:
    """Normal numbers, those beyond the limit drawn again.

    Source: tensorflow/core/kernels/random_op_cpu.h, which sets 256 words aside for each number.
    """
    count, law = product(dims), normal_law(dtype)
    per = len(law(*[word(0)] * 4))
    zero = tirx.const(0, "int64")

    def body(key: Any, out: Any, done: Any, s: Any) -> None:
        with T.serial(0, tirx.floordiv(count + (per - 1), per)) as i:
            done[0] = zero
            with T.serial(0, 64 * per) as attempt, T.If(done[0] < per), T.Then():
                block = tirx.Cast("int64", i) * (64 * per) + tirx.Cast("int64", attempt)
                for number in law(*draw(s, key, block)):
                    inside = tirx.abs(number) < tirx.const(limit, dtype)
                    with T.If(tirx.all(done[0] < per, inside)), T.Then():
                        with T.If(i * per + done[0] < count), T.Then():
                            out[i * per + done[0]] = number
                        done[0] = done[0] + 1

    outputs = [(dims, dtype), ((1,), "int64"), SCRATCH]
    return loop_kernel(g, "truncated_normal", [seed], outputs, body)[0]
