"""Axes that are known at run time only: an op along one, as the op along a fixed axis of a view.

The rank of every result is known; what depends on the axis is which dimension stands where. A
number of an axis outside the rank, which TensorFlow refuses when it runs, wraps around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.frontend.dims import Dim, same_dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import product

R = relax.op


def axis_at(g: Emitter, node: Node, index: int, rank: int) -> Dim:
    """Input `index` as one axis of `rank`, from 0: an int, or a symbol where it is computed."""
    numbers = g.known(node, index)
    if numbers is not None:
        return int(numbers.item()) % max(rank, 1)
    return axes_in(g, node, index, rank)[0]


def axes_in(g: Emitter, node: Node, index: int, rank: int) -> list[Dim]:
    """Input `index`, computed at run time, as axes of `rank`, from 0."""
    axes = g.arg(node, index)
    wrapped = R.floor_mod(axes, g.const(max(rank, 1), g.dtype(axes)))
    return g.counted(node, g.emit(wrapped))


def one_of(cases: Sequence[tuple[Any, Dim]], last: Dim) -> Dim:
    """The dimension of the first condition that holds, else `last`."""
    result = last
    for condition, dim in reversed(cases):
        result = dim if same_dim(dim, result) else tirx.Select(condition, *_pair(dim, result))
    return result


def _pair(*dims: Dim) -> list[Any]:
    return [tirx.IntImm("int64", d) if isinstance(d, int) else d for d in dims]


@dataclass(frozen=True, slots=True)
class Lane:
    """A tensor seen along one axis.

    x: the tensor itself where the axis is known, else its view (outer, extent, inner).
    axis: the axis of x to work along.
    at: which axis of `dims`, the tensor's own dimensions, that is.
    """

    x: relax.Expr
    axis: int
    at: Dim
    dims: tuple[Dim, ...]

    @classmethod
    def of(cls, g: Emitter, x: relax.Expr, at: Dim) -> Lane:
        dims = g.shape(x)
        if isinstance(at, int):
            return cls(x, at, at, tuple(dims))
        outer = product([one_of([(at > i, d)], 1) for i, d in enumerate(dims)])
        inner = product([one_of([(at < i, d)], 1) for i, d in enumerate(dims)])
        extent = one_of([(at == i, d) for i, d in enumerate(dims)], 1)
        return cls(g.emit(g.reshape(x, [outer, extent, inner])), 1, at, tuple(dims))

    @property
    def extent(self) -> Dim:
        at = self.at
        if isinstance(at, int):
            return self.dims[at] if self.dims else 1
        return one_of([(at == i, d) for i, d in enumerate(self.dims)], 1)

    def back(self, g: Emitter, result: relax.Expr, extents: Sequence[Dim]) -> relax.Expr:
        """A result made of x in the tensor's own dimensions, with `extents` for that axis."""
        if isinstance(self.at, int):
            return result
        return g.reshape(g.normal(result), self.shape(extents))

    def shape(self, extents: Sequence[Dim]) -> list[Dim]:
        """The tensor's dimensions with `extents` in place of that of the axis."""
        at, n = self.at, len(extents)
        if isinstance(at, int):
            return [*self.dims[:at], *extents, *self.dims[at + 1 :]]
        result: list[Dim] = []
        for p in range(len(self.dims) - 1 + n):
            before = [(at > p, self.dims[p])] if p < len(self.dims) - 1 else []
            inside = [(at == p - k, extents[k]) for k in range(n) if 0 <= p - k < len(self.dims)]
            behind = [(at <= p - n, self.dims[p - n + 1])] if p >= n else []
            cases: list[tuple[Any, Dim]] = [*before, *inside, *behind]
            result.append(one_of(cases[:-1], cases[-1][1]))  # one of them holds
        return result


def permuted(g: Emitter, x: relax.Expr, order: Sequence[Dim]) -> relax.Expr:
    """`x` with its axes in an order of symbols."""
    dims = g.shape(x)
    shape = [one_of([(o == i, d) for i, d in enumerate(dims)][:-1], dims[-1]) for o in order]
    sizes = _pair(*shape)

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        places, extents = given[: len(order)], given[len(order) :]

        def element(*i: Any) -> Any:
            at = []
            for axis in range(len(dims)):
                position: Any = tirx.IntImm("int64", 0)
                for place, v in zip(places, i, strict=True):
                    position = tirx.Select(place == axis, tirx.Cast("int64", v), position)
                at.append(position)
            return t(*at)

        return te.compute(extents, element, name="permuted")

    return g.te(compute, x, *order, *sizes, name="permuted")


def listed(axes: te.Tensor, rank: int, axis: int) -> list[Any]:
    """For each entry of a vector of axes, whether it names `axis`."""
    count = int(axes.shape[0])
    return [tirx.floormod(tirx.Cast("int64", axes[k]), rank) == axis for k in range(count)]
