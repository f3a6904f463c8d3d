"""Axes, counts, orders and sizes that are inputs of the model: known at run time only."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal

X = normal(2, 3, 4, 5)
M = normal(4, 6)


def _int(*values, dtype="int32"):
    return feed(np.asarray(values[0] if len(values) == 1 else values, dtype))


def _ints(*values, dtype="int32"):
    return feed(np.asarray(values, dtype))


NOTHING = np.zeros((3, 0), np.float32)
CASES = [
    *(Case(op, [feed(X), _int(a)], str(a)) for op in ("ArgMax", "ArgMin") for a in (1, -1)),
    Case("ArgMax", [feed(ints(5, high=9)), _int(0)], "vector", attrs={"output_type": "int32"}),
    *(Case(op, [feed(X), _int(a)], str(a), attrs={"exclusive": e, "reverse": r})
      for op in ("Cumsum", "Cumprod") for a, e, r in ((1, False, True), (-1, True, False))),
    Case("EuclideanNorm", [feed(X), _ints(1, 3)]),
    Case("EuclideanNorm", [feed(X), _ints(1, -1)], "kept", attrs={"keep_dims": True}),
    Case("EuclideanNorm", [feed(ints(3, 4)), _ints(-1)], "int32"),
    Case("Sum", [feed(X), _int(1)], "scalar axis"),
    Case("Max", [feed(X), _ints(1)]),
    *(
        Case(op, [feed(x), _ints(1)], note)
        for op in ("Max", "Min")
        for note, x in (
            ("NaN", np.float32([[1, np.nan, 3], [4, 5, 6]])), ("of nothing", NOTHING),
        )
    ),
    Case("ReverseV2", [feed(X), _ints(1, -1)]),
    Case("ReverseV2", [feed(X), _ints()], "none"),
    Case("Reverse", [feed(M), feed(np.bool_([False, True]))]),
    Case("Roll", [feed(X), _ints(1, -2), _ints(0, -1)]),
    Case("Roll", [feed(X), _int(3), _int(2)], "scalars"),
    Case("Transpose", [feed(X), _ints(2, 0, 3, 1)]),
    Case("Transpose", [feed(ints(3, 4)), _ints(1, 0, dtype="int64")], "int32"),
    Case("ConjugateTranspose", [feed(X), _ints(2, 0, 3, 1)]),
    Case("ConcatV2", [[feed(X), feed(X + 1)], _int(2)]),
    Case("ConcatV2", [[feed(X), feed(X[:, :1])], _int(1)], "unlike"),
    Case("Concat", [_int(-1), [feed(M), feed(M)]]),
    Case("Split", [_int(1), feed(M)], attrs={"num_split": 2}),
    Case("SplitV", [feed(M), _ints(1, 2, 3), _int(1)], attrs={"num_split": 3}),
    Case("SplitV", [feed(M), _ints(1, 2, 3), np.int32(1)], "sizes", attrs={"num_split": 3}),
    Case("SplitV", [feed(M), np.int64([1, -1, 2]), _int(-1)], "axis", attrs={"num_split": 3}),
    Case("SplitV", [feed(M), _ints(-1, 2), np.int32(0)], "rest", attrs={"num_split": 2}),
    Case("SplitV", [feed(normal(4, 6), (4, None)), np.int32([1, -1, 2]), np.int32(1)],
         "open", attrs={"num_split": 3}),
    Case("ExpandDims", [feed(X), _int(2)]),
    Case("ExpandDims", [feed(X), _ints(-1)], "vector"),
    Case("OneHot", [feed(np.int32([[0, 2], [5, -1]])), _int(4), np.float32(2), np.float32(-1)]),
    Case("OneHot", [feed(np.int64([0, 2])), _int(4), feed(np.int32(2)), np.int32(-1)], "axis 0",
         attrs={"axis": 0}),
    Case("TopKV2", [feed(M), _int(3)]),
    Case("TopKV2", [feed(ints(9, high=4)), _int(5)], "equals"),
    Case("Tile", [feed(M), _ints(2, 3)]),
    Case("Pad", [feed(M), _ints([1, 0], [0, 2])]),
    Case("PadV2", [feed(M), _ints([1, 0], [0, 2]), feed(np.float32(-3))]),
    Case("PadV2", [feed(M), np.int32([[1, 0], [0, 2]]), feed(np.float32(-3))], "value"),
    Case("MirrorPad", [feed(M), _ints([2, 1], [0, 3])], attrs={"mode": "REFLECT"}),
    Case("MirrorPad", [feed(M), _ints([2, 1], [0, 3])], "sym", attrs={"mode": "SYMMETRIC"}),
    Case("Slice", [feed(M), _ints(1, 2), _ints(2, -1)]),
    Case("Slice", [feed(M), _ints(1, 2), np.int32([2, -1])], "rest"),
    Case("StridedSlice", [feed(M), _ints(1, -3), _ints(-1, 6), _ints(1, 2)]),
    Case("StridedSlice", [feed(M), _ints(-1, 0), _ints(0, 6), _ints(-2, 4)], "down"),
    Case("StridedSlice", [feed(M), np.int32([0, 0]), np.int32([0, 0]), _ints(-1, 2)], "masks",
         attrs={"begin_mask": 3, "end_mask": 3}),
    Case("GatherV2", [feed(X), feed(np.int64([2, 0])), _int(1)]),
    Case("GatherV2", [feed(X), feed(np.int64([[1, 0]])), _int(-1)], "last"),
    Case("Range", [_int(2), _int(11), _int(3)]),
    Case("Range", [_int(7), _int(-2), _int(-3)], "down"),
    *(Case("Range", [feed(np.float32(2)), feed(np.float32(0)), feed(np.float32(s))], str(s))
      for s in (-0.5, -0.3)),
    Case("Range", [np.float32(0), feed(np.float32(4)), np.float32(1)], "limit"),
    Case("Fill", [_ints(2, 3), feed(np.float32(7))]),
    Case("LinSpace", [feed(np.float32(1)), feed(np.float32(3)), _int(7)]),
    Case("LinSpace", [feed(np.float64(1)), feed(np.float64(3)), _int(1)], "one"),
    Case("Bincount", [feed(ints(9, high=4)), _int(5), np.float32([])]),
    Case("UnsortedSegmentSum", [feed(M), feed(np.int32([0, 2, 0, 1])), _int(5)]),
    Case("SparseSegmentSumWithNumSegments",
         [feed(M), feed(np.int32([0, 3])), feed(np.int32([0, 2])), _int(5)]),
    Case("MatrixBandPart", [feed(M), _int(1), _int(-1)]),
    Case("BroadcastTo", [feed(normal(3, 1)), _ints(2, 3, 4)]),
    Case("ScatterNd", [feed(np.int32([[0], [2]])), feed(normal(2, 4)), _ints(5, 4)]),
    Case("SpaceToBatchND", [feed(normal(2, 5, 6)), _ints(2), _ints([1, 2])]),
    Case("BatchToSpaceND", [feed(normal(4, 5, 6)), _ints(2), _ints([1, 2])]),
    Case("ResizeBilinear", [feed(normal(1, 5, 6, 2)), _ints(7, 3)]),
    Case("NthElement", [feed(M), _int(3)]),
    Case("InTopKV2", [feed(M), feed(np.int32([0, 2, 1, 5])), _int(3)]),
    Case("Multinomial", [feed(M), _int(3)], build=lambda tf, x, n: 0 * tf.raw_ops.Multinomial(
        logits=x, num_samples=n)),
    Case("UniqueV2", [feed(ints(20, high=6)), _ints(0)]),
    Case("CropAndResize", [feed(normal(1, 5, 6, 2)), feed(np.float32([[0, 0, 1, 1]])),
                           np.int32([0]), _ints(3, 2)]),
    Case("Split", [np.int32(0), feed(M, (None, 6))], "open", attrs={"num_split": 2}),
    Case("Unpack", [feed(M, (None, 6))], "open", attrs={"axis": 0, "num": 4}),
    Case("RFFT", [feed(M), _ints(4)]),
    Case("NonMaxSuppressionV3",
         [feed(np.float32([[0, 0, 1, 1], [0, 0, 1, 1.1], [2, 2, 3, 3]])),
          feed(np.float32([0.9, 0.8, 0.7])), _int(2), np.float32(0.5), np.float32(0)]),
    Case("TopK", [feed(M), np.int32(3)], via="TopKV2", patch={"k": 3}),
    Case("TopKV2", [feed(M), np.int32(0)], "none"),
    Case("Range", [np.float32(0), np.float32(1), np.float32(0.1)], "rounded steps"),
    *(
        Case("Conv2D", [feed(normal(2, 7, 8, 4)), feed(normal(3, 2, c, 6), (None,) * 4)],
             f"{p} {c}", attrs={"strides": [1, s, 2, 1], "padding": p, "dilations": [1, 1, d, 1]})
        for p, c, s, d in (("VALID", 4, 1, 1), ("SAME", 2, 2, 1), ("SAME", 4, 1, 2))
    ),
    *(Case(op, [feed(NOTHING), a], "nothing") for op, a in (
        ("ExpandDims", _int(1)), ("Cumsum", _int(1)), ("Tile", _ints(2, 3)),
        ("ArgMax", _int(0)), ("Transpose", _ints(1, 0)),
    )),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
