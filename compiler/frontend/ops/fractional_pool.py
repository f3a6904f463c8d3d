"""Pooling windows of sizes that differ by one, placed at random.

The places depend on seeds and sizes alone: they are drawn when the model is compiled, as
TensorFlow draws them in its first run.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.dims import static_int
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable

FRACTIONAL_POOL = OpTable()

_WORD = 0xFFFFFFFF


@FRACTIONAL_POOL.op("FractionalMaxPool", "FractionalAvgPool")
def fractional_pool(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """(n, h, w, c) -> (n, h / ratio, w / ratio, c), and where the windows begin along each axis.

    Source: tensorflow/core/kernels/fractional_{max,avg}_pool_op.cc, fractional_pool_common.cc.
    """
    x = g.arg(node, 0)
    ratio = [float(np.float32(r)) for r in node.attr("pooling_ratio") or ()]
    if len(ratio) != 4 or ratio[0] != 1 or ratio[3] != 1:
        raise BadAttr(node, "pooling_ratio", found=tuple(ratio), expected=("1 but for h and w",))
    sizes = [static_int(d) for d in g.shape(x)[1:3]]
    if None in sizes:
        raise BadNode(
            node, f"needs a fixed height and width, has {g.shape(x)[1:3]}",
            hint="the windows are drawn for them; give them: --input NAME=1,…",
        )  # fmt: skip
    known, blocks = [int(s) for s in sizes if s is not None], _blocks(node)
    draw = _pseudo_random if node.attr("pseudo_random", False) else _shuffled
    starts = [
        _starts(draw(size, math.floor(np.float32(size) / np.float32(r)), blocks))
        for size, r in zip(known, ratio[1:3], strict=True)
    ]
    lap = 1 if node.attr("overlapping", False) else 0
    ends = [np.minimum(s[1:] - 1 + lap, n - 1) for s, n in zip(starts, known, strict=True)]
    y = _pooled(g, node.op == "FractionalMaxPool", x, starts, ends)
    return [y, *(g.const(s, "int64") for s in starts)]


def _pooled(
    g: Emitter, largest: bool, x: relax.Expr, starts: Sequence[np.ndarray],
    ends: Sequence[np.ndarray],
) -> relax.Expr:  # fmt: skip
    dtype = g.dtype(x)
    outs = [len(e) for e in ends]
    spans = [int((e - s[:-1]).max()) + 1 for s, e in zip(starts, ends, strict=True)]
    tables = [g.const(v, "int64") for v in (starts[0], ends[0], starts[1], ends[1])]

    def compute(t: te.Tensor, *given: te.Tensor) -> te.Tensor:
        top, bottom, left, right = given
        rows, columns = (te.reduce_axis((0, n), name=k) for n, k in zip(spans, "yx", strict=True))
        none = tirx.min_value(dtype) if largest else tirx.const(0, dtype)

        def element(b: Any, i: Any, j: Any, c: Any) -> Any:
            row, column = top(i) + rows, left(j) + columns
            inside = tirx.all(row <= bottom(i), column <= right(j))
            value = tirx.if_then_else(inside, t(b, row, column, c), none)
            return (te.max if largest else te.sum)(value, axis=[rows, columns])

        return te.compute([t.shape[0], *outs, t.shape[3]], element, name="pool")

    pooled = g.te(compute, x, *tables, name="fractional_pool")
    if largest:
        return pooled

    def mean(t: te.Tensor, *given: te.Tensor) -> te.Tensor:
        top, bottom, left, right = given

        def element(b: Any, i: Any, j: Any, c: Any) -> Any:
            count = (bottom(i) - top(i) + 1) * (right(j) - left(j) + 1)
            whole, total = tirx.Cast(dtype, count), t(b, i, j, c)
            return total / whole if dtype.startswith("float") else tirx.truncdiv(total, whole)

        return te.compute(t.shape, element, name="mean")

    return g.te(mean, pooled, *tables, name="fractional_mean")


# ---------------------------------------------------------------- where the windows begin


def _starts(sizes: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).astype(np.int64)


def _pseudo_random(size: int, count: int, blocks: Iterator[list[int]]) -> list[int]:
    """Steps of equal length from one random offset, rounded up.

    Source: Graham, "Fractional Max-Pooling", arXiv:1412.6071, section 2; the offset is kept so
    small that no window differs by more than one.
    """
    alpha, least = size / count, size // count
    most = min((least + 2) / alpha - 1, (size + 1 - least) / alpha - (count - 1))
    high, low = next(blocks)[:2]
    offset = (((high & 0xFFFFF) << 32) | low) * 2.0**-52 * most
    inner = [math.ceil(alpha * (k + offset)) for k in range(1, count)]
    ends = [1, *inner, size + 1]
    return [b - a for a, b in pairwise(ends)]


def _shuffled(size: int, count: int, blocks: Iterator[list[int]]) -> list[int]:
    """As many windows longer by one as there are pixels left over, in random order."""
    sizes = [size // count + (k < size % count) for k in range(count)]
    words = [w for _ in range((count + 3) // 4) for w in next(blocks)]
    for k in range(count - 1):
        other = k + words[k] % (count - k)
        sizes[k], sizes[other] = sizes[other], sizes[k]
    return sizes


def _blocks(node: Node) -> Iterator[list[int]]:
    """Philox 4x32-10: four words of 32 bits a block; the name is the seed where there is none."""
    seed, other = int(node.attr("seed", 0)), int(node.attr("seed2", 0))
    if seed == other == 0:
        seed = zlib.crc32(node.name.encode())
    index = 0
    while True:
        counter = [index & _WORD, index >> 32, other & _WORD, (other >> 32) & _WORD]
        key = [seed & _WORD, (seed >> 32) & _WORD]
        for _ in range(10):
            first, second = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
            counter = [(second >> 32) ^ counter[1] ^ key[0], second & _WORD,
                       (first >> 32) ^ counter[3] ^ key[1], first & _WORD]  # fmt: skip
            key = [(key[0] + 0x9E3779B9) & _WORD, (key[1] + 0xBB67AE85) & _WORD]
        yield counter
        index += 1
