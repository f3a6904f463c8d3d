"""Ragged tensors as elements of a tensor of variants: each an integer tensor of one shape.

    (*batch, length, *inner, 1 + len(inner))  int64, row by row along `length`:
        the number of values; for each level the number of its splits, then these; the values

Only the first number of a row of the head counts, and only the first along the last axis: its
extent tells how many inner axes the values have, which a list and a loop must keep. Values stand
there by their bits. An element shorter than its tensor is filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax, te, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim, larger_dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.lists import of_rows
from dlcc.compiler.frontend.loops import product, wide
from dlcc.compiler.frontend.values import ListValue

_BITS = {"float16": "uint16", "bfloat16": "uint16", "float32": "uint32", "float64": "int64"}


def zero() -> Any:
    return tirx.const(0, "int64")


def to_word(value: Any) -> Any:
    """A value's bits as a number of 64 bits."""
    bits = _BITS.get(str(value.ty.dtype))
    return wide(tirx.reinterpret(bits, value) if bits else value)


def from_word(word: Any, dtype: str) -> Any:
    """The value of a dtype whose bits a number holds."""
    bits = _BITS.get(dtype)
    return tirx.reinterpret(dtype, tirx.Cast(bits, word)) if bits else tirx.Cast(dtype, word)


@dataclass(frozen=True, slots=True)
class Layout:
    """How encoded elements lie in their tensor. length: rows of each."""

    batch: tuple[Dim, ...]
    length: Dim
    inner: tuple[Dim, ...]

    @classmethod
    def of(cls, g: Emitter, node: Node, encoded: relax.Expr) -> Layout:
        """The layout of a tensor of variants."""
        dims = g.shape(encoded)
        depth = dims[-1]
        if not isinstance(depth, int) or len(dims) < depth + 1 or g.dtype(encoded) != "int64":
            raise BadNode(node, "reads a variant that holds no ragged tensor")
        batch = len(dims) - depth - 1
        return cls(tuple(dims[:batch]), dims[batch], tuple(dims[batch + 1 : -1]))

    @property
    def depth(self) -> int:
        return 1 + len(self.inner)

    @property
    def row(self) -> Any:
        """Numbers of one row of an element."""
        return product(self.inner) * self.depth

    @property
    def shape(self) -> list[Dim]:
        return [*self.batch, self.length, *self.inner, self.depth]

    def at(self, element: Any, row: Any) -> Any:
        """Where a row of an element begins."""
        return (wide(element) * self.length + row) * self.row


def put_element(out: Any, base: Any, row: Any, splits: Sequence[Any], values: Any, s: Any) -> None:
    """Emit the rows of one element, whose numbers are 0 so far.

    splits: (buffer, first, number, what to take off) of each level.   values: (buffer, first
    row, number of rows, numbers a row, layout's depth).   s[0]: the next row.
    """
    data, first, count, each, depth = values
    out[base] = count
    s[0] = tirx.const(1, "int64")
    for buffer, start, number, less in splits:
        out[base + s[0] * row] = number
        with T.serial(0, number) as k:
            out[base + (s[0] + 1 + k) * row] = wide(buffer[start + k]) - less
        s[0] = s[0] + 1 + number
    with T.serial(0, count) as k, T.serial(0, each) as j:
        out[base + (s[0] + k) * row + j * depth] = to_word(data[(first + k) * each + j])


def set_encoded(g: Emitter, value: ListValue, at: relax.Expr, item: relax.Expr) -> ListValue:
    """The list with one encoded element replaced; all are as long as the longest then."""
    item = g.normal(item)
    own = g.shape(item)
    if value.rows is None:
        rows = g.emit(relax.op.zeros(relax.ShapeExpr([value.size, *own]), "int64"))
    else:
        rows = value.rows
    count, *old = g.shape(rows)
    dims = [count, *(larger_dim(p, q) for p, q in zip(old, own, strict=True))]

    def compute(t: te.Tensor, k: te.Tensor, x: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given)
        shape = [d if isinstance(d, int) else next(rest) for d in dims]

        def element(*i: Any) -> Any:
            new = tirx.if_then_else(_inside(i[1:], x.shape), x[i[1:]], zero())
            kept = tirx.if_then_else(_inside(i, t.shape), t[i], zero())
            return tirx.if_then_else(wide(i[0]) == wide(k()), new, kept)

        return te.compute(shape, element, name="variant_set")

    symbols = [d for d in dims if not isinstance(d, int)]
    return of_rows(g, g.te(compute, rows, at, item, *symbols, name="variant_set"))


def _inside(index: Sequence[Any], shape: Sequence[Any]) -> Any:
    return tirx.all(*(i < extent for i, extent in zip(index, shape, strict=True)))
