"""Diagonals and bands of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.dims import Dim, larger_dim, smaller_dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import product
from dlcc.compiler.frontend.ops.table import OpTable

MATRIX = OpTable()

_ALIGN = ("LEFT_LEFT", "LEFT_RIGHT", "RIGHT_LEFT", "RIGHT_RIGHT")


@MATRIX.op("MatrixBandPart", "BatchMatrixBandPart")
def band_part(g: Emitter, node: Node) -> relax.Expr:
    """Elements at most `lower` below and `upper` above the main diagonal; negative: all."""
    x, lower, upper = g.args(node)
    dtype = g.dtype(x)

    def compute(t: te.Tensor, low: te.Tensor, high: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            row, column = tirx.Cast("int64", i[-2]), tirx.Cast("int64", i[-1])
            below, above = tirx.Cast("int64", low()), tirx.Cast("int64", high())
            inside = tirx.all(
                tirx.any(below < 0, row - column <= below),
                tirx.any(above < 0, column - row <= above),
            )
            return tirx.Select(inside, t(*i), tirx.const(0, dtype))

        return te.compute(t.shape, element, name="band_part")

    return g.te(compute, x, lower, upper, name="band_part")


@dataclass(frozen=True, slots=True)
class Band:
    """Diagonals `low` to `high` of a matrix of `rows` x `columns`, stored in rows of `length`.

    The highest diagonal comes first. align: on which side super- and subdiagonals shorter than
    the longest one lie.   single: one diagonal, stored without an axis for their number.
    Source: tensorflow/core/kernels/linalg/matrix_diag_op.cc, ComputeContentOffset.
    """

    low: Dim
    high: Dim
    rows: Dim
    columns: Dim
    length: Dim
    align: str
    single: bool

    @property
    def numbers(self) -> tuple[Dim, ...]:
        return self.low, self.high, self.rows, self.columns, self.length

    def symbols(self) -> list[Any]:
        """The numbers that are not known before the model runs: what a kernel has to be given."""
        return [d for d in self.numbers if not isinstance(d, int)]

    def within(self, given: Sequence[Any]) -> Band:
        """The band in a kernel's own variables, which stand for `symbols`."""
        rest = iter(given)
        low, high, rows, columns, length = (
            d if isinstance(d, int) else next(rest) for d in self.numbers
        )
        return Band(low, high, rows, columns, length, self.align, self.single)

    def extent(self, d: Any) -> Any:
        """Elements of diagonal `d`."""
        return tirx.min(self.columns - tirx.max(d, 0), self.rows + tirx.min(d, 0))

    def offset(self, d: Any) -> Any:
        """Where diagonal `d` begins in its row of storage."""
        above, below = self.align.split("_")
        left = tirx.any(
            tirx.all(d >= 0, tirx.const(above == "LEFT", "bool")),
            tirx.all(d <= 0, tirx.const(below == "LEFT", "bool")),
        )
        return tirx.Select(left, tirx.const(0, "int64"), self.length - self.extent(d))

    def stored(self, t: te.Tensor, i: Any) -> tuple[Any, Any]:
        """Whether the element at index i lies in the band, and what is stored for it."""
        row, column = tirx.Cast("int64", i[-2]), tirx.Cast("int64", i[-1])
        d = column - row
        at = column - tirx.max(d, 0) + self.offset(d)
        where = (*i[:-2], at) if self.single else (*i[:-2], self.high - d, at)
        return tirx.all(d >= self.low, d <= self.high), t(*where)


def _diagonals(g: Emitter, node: Node, index: int) -> tuple[Dim, Dim, bool]:
    """Input `index`: the lowest diagonal, the highest, and whether that is one without an axis.

    The V1 ops have the main one. Two numbers computed at run time are taken for a band, whose
    axis TensorFlow leaves out where they turn out equal: the rank must be known here.
    """
    if len(node.inputs) <= index:
        return 0, 0, True
    low, *rest = g.dims(node, index)
    high = rest[-1] if rest else low
    return low, high, not rest or (isinstance(low, int) and low == high)


