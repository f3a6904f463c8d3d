"""Counts of values in rows."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal

INDICES = np.int64([[0, 0], [0, 3], [1, 1], [3, 0], [3, 2], [3, 4]])
VALUES = np.int64([2, 5, 2, 0, 2, 2])
SPLITS = np.int64([0, 2, 2, 3, 6])
NONE = np.zeros(0, np.int32)
WEIGHTS = normal(6)

CASES = [
    Case("SetSize", [feed(INDICES, (None, 2)), feed(VALUES, (None,)), np.int64([4, 5])]),
    Case("SetSize", [feed(np.int64([[0, 1, 0], [0, 1, 1], [2, 0, 3]])), feed(ints(3, high=2)),
                     feed(np.int64([3, 2, 4]))], "three axes"),
    *(
        Case("SparseBincount", [feed(INDICES), feed(VALUES), np.int64([4, 5]), np.int64(4),
                                feed(weights) if weights.size else weights],
             f"{weights.dtype} {binary}", attrs={"binary_output": binary})
        for weights, binary in ((NONE, False), (NONE, True), (WEIGHTS, False))
    ),
    Case("SparseBincount", [feed(INDICES[:, 1:] + 1), feed(VALUES), np.int64([6]), np.int64(7),
                            NONE], "vector"),
    *(
        Case("RaggedBincount", [feed(SPLITS), feed(VALUES.astype("int32")), np.int32(6),
                                feed(weights) if weights.size else weights],
             f"{weights.dtype} {binary}", attrs={"binary_output": binary})
        for weights, binary in ((NONE, False), (NONE, True), (WEIGHTS, False))
    ),
    *(
        Case("DenseCountSparseOutput", [feed(ints(*shape, high=7, dtype="int64")), weights],
             f"{shape} {binary} {more}", attrs={"binary_output": binary} | more)
        for shape, weights, binary, more in (
            ((3, 8), np.zeros(0, np.int64), False, {}),
            ((9,), np.zeros(0, np.int64), False, {"minlength": 12}),
            ((3, 8), np.zeros(0, np.int64), True, {"maxlength": 5}),
            ((3, 8), normal(3, 8), False, {"minlength": 2, "maxlength": 6}),
        )
    ),
    *(
        Case("SparseCountSparseOutput", [feed(INDICES), feed(VALUES), np.int64([4, 5]),
                                         feed(weights) if weights.size else weights],
             f"{weights.dtype}", attrs={"binary_output": False})
        for weights in (np.zeros(0, np.int64), WEIGHTS)
    ),
    *(
        Case("RaggedCountSparseOutput", [feed(SPLITS), feed(VALUES), np.zeros(0, np.int64)],
             f"{binary}", attrs={"binary_output": binary, "maxlength": 5})
        for binary in (False, True)
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
