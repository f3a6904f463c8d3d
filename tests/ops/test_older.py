"""Ops of older graphs, and the small ones that graph rewriters leave behind."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal, stand_in

M = normal(4, 6)
SQUARE = normal(2, 4, 4)
POSITIVE = SQUARE @ SQUARE.transpose(0, 2, 1) + np.eye(4, dtype="float32")
# the sign of an eigenvector is free: that of an axis comes out positive on both sides
DIAGONAL = np.stack([np.diag(np.float32([3, -1, 2])), np.diag(np.float32([0.5, 4, 1]))])
SPECIAL = np.float32([0, 1, -1, np.inf, -np.inf, np.nan, 1e-30, 3e38])
_SOLVED = {"rtol": 1e-3, "atol": 1e-4, "why": "another order of elimination"}


def _batch(op, args, note="", **fields):
    """A Batch… op, which TensorFlow makes no more, with the name of its successor's node."""
    return Case(f"Batch{op}", args, note, via=op, **_SOLVED, **fields)


def _eig_v1(tf, x):
    e, v = tf.raw_ops.SelfAdjointEigV2(input=x)
    return tf.concat([e[:, None], v], 1)


def _least_rows(tf, x):
    values, indices = tf.nn.top_k(-tf.transpose(x), 2)
    return [-tf.transpose(values), tf.transpose(indices)]


def _packed(tf, x, threshold):
    bits = tf.cast(tf.reshape(x > threshold, [*x.shape[:-1], -1, 8]), "int32")
    return tf.cast(tf.reduce_sum(bits * 2 ** tf.range(7, -1, -1), -1), "uint8")


def _unsorted(how):
    def reference(tf, x, ids, count):
        function = getattr(tf.raw_ops, f"UnsortedSegment{how}")
        return function(data=x, segment_ids=ids, num_segments=count)

    return reference


def _updated(op):
    """An Inplace… op on a copy: TensorFlow writes into its input."""

    def build(tf, x, i, v):
        return getattr(tf.raw_ops, op)(x=tf.raw_ops.DeepCopy(x=x), i=i, v=v)

    return build