def _align(node: Node) -> str:
    align = str(node.attr("align") or ("RIGHT_LEFT" if node.op.endswith("V3") else "LEFT_LEFT"))
    if align not in _ALIGN:
        raise BadAttr(node, "align", found=align, expected=_ALIGN)
    return align


def _longest(rows: Dim, columns: Dim, low: Dim, high: Dim) -> Dim:
    """Source: tensorflow/core/ops/array_ops.cc, MatrixDiagPartV2's shape function."""
    return smaller_dim(rows + smaller_dim(high, 0), columns - larger_dim(low, 0))


def _require_inside(node: Node, low: Dim, high: Dim, rows: Dim, columns: Dim) -> None:
    """Raises BadNode for diagonals that the matrix does not have: they would be read all the same.

    Diagonal 0 every matrix has, also one without elements.
    Source: tensorflow/core/kernels/linalg/matrix_diag_op.cc, MatrixDiagPartOp::Compute.
    """
    chain = [(low, high), (smaller_dim(-rows + 1, 0), low), (high, larger_dim(columns - 1, 0))]
    if any(isinstance(a, int) and isinstance(b, int) and a > b for a, b in chain):
        raise BadNode(node, f"diagonals {low} to {high} do not lie in a {rows} x {columns} matrix")


def _require_shape(node: Node, found: Sequence[Dim], expected: Sequence[Dim]) -> None:
    """Raises BadNode where dimensions known on both sides differ, or their number does."""
    pairs = zip(found, expected, strict=False)
    differ = [a for a, b in pairs if isinstance(a, int) and isinstance(b, int) and a != b]
    if differ or len(found) != len(expected):
        raise BadNode(node, f"its diagonals have shape {list(found)}, expected {list(expected)}")


@MATRIX.op("MatrixDiag", "MatrixDiagV2", "MatrixDiagV3", "BatchMatrixDiag")
def matrix_diag(g: Emitter, node: Node) -> relax.Expr:
    """Matrices with the given diagonals, padding elsewhere."""
    x = g.arg(node, 0)
    low, high, single = _diagonals(g, node, 1)
    *lead, length = g.shape(x)
    if not single:
        _require_shape(node, lead[-1:], [high - low + 1])
    rows, columns = _matrix_size(g, node, length, low, high)
    band = Band(low, high, rows, columns, length, _align(node), single)
    padding = g.arg(node, 4) if len(node.inputs) > 4 else g.const(0, g.dtype(x))
    batch = len(lead) - (not single)

    def compute(t: te.Tensor, p: te.Tensor, *given: Any) -> te.Tensor:
        own = band.within(given)

        def element(*i: Any) -> Any:
            inside, value = own.stored(t, i)
            return tirx.if_then_else(inside, value, p())

        shape = [*t.shape[:batch], own.rows, own.columns]
        return te.compute(shape, element, name="matrix_diag")

    return g.te(compute, x, padding, *band.symbols(), name="matrix_diag")


def _matrix_size(g: Emitter, node: Node, length: Dim, low: Dim, high: Dim) -> tuple[Dim, Dim]:
    """Rows and columns, -1 being as few as hold the diagonals.

    Source: tensorflow/core/kernels/linalg/matrix_diag_op.cc, MatrixDiagOp::Compute.
    """
    rows, columns = (g.dims(node, i)[0] if len(node.inputs) > i else -1 for i in (2, 3))
    least_rows, least_columns = length - smaller_dim(high, 0), length + larger_dim(low, 0)
    side = larger_dim(least_rows, least_columns)

    def size(asked: Dim, other: Dim, least: Dim) -> Dim:
        return _where(asked == -1, _where(other == -1, side, least), asked)

    return size(rows, columns, least_rows), size(columns, rows, least_columns)


