"""Products, bands, diagonals and solutions of matrices; sparse matrices; detection."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal, uniform

A, B = normal(3, 5), normal(5, 4, seed=1)
LOOSE = {"rtol": 1e-4, "atol": 1e-5, "why": "sums in another order"}
SOLVED = {"rtol": 1e-3, "atol": 1e-4, "why": "elimination in float32, another order of pivots"}
SQUARE = normal(2, 4, 4) + 4 * np.eye(4, dtype=np.float32)
POSITIVE = SQUARE @ SQUARE.transpose(0, 2, 1)
ALIGN = ("LEFT_LEFT", "LEFT_RIGHT", "RIGHT_LEFT", "RIGHT_RIGHT")
BOXES = uniform(12, 4, high=1, seed=5)[:, [0, 1, 2, 3]] * [1, 1, 2, 2]
BOXES = BOXES.astype("float32")
SCORES = uniform(12, seed=6)
COORDINATES = np.int64([[0, 1], [1, 0], [3, 2], [3, 4]])

CASES = [
    *(
        Case("MatMul", [feed(A.T if ta else A), feed(B.T if tb else B)], f"{ta} {tb}",
             attrs={"transpose_a": ta, "transpose_b": tb}, **LOOSE)
        for ta in (False, True) for tb in (False, True)
    ),
    Case("MatMul", [feed(A, (None, 5)), B], "open", **LOOSE),
    Case("MatMul", [feed(A.astype("float64")), feed(B.astype("float64"))], "float64"),
    Case("MatMul", [feed(ints(3, 5)), feed(ints(5, 4))], "int32"),
    Case("BatchMatMul", [feed(normal(2, 3, 5)), feed(normal(2, 5, 4))], **LOOSE),
    *(
        Case("BatchMatMulV2", [feed(normal(2, 1, 5, 3)), feed(normal(3, 4, 5))], "adjoint",
             attrs={"adj_x": True, "adj_y": True}, **LOOSE)
        for _ in range(1)
    ),
    Case("BatchMatMulV2", [feed(normal(2, 3, 5)), B], "broadcast", **LOOSE),
    Case("BatchMatMulV3", [feed(normal(2, 3, 5)), feed(B)], attrs={"Tout": "float32"}, **LOOSE),
    *(
        Case("Einsum", [[feed(normal(*s, seed=i)) for i, s in enumerate(shapes)]], equation,
             attrs={"equation": equation}, **LOOSE)
        for equation, *shapes in (
            ("ij,jk->ik", (3, 5), (5, 4)), ("bij,bjk->bik", (2, 3, 5), (2, 5, 4)),
            ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)), ("ij->ji", (3, 5)),
            ("ij->i", (3, 5)), ("i,j->ij", (3,), (4,)), ("abc,cd->abd", (2, 3, 4), (4, 5)),
            ("...ij,...jk->...ik", (2, 3, 5), (2, 5, 4)),
        )
    ),
    Case("Einsum", [[feed(normal(3, 5, dtype="float64")), feed(normal(5, 4, dtype="float64"))]],
         "float64", attrs={"equation": "ij,jk->ik"}),
    Case("Cross", [feed(normal(4, 3)), feed(normal(4, 3, seed=1))], **LOOSE),
    *(
        Case(op, [feed(normal(2, 4, 5)), np.int64(low), np.int64(high)], f"{low} {high}")
        for op in ("MatrixBandPart",)
        for low, high in ((1, 2), (-1, 0), (0, -1), (0, 0))
    ),
    Case("MatrixBandPart", [feed(ints(4, 4)), feed(np.int32(1)), feed(np.int32(-1))], "computed"),
    Case("BatchMatrixBandPart", [feed(normal(2, 3, 3)), np.int64(0), np.int64(-1)],
         via="MatrixBandPart"),
    Case("MatrixDiag", [feed(normal(2, 3))]),
    Case("BatchMatrixDiag", [feed(normal(2, 3))], via="MatrixDiag"),
    Case("MatrixDiagPart", [feed(normal(2, 3, 5))]),
    Case("BatchMatrixDiagPart", [feed(normal(2, 4, 4))], via="MatrixDiagPart"),
    Case("MatrixSetDiag", [feed(normal(2, 3, 5)), feed(normal(2, 3))]),
    Case("BatchMatrixSetDiag", [feed(normal(2, 3, 3)), feed(normal(2, 3))], via="MatrixSetDiag"),
    Case("MatrixDiagV2", [feed(normal(2, 3)), np.int32(1), np.int32(-1), np.int32(-1),
                          np.float32(9)]),
    Case("MatrixDiagPartV2", [feed(normal(2, 4, 5)), np.int32([-1, 2]), np.float32(9)]),
    Case("MatrixSetDiagV2", [feed(normal(2, 4, 5)), feed(normal(2, 4)), np.int32(1)]),
    *(
        Case("MatrixDiagV3", [feed(normal(2, 3, 4)), np.int32([-1, 1]), np.int32(-1), np.int32(-1),
                              np.float32(9)], align, attrs={"align": align})
        for align in ALIGN
    ),
    Case("MatrixDiagV3", [feed(normal(2, 3)), np.int32(-2), np.int32(5), np.int32(4),
                          np.float32(0)], "larger"),
    *(
        Case("MatrixDiagPartV3", [feed(normal(2, 4, 5)), np.int32([-2, 3]), np.float32(9)], align,
             attrs={"align": align})
        for align in ALIGN
    ),
    *(
        Case("MatrixSetDiagV3", [feed(normal(2, 4, 5)), feed(normal(2, 3, 4)), np.int32([-1, 1])],
             align, attrs={"align": align})
        for align in ALIGN
    ),
    *(
        Case("MatrixDiagV3", [feed(normal(2, 3, 4)), feed(np.int32([-1, 1])), feed(np.int32(r)),
                              feed(np.int32(c)), feed(np.float32(9))], f"computed {r} {c}",
             attrs={"align": "LEFT_RIGHT"})
        for r, c in ((-1, -1), (5, -1), (-1, 5), (4, 5))
    ),
    Case("MatrixDiagV3", [feed(normal(2, 3), (None, None)), feed(np.int32([2])), np.int32(-1),
                          np.int32(-1), np.float32(1)], "computed, one"),
    Case("MatrixDiagV2", [feed(ints(3, 4), (3, None)), np.int32([-2, 0]), np.int32(-1),
                          feed(np.int32(6)), feed(np.int32(7))], "open"),
    *(
        Case("MatrixDiagPartV3", [feed(normal(2, 4, 5), (2, None, None)),
                                  feed(np.int32([-2, 3])), feed(np.float32(9))],
             f"computed {align}", attrs={"align": align})
        for align in ALIGN
    ),
    Case("MatrixDiagPartV2", [feed(normal(4, 5), (None, 5)), feed(np.int32(-2)), np.float32(9)],
         "computed, one"),
    Case("MatrixDiagPart", [feed(normal(2, 4, 3), (None, None, None))], "open"),
    Case("MatrixSetDiagV2", [feed(normal(2, 4, 5), (None, None, None)),
                             feed(normal(2, 3), (None, None)), feed(np.int32(2))],
         "computed, one"),
    Case("MatrixDiagPart", [feed(normal(2, 0, 3))], "of nothing"),
    Case("Diag", [feed(normal(2, 3))]),
    Case("DiagPart", [feed(normal(2, 3, 2, 3))]),
    Case("Cholesky", [feed(POSITIVE)], **SOLVED),
    *(
        Case("MatrixTriangularSolve", [feed(SQUARE), feed(normal(2, 4, 3))], f"{lower} {adjoint}",
             attrs={"lower": lower, "adjoint": adjoint}, **SOLVED)
        for lower in (False, True) for adjoint in (False, True)
    ),
    Case("MatrixInverse", [feed(SQUARE)], **SOLVED),
    Case("MatrixInverse", [feed(SQUARE[:, ::-1].copy())], "pivots", attrs={"adjoint": True},
         **SOLVED),
    Case("MatrixDeterminant", [feed(SQUARE[:, ::-1].copy())], **SOLVED),
    Case("LogMatrixDeterminant", [feed(SQUARE[:, ::-1].copy())], **SOLVED),
    *(
        Case(op, [feed(x)], note, **SOLVED)
        for op in ("MatrixDeterminant", "LogMatrixDeterminant")
        for note, x in (
            ("singular", np.stack([np.ones((3, 3)), np.zeros((3, 3))]).astype(np.float32)),
            ("nothing", np.zeros((2, 0, 0), np.float32)),
            ("beyond float32", 10 * normal(1, 80, 80)),
        )
    ),
    Case("MatrixSolve", [feed(SQUARE), feed(normal(2, 4, 3))], **SOLVED),
    Case("MatrixSolve", [feed(SQUARE), feed(normal(2, 4, 3))], "adjoint", attrs={"adjoint": True},
         **SOLVED),
    Case("SparseToDense", [feed(COORDINATES), np.int64([4, 5]), feed(normal(4)), np.float32(-1)],
         attrs={"validate_indices": False}),
    Case("SparseToDense", [feed(np.int32([1, 3])), np.int32([5]), feed(np.int32(7)), np.int32(0)],
         "vector"),
    *(
        Case("SparseTensorDenseMatMul",
             [feed(COORDINATES), feed(normal(4)), np.int64([4, 5]),
              feed(normal(*((2, n) if transposed else (n, 2))))],
             f"{adjoint} {transposed}", attrs={"adjoint_a": adjoint, "adjoint_b": transposed},
             **LOOSE)
        for adjoint, n in ((False, 5), (True, 4)) for transposed in (False, True)
    ),
    Case("SparseReshape", [feed(COORDINATES), feed(np.int64([4, 5])), feed(np.int64([2, -1, 5]))]),
    Case("SparseReshape", [feed(COORDINATES + 9), feed(np.int64([4, 5])), np.int64([4, -1])],
         "same shape, outside"),
    Case("SparseFillEmptyRows", [feed(COORDINATES), feed(normal(4)), np.int64([6, 5]),
                                 np.float32(9)]),
    Case("NonMaxSuppression", [feed(BOXES), feed(SCORES), np.int32(5)],
         attrs={"iou_threshold": 0.3}),
    Case("NonMaxSuppressionV2", [feed(BOXES), feed(SCORES), np.int32(5), np.float32(0.4)]),
    Case("NonMaxSuppressionV3", [feed(BOXES), feed(SCORES), np.int32(50), np.float32(0.4),
                                 np.float32(0.3)]),
    *(
        Case("NonMaxSuppressionV4", [feed(BOXES), feed(SCORES), np.int32(9), np.float32(0.2),
                                     np.float32(0.3)], f"pad {pad}",
             attrs={"pad_to_max_output_size": pad})
        for pad in (False, True)
    ),
    *(
        Case("NonMaxSuppressionV5", [feed(BOXES), feed(SCORES), np.int32(9), np.float32(0.5),
                                     np.float32(0.2), np.float32(sigma)], f"sigma {sigma}")
        for sigma in (0.0, 0.5)
    ),
    *(
        Case("CropAndResize", [feed(normal(2, 7, 6, 3)), feed(uniform(4, 4, low=-0.1, high=1.1)),
                               np.int32([0, 1, 1, 0]), np.int32([3, 5])], method,
             attrs={"method": method, "extrapolation_value": 0.5}, rtol=1e-4, atol=1e-5)
        for method in ("bilinear", "nearest")
    ),
    Case("CropAndResize", [feed(normal(2, 7, 6, 3)), feed(uniform(2, 4)), np.int32([0, 1]),
                           np.int32([1, 1])], "one pixel", rtol=1e-4, atol=1e-5),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
