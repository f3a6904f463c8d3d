"""Reductions, extremes, running sums, sorting, segments."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from op_cases import Case, feed, ints, normal, uniform

X = normal(3, 4, 5)
IDS = np.int32([0, 0, 1, 3, 3, 3])
ROWS = normal(6, 3)
LOOSE = {"rtol": 2e-5, "atol": 1e-5, "why": "sums in another order"}
_AXES = {"all": [0, 1, 2], "last": [-1], "middle": [1], "two": [0, -1], "none": []}
_REDUCE = ("Sum", "Prod", "Max", "Min", "Mean", "EuclideanNorm")

LARGE = np.uint64([[2**64 - 1, 3, 2**63, 0, 2**63 - 1], [7, 7, 2**63 + 1, 2**63 + 1, 1]])

CASES = [
    *(
        Case(op, [feed(X), np.int32(axes)], f"{name} {keep}", attrs={"keep_dims": keep}, **LOOSE)
        for op in _REDUCE
        for name, axes in _AXES.items()
        for keep in (False, True)
    ),
    *(
        Case(op, [feed(X.astype(t)), np.int32([1])], t, rtol=5e-3, atol=5e-3, why="float16")
        for op in _REDUCE
        for t in ("float64", "float16")
    ),
    *(
        Case(op, [feed(ints(3, 4, low=-9, dtype=t)), np.int32([0])], t)
        for op in ("Sum", "Prod", "Max", "Min", "Mean")
        for t in ("int32", "int64")
    ),
    Case("Sum", [feed(X), np.int32(1)], "scalar axis"),
    *(
        Case(op, [feed(X), feed(np.int32(axes))], f"computed {axes} {keep}",
             attrs={"keep_dims": keep}, **LOOSE)
        for op in ("Sum", "Prod", "Max", "Min", "Mean")
        for axes in ([0, 2], [-2], 1, [1, 0, 2])
        for keep in (False, True)
    ),
    *(Case(op, [feed(X > 0), feed(np.int32([0]))], "computed") for op in ("All", "Any")),
    Case("Mean", [feed(ints(3, 4, low=-9)), feed(np.int32([0]))], "computed int32"),
    Case("Sum", [feed(np.zeros((0, 3), np.float32)), np.int32([0])], "empty"),
    Case("Mean", [feed(X, (None, 4, 5)), np.int32([0, 2])], "open", **LOOSE),
    *(
        Case(op, [feed(ints(3, 4, high=2).astype(bool)), np.int32(axes)], str(axes))
        for op in ("All", "Any")
        for axes in ([0], [-1], [0, 1], [])
    ),
    *(
        Case(op, [feed(X), np.int32(axis)], f"{axis} {t}", attrs={"output_type": t})
        for op in ("ArgMax", "ArgMin")
        for axis in (0, -1)
        for t in ("int32", "int64")
    ),
    *(Case(op, [feed(ints(4, 9, high=3)), np.int32(1)], "ties") for op in ("ArgMax", "ArgMin")),
    *(
        Case(op, [feed(uniform(3, 4, 5, low=0.5, high=1.5)), np.int32(axis)],
             f"{axis} {exclusive} {reverse}", attrs={"exclusive": exclusive, "reverse": reverse})
        for op in ("Cumsum", "Cumprod")
        for axis in (0, -1)
        for exclusive in (False, True)
        for reverse in (False, True)
    ),
    Case("Cumsum", [feed(ints(3, 4)), np.int32(1)], "int32"),
    Case("TopKV2", [feed(X), np.int32(3)]),
    *(Case(op, [feed(np.sort(ints(2, 9), 1)), feed(ints(2, 5, low=-1, high=12, seed=1))])
      for op in ("LowerBound", "UpperBound")),
    *(Case("NthElement", [feed(X), np.int32(2)], str(r), attrs={"reverse": r})
      for r in (False, True)),
    Case("HistogramFixedWidth", [feed(normal(40)), np.float32([-1, 1.5]), np.int32(7)]),
    Case("TopKV2", [feed(ints(4, 9, high=4)), np.int32(5)], "ties"),
    Case("TopKV2", [feed(LARGE), np.int32(4)], "uint64"),
    *(Case("NthElement", [feed(LARGE), np.int32(2)], f"uint64 {r}", attrs={"reverse": r})
      for r in (False, True)),
    *(Case(op, [feed(ROWS), feed(IDS)], **LOOSE)
      for op in ("SegmentSum", "SegmentMean", "SegmentProd", "SegmentMax", "SegmentMin")),
    *(Case(op, [feed(ints(6, 2)), feed(IDS)], "int32")
      for op in ("SegmentSum", "SegmentMax", "SegmentMin")),
    Case("SegmentSum", [feed(ROWS), IDS], "known ids"),
    *(
        Case(op, [feed(ROWS), feed(np.int32([2, -1, 0, 2, 4, 0])), np.int32(5)], **LOOSE)
        for op in ("UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax",
                   "UnsortedSegmentMin")
    ),
    *(
        Case(op, [feed(ROWS.astype(ml_dtypes.bfloat16)), feed(np.int32([2, -1, 0, 2, 4, 0])),
                  np.int32(5)], "bfloat16")
        for op in ("UnsortedSegmentMax", "UnsortedSegmentMin")
    ),
    Case("UnsortedSegmentSum", [feed(normal(2, 3, 4)), feed(ints(2, 3, high=4)), np.int32(4)],
         "matrix of ids", **LOOSE),
    *(
        Case(f"SparseSegment{how}", [feed(ROWS), feed(np.int32([5, 0, 2, 2])),
                                     feed(np.int32([0, 0, 1, 3]))], **LOOSE)
        for how in ("Sum", "Mean", "SqrtN")
    ),
    *(
        Case(f"SparseSegment{how}WithNumSegments",
             [feed(ROWS), feed(np.int32([5, 0, 2])), feed(np.int32([0, 0, 2])), np.int32(4)],
             **LOOSE)
        for how in ("Sum", "Mean", "SqrtN")
    ),
    Case("Bincount", [feed(ints(20, high=6)), np.int32(5), np.zeros(0, np.int32)]),
    Case("Bincount", [feed(ints(20, high=6)), np.int32(7), feed(normal(20))], "weights", **LOOSE),
    Case("DenseBincount", [feed(ints(3, 20, high=6)), np.int32(5), np.zeros(0, np.float32)]),
    Case("DenseBincount", [feed(ints(20, high=6)), np.int32(8), np.zeros(0, np.float32)],
         "binary", attrs={"binary_output": True}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