CASES = [
    *(Case(op, [feed(M)], via="Identity") for op in
      ("GuaranteeConst", "CheckNumericsV2", "Copy", "CopyHost", "DebugIdentity",
       "DebugIdentityV2", "DebugIdentityV3")),
    Case("ControlTrigger", [feed(M)], build=lambda tf, x: x * 2),
    Case("FakeParam", [], build=lambda tf: tf.raw_ops.FakeParam(dtype="float32", shape=[2, 0]),
         reference=lambda tf: tf.zeros([2, 0])),
    Case("Empty", [np.int32([2, 3])], attrs={"dtype": "int32", "init": True}),
    Case("Empty", [feed(np.int32([2, 3]))], "computed", attrs={"dtype": "float32", "init": True}),
    Case("ParallelConcat", [[feed(M), feed(M + 1)]], via="ConcatV2",
         build=lambda tf, a: stand_in(tf, *a), reference=lambda tf, a: tf.concat(a, 0)),
    *(Case("ToBool", [feed(v)], str(n)) for n, v in enumerate(
        (np.float32(0), np.int32(-3), np.bool_(True), np.zeros((2, 3), "f4"), np.zeros(0, "i8")))),
    Case("LogicalXor", [feed(np.bool_([0, 0, 1, 1])), feed(np.bool_([0, 1, 0, 1]))],
         via="LogicalOr", reference=lambda tf, x, y: tf.math.logical_xor(x, y)),
    _batch("Cholesky", [feed(POSITIVE)]),
    _batch("MatrixDeterminant", [feed(SQUARE)]),
    _batch("MatrixInverse", [feed(POSITIVE)]),
    _batch("MatrixSolve", [feed(POSITIVE), feed(normal(2, 4, 3))]),
    _batch("MatrixSolveLs", [feed(normal(2, 5, 3)), feed(normal(2, 5, 2)), np.float64(0.1)]),
    _batch("MatrixTriangularSolve", [feed(POSITIVE), feed(normal(2, 4, 3))],
           attrs={"lower": False}),
    _batch("SelfAdjointEigV2", [feed(POSITIVE)], outputs=(0,)),
    _batch("Svd", [feed(normal(2, 5, 3))], outputs=(0,)),
    *(
        Case(op, [feed(DIAGONAL)], via="IdentityN", build=stand_in, reference=_eig_v1, **_SOLVED)
        for op in ("SelfAdjointEig", "BatchSelfAdjointEig")
    ),
    *(
        Case("CumulativeLogsumexp", [feed(M), axis], f"{e} {r}",
             attrs={"exclusive": e, "reverse": r})
        for axis, e, r in ((np.int32(1), False, False), (feed(np.int32(-2)), True, False),
                           (np.int32(0), False, True), (np.int32(-1), True, True))
    ),
    Case("CumulativeLogsumexp", [feed(SPECIAL.astype("f8")), np.int32(0)], "special"),
    Case("DataFormatDimMap", [feed(np.int32([0, -1, 2, -3]))]),
    Case("DataFormatDimMap", [feed(np.int64([[1], [-4]]))], "back",
         attrs={"src_format": "NCHW", "dst_format": "NHWC"}),
    Case("DataFormatDimMap", [np.int32(3)], "known"),
    Case("DataFormatVecPermute", [feed(np.int32([7, 4, 9, 3]))]),
    Case("DataFormatVecPermute", [feed(ints(4, 2, dtype="int64"))], "pairs",
         attrs={"src_format": "NCHW", "dst_format": "NHWC"}),
    Case("DataFormatVecPermute", [feed(np.int32([4, 9]))], "spatial",
         attrs={"src_format": "NHWC", "dst_format": "HWNC"}),
    *(Case("NextAfter", [feed(SPECIAL.astype(t)), feed(np.asarray([[v] for v in SPECIAL], t))], t,
           rtol=0, atol=0) for t in ("float32", "float64")),
    Case("ConcatOffset", [np.int32(1), [np.int32([2, 3, 4]), np.int32([2, 1, 4])]]),
    Case("ConcatOffset", [feed(np.int32(-2)), [feed(np.int32([2, 3, 4])),
                                               feed(np.int32([2, 1, 4]))]], "computed"),
    *(
        Case("BroadcastGradientArgs", [feed(np.int32(a)), feed(np.int32(b))], f"{a} {b}")
        for a, b in (([2, 3], [3]), ([2, 1, 1], [1, 3, 1]), ([2, 3], [2, 3]), ([], [4, 1]),
                     ([1, 1], [1]), ([1], [1]))
    ),
    Case("Bucketize", [feed(np.float32([-5, 0, 9.5, 10, 100, np.nan]))],
         attrs={"boundaries": [0.0, 10.0, 99.5]}),
    *(Case("Bucketize", [feed(ints(3, 4, high=120, dtype=t))], t,
           attrs={"boundaries": [0.0, 10.0, 99.5]}) for t in ("int32", "int64", "float64")),
    Case("CompareAndBitpack", [feed(normal(3, 16)), feed(np.float32(0.2))], via="IdentityN",
         build=stand_in, reference=_packed),
    Case("CompareAndBitpack", [feed(ints(2, 2, 8, dtype="int8")), np.int8(4)], "int8",
         via="IdentityN", build=stand_in, reference=_packed),
    *(
        Case(f"Segment{how}V2", [feed(M), feed(np.int32([0, 0, 2, 2])), np.int32(4)],
             reference=_unsorted(how))
        for how in ("Sum", "Prod", "Max", "Min")
    ),
    *(
        Case(op, [feed(M), feed(np.int32([2, -1, 2])), feed(normal(3, 6))], build=_updated(op))
        for op in ("InplaceUpdate", "InplaceAdd", "InplaceSub")
    ),
    Case("TensorStridedSliceUpdate", [feed(M), np.int32([3, 1]), np.int32([0, 6]),
                                      np.int32([-2, 2]), feed(normal(2, 3))]),
    Case("TensorStridedSliceUpdate", [feed(M), feed(np.int32([1, 0])), feed(np.int32([2, -1])),
                                      np.int32([1, 1]), feed(normal(5))], "row",
         attrs={"shrink_axis_mask": 1}),
    Case("StridedSliceGrad", [np.int32([4, 6]), np.int32([0, 0, 1]), np.int32([0, 0, 6]),
                              np.int32([2, 1, 2]), feed(normal(2, 1, 3))],
         attrs={"end_mask": 1, "new_axis_mask": 2}),
    *(Case("IsotonicRegression", [feed(x)], str(x.dtype), attrs={"output_dtype": t})
      for x, t in ((normal(3, 9), "float32"), (ints(2, 7), "float64"))),
    Case("NearestNeighbors", [feed(normal(5, 3)), feed(normal(7, 3, seed=1)), np.int64(3)]),
    Case("ApproxTopK", [feed(normal(3, 9))], attrs={"k": 4}),
    Case("ApproxTopK", [feed(normal(9, 3))], "least", attrs={
        "k": 2, "is_max_k": False, "reduction_dimension": 0}, reference=_least_rows),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
