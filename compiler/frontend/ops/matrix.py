"""Diagonals and bands of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.emitter import Dim, Emitter
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
    the longest one lie.
    Source: tensorflow/core/kernels/linalg/matrix_diag_op.cc, ComputeContentOffset.
    """

    low: int
    high: int
    rows: Dim
    columns: Dim
    length: Dim
    align: str

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

    @property
    def single(self) -> bool:
        return self.low == self.high

    def stored(self, t: te.Tensor, i: Any) -> tuple[Any, Any]:
        """Whether the element at index i lies in the band, and what is stored for it."""
        row, column = tirx.Cast("int64", i[-2]), tirx.Cast("int64", i[-1])
        d = column - row
        at = column - tirx.max(d, 0) + self.offset(d)
        where = (*i[:-2], at) if self.single else (*i[:-2], self.high - d, at)
        return tirx.all(d >= self.low, d <= self.high), t(*where)


def _diagonals(g: Emitter, node: Node, index: int) -> tuple[int, int]:
    """Input `index`: one number, or the lowest and the highest; the V1 ops have the main one."""
    if len(node.inputs) <= index:
        return 0, 0
    k = g.static(node, index, "which diagonals").reshape(-1)
    return int(k[0]), int(k[-1])


def _align(node: Node) -> str:
    align = str(node.attr("align") or ("RIGHT_LEFT" if node.op.endswith("V3") else "LEFT_LEFT"))
    if align not in _ALIGN:
        raise BadAttr(node, "align", found=align, expected=_ALIGN)
    return align


def _longest(rows: Any, columns: Any, low: int, high: int) -> Any:
    """Source: tensorflow/core/ops/array_ops.cc, MatrixDiagPartV2's shape function."""
    a, b = rows + min(high, 0), columns - max(low, 0)
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else tirx.min(a, b)


def _require_inside(node: Node, low: int, high: int, rows: Dim, columns: Dim) -> None:
    """Raises BadNode for diagonals that the matrix does not have: they would be read all the same.

    Source: tensorflow/core/kernels/linalg/matrix_diag_op.cc, MatrixDiagPartOp::Compute.
    """
    known_ = isinstance(rows, int) and isinstance(columns, int)
    if low > high or (known_ and not (-rows < low <= high < columns)):
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
    low, high = _diagonals(g, node, 1)
    length = g.shape(x)[-1]
    rows, columns = _matrix_size(g, node, length, low, high)
    band = Band(low, high, rows, columns, length, _align(node))
    lead = g.shape(x)[: -1 if band.single else -2]
    dtype = g.dtype(x)
    padding = g.arg(node, 4) if len(node.inputs) > 4 else g.const(0, dtype)

    def compute(t: te.Tensor, p: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            inside, value = band.stored(t, i)
            return tirx.if_then_else(inside, value, p())

        return te.compute([*t.shape[: len(lead)], rows, columns], element, name="matrix_diag")

    return g.te(compute, x, padding, name="matrix_diag")


def _matrix_size(g: Emitter, node: Node, length: Dim, low: int, high: int) -> tuple[Dim, Dim]:
    """Rows and columns, -1 being as few as hold the diagonals.

    Source: tensorflow/core/kernels/linalg/matrix_diag_op.cc, MatrixDiagOp::Compute.
    """
    rows, columns = (
        int(g.static(node, i, what).item()) if len(node.inputs) > i else -1
        for i, what in ((2, "the rows"), (3, "the columns"))
    )
    least_rows, least_columns = length - min(high, 0), length + max(low, 0)
    if rows == -1 and columns == -1:
        side = max(least_rows, least_columns) if isinstance(length, int) else least_rows
        return side, side
    return (least_rows if rows == -1 else rows), (least_columns if columns == -1 else columns)


@MATRIX.op("MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3", "BatchMatrixDiagPart")
def matrix_diag_part(g: Emitter, node: Node) -> relax.Expr:
    """The diagonals of matrices, one a row, padded to the longest."""
    x = g.arg(node, 0)
    low, high = _diagonals(g, node, 1)
    *lead, rows, columns = g.static_shape(node, x)
    _require_inside(node, low, high, rows, columns)
    length = _longest(rows, columns, low, high)
    band = Band(low, high, rows, columns, length, _align(node))
    padding = g.arg(node, 2) if len(node.inputs) > 2 else g.const(0, g.dtype(x))
    shape = [*lead, length] if band.single else [*lead, high - low + 1, length]

    def compute(t: te.Tensor, p: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            d = tirx.const(high, "int64")
            if not band.single:
                d = d - tirx.Cast("int64", i[-2])
            at = tirx.Cast("int64", i[-1]) - band.offset(d)
            inside = tirx.all(at >= 0, at < band.extent(d))
            where = (*i[: len(lead)], at + tirx.max(-d, 0), at + tirx.max(d, 0))
            return tirx.if_then_else(inside, t(*where), p())

        return te.compute(shape, element, name="diag_part")

    return g.te(compute, x, padding, name="diag_part")


@MATRIX.op("MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3", "BatchMatrixSetDiag")
def matrix_set_diag(g: Emitter, node: Node) -> relax.Expr:
    """Matrices with some diagonals replaced."""
    x, diagonal = g.arg(node, 0), g.arg(node, 1)
    low, high = _diagonals(g, node, 2)
    align = _align(node)
    *lead, rows, columns = g.shape(x)
    _require_inside(node, low, high, rows, columns)
    band = [] if low == high else [high - low + 1]
    expected = [*lead, *band, _longest(rows, columns, low, high)]
    _require_shape(node, g.shape(diagonal), expected)

    def compute(t: te.Tensor, new: te.Tensor) -> te.Tensor:
        band = Band(low, high, t.shape[-2], t.shape[-1], new.shape[-1], align)

        def element(*i: Any) -> Any:
            inside, value = band.stored(new, i)
            return tirx.if_then_else(inside, value, t(*i))

        return te.compute(t.shape, element, name="set_diag")

    return g.te(compute, x, diagonal, name="set_diag")


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
