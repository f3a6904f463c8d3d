"""Determinants by elimination: 0 for a singular matrix, 1 for one without rows."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.solve import swap_pivot
from dlcc.compiler.frontend.ops.table import OpTable

DETERMINANT = OpTable()


@DETERMINANT.op("MatrixDeterminant", "BatchMatrixDeterminant")
def matrix_determinant(g: Emitter, node: Node) -> relax.Expr:
    return _of_pivots(g, g.arg(node, 0))[0]


@DETERMINANT.op("LogMatrixDeterminant")
def log_matrix_determinant(g: Emitter, node: Node) -> list[relax.Expr]:
    """(sign, log |determinant|), the sum of the pivots' logarithms: the product may overflow."""
    return _of_pivots(g, g.arg(node, 0))[1:]


def _of_pivots(g: Emitter, x: relax.Expr) -> list[relax.Expr]:
    """The product of the pivots of each matrix, its sign, and the logarithm of its size.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, algorithm 3.4.1, which goes on
    past a column of zeros as Eigen's partialPivLu does.
    """
    *lead, n, _ = dims = g.shape(x)
    dtype = g.dtype(x)
    zero, one = tirx.const(0, dtype), tirx.const(1, dtype)

    def body(given: Any, det: Any, sign: Any, log: Any, m: Any, held: Any, best: Any) -> None:
        with T.serial(0, product(dims)) as i:
            m[i] = given[i]
        with T.serial(0, product(lead)) as batch:
            det[batch], sign[batch], log[batch] = one, one, zero
            with T.serial(0, n) as k:
                top = (batch * n + k) * n
                swap_pivot(m, (batch, k, n), held, best)
                with T.If(best[0] != k), T.Then():
                    det[batch], sign[batch] = zero - det[batch], zero - sign[batch]
                held[0] = m[top + k]
                det[batch] = det[batch] * held[0]
                size = tirx.abs(held[0])
                log[batch] = log[batch] + tirx.log(size)
                sign[batch] = tirx.if_then_else(
                    held[0] == zero, zero, sign[batch] * (held[0] / size)
                )
                with T.If(held[0] != zero), T.Then(), T.serial(0, n - k - 1) as row:
                    here = (batch * n + k + 1 + row) * n
                    held[1] = m[here + k] / m[top + k]
                    with T.serial(0, n - k) as c:
                        m[here + k + c] = m[here + k + c] - held[1] * m[top + k + c]

    outputs = [(lead, dtype)] * 3 + [(dims, dtype), ([2], dtype), ([1], "int64")]
    return loop_kernel(g, "determinant", [x], outputs, body)[:3]