def _where(condition: Any, yes: Dim, no: Dim) -> Dim:
    """One of two dimensions by a condition that may be known now."""
    if isinstance(condition, bool):
        return yes if condition else no
    return tirx.Select(condition, *(_long(d) for d in (yes, no)))


def _long(dim: Dim) -> Any:
    return tirx.IntImm("int64", dim) if isinstance(dim, int) else dim


@MATRIX.op("MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3", "BatchMatrixDiagPart")
def matrix_diag_part(g: Emitter, node: Node) -> relax.Expr:
    """The diagonals of matrices, one a row, padded to the longest."""
    x = g.arg(node, 0)
    low, high, single = _diagonals(g, node, 1)
    *lead, rows, columns = g.shape(x)
    _require_inside(node, low, high, rows, columns)
    band = Band(low, high, rows, columns, _longest(rows, columns, low, high), _align(node), single)
    padding = g.arg(node, 2) if len(node.inputs) > 2 else g.const(0, g.dtype(x))
    batch = len(lead)

    def compute(t: te.Tensor, p: te.Tensor, *given: Any) -> te.Tensor:
        own = band.within(given)

        def element(*i: Any) -> Any:
            d = _long(own.high) if single else own.high - tirx.Cast("int64", i[-2])
            at = tirx.Cast("int64", i[-1]) - own.offset(d)
            inside = tirx.all(at >= 0, at < own.extent(d))
            where = (*i[:batch], at + tirx.max(-d, 0), at + tirx.max(d, 0))
            return tirx.if_then_else(inside, t(*where), p())

        bands = [] if single else [own.high - own.low + 1]
        return te.compute([*t.shape[:batch], *bands, own.length], element, name="diag_part")

    return g.te(compute, x, padding, *band.symbols(), name="diag_part")


@MATRIX.op("MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3", "BatchMatrixSetDiag")
def matrix_set_diag(g: Emitter, node: Node) -> relax.Expr:
    """Matrices with some diagonals replaced."""
    x, diagonal = g.arg(node, 0), g.arg(node, 1)
    low, high, single = _diagonals(g, node, 2)
    *lead, rows, columns = g.shape(x)
    single = single or g.rank(diagonal) < g.rank(x)
    _require_inside(node, low, high, rows, columns)
    bands = [] if single else [high - low + 1]
    length = _longest(rows, columns, low, high)
    _require_shape(node, g.shape(diagonal), [*lead, *bands, length])
    band = Band(low, high, rows, columns, g.shape(diagonal)[-1], _align(node), single)

    def compute(t: te.Tensor, new: te.Tensor, *given: Any) -> te.Tensor:
        own = band.within(given)

        def element(*i: Any) -> Any:
            inside, value = own.stored(new, i)
            return tirx.if_then_else(inside, value, t(*i))

        return te.compute(t.shape, element, name="set_diag")

    return g.te(compute, x, diagonal, *band.symbols(), name="set_diag")


@MATRIX.op("Diag")
def diag(g: Emitter, node: Node) -> relax.Expr:
    """(a, b, …) -> (a, b, …, a, b, …), 0 where the two halves of the index differ."""
    x = g.arg(node, 0)
    rank, dtype = g.rank(x), g.dtype(x)

    def compute(t: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            equal = [a == b for a, b in zip(i[:rank], i[rank:], strict=True)]
            return tirx.Select(tirx.all(*equal), t(*i[:rank]), tirx.const(0, dtype))

        return te.compute([*t.shape, *t.shape], element, name="diag")

    return g.te(compute, x, name="diag")


@MATRIX.op("DiagPart")
def diag_part(g: Emitter, node: Node) -> relax.Expr:
    """(a, b, …, a, b, …) -> (a, b, …): every (size + 1)-th element."""
    x = g.arg(node, 0)
    dims = g.static_shape(node, x)
    half = dims[: len(dims) // 2]
    size = int(np.prod(half))
    flat = g.reshape(x, [product(dims)])
    every = relax.op.strided_slice(flat, [0], [0], [size * size], [size + 1])
    return g.reshape(every, half)
