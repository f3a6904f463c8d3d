"""Shapes, slices, gathers, padding, and tensors joined, split and turned."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal, stand_in

X = normal(2, 3, 4, 5)
M = normal(4, 6)


def _flattened(tf, x):
    """Reshape to (batch, -1) by way of the shape, as exported graphs have it."""
    batch = tf.raw_ops.StridedSlice(input=tf.raw_ops.Shape(input=x), begin=[0], end=[1],
                                    strides=[1], shrink_axis_mask=1)  # fmt: skip
    return tf.raw_ops.Reshape(tensor=x, shape=tf.raw_ops.Pack(values=[batch, -1]))


def _doubled(tf, x):
    """Tile, range and fill of sizes that come from a shape."""
    n = tf.raw_ops.Shape(input=x)[0]
    rows = tf.raw_ops.Range(start=0, limit=n * 2, delta=1)
    zeros = tf.raw_ops.Fill(dims=tf.raw_ops.Pack(values=[n, 2]), value=1.5)
    return [rows, zeros, tf.raw_ops.Tile(input=x, multiples=tf.raw_ops.Pack(values=[1, n]))]


def _rows_joined(how):
    def reference(tf, x, indices, updates):
        function = getattr(tf.raw_ops, f"TensorScatter{how}")
        return function(tensor=x, indices=tf.expand_dims(indices, 1), updates=updates)

    return reference


def _rows_scaled(how):
    def reference(tf, x, indices, number):
        rows = tf.gather_nd(x, indices)
        rows = rows * number if how == "Mul" else rows / number
        return tf.tensor_scatter_nd_update(x, indices, rows)

    return reference


def _index(note, first, last, strides, **masks):
    numbers = [np.int32(v) for v in (first, last, strides)]
    names = {f"{k}_mask": v for k, v in masks.items()}
    return Case("StridedSlice", [feed(X), *numbers], note, attrs=names)


CASES = [
    Case("Const", [], build=lambda tf: tf.constant(X)),
    Case("HostConst", [], via="Const", build=lambda tf: tf.constant(M)),
    Case("Placeholder", [feed(M)], build=lambda tf, x: x),
    Case("PlaceholderV2", [feed(M)], build=lambda tf, x: tf.raw_ops.Identity(input=x)),
    Case("PlaceholderWithDefault", [M], attrs={"shape": (4, 6)}),
    *(Case(op, [feed(M)]) for op in ("Identity", "StopGradient", "PreventGradient", "Snapshot",
                                     "DeepCopy", "ZerosLike", "OnesLike")),
    Case("ReadVariableOp", [feed(M)], via="Identity"),
    Case("RefIdentity", [feed(M)], via="Identity"),
    Case("DebugGradientIdentity", [feed(M)]),
    Case("CheckNumerics", [feed(M)], attrs={"message": "bad"}),
    Case("CheckNumericsV2", [feed(M)], attrs={"message": "bad"}),
    Case("EnsureShape", [feed(M, (None, 6))], attrs={"shape": (4, 6)}),
    Case("IdentityN", [[feed(M), feed(ints(3))]]),
    Case("NoOp", [feed(M)], build=lambda tf, x: x * 2),
    Case("Assert", [feed(M)], build=lambda tf, x: x * 2),
    Case("PrintV2", [feed(M)], build=lambda tf, x: x * 2),
    Case("Print", [feed(M), []]),
    *(Case(op, [feed(X)]) for op in ("Shape", "Size", "Rank")),
    *(Case(op, [feed(X, (None, 3, None, 5))], "open") for op in ("Shape", "Size", "Rank")),
    Case("ShapeN", [[feed(X), feed(M)]], attrs={"out_type": "int64"}),
    Case("Reshape", [feed(X), np.int32([6, -1])]),
    Case("Reshape", [feed(normal(1, 1)), np.int64([])], "scalar"),
    Case("Reshape", [feed(X), feed(np.int32([4, -1, 5]))], "computed"),
    Case("Reshape", [feed(X, (None, 3, 4, 5))], "by shape arithmetic", build=_flattened),
    Case("Tile", [feed(X[:, 0, 0], (None, 5))], "by shape arithmetic", build=_doubled),
    Case("Squeeze", [feed(normal(1, 3, 1, 2))]),
    Case("Squeeze", [feed(normal(1, 3, 1, 2))], "axis", attrs={"axis": [-2]}),
    *(Case("ExpandDims", [feed(X), np.int32(a)], str(a)) for a in (0, 2, -1)),
    Case("Fill", [np.int32([2, 3]), feed(np.float32(7))]),
    Case("Fill", [feed(np.int32([2, 3])), np.int64(7)], "computed"),
    Case("BroadcastTo", [feed(normal(3, 1)), np.int32([2, 3, 4])]),
    Case("BroadcastTo", [feed(normal(3, 1)), feed(np.int32([2, 3, 4]))], "computed"),
    Case("BroadcastArgs", [feed(np.int32([3, 1])), feed(np.int32([2, 1, 4]))]),
    Case("Range", [np.int32(2), np.int32(11), np.int32(3)]),
    Case("Range", [np.float32(2), np.float32(0), np.float32(-0.5)], "down"),
    Case("Range", [np.int32(1), feed(np.int32(7)), np.int32(2)], "computed"),
    *(Case("ConcatV2", [[feed(X), feed(X + 1)], np.int32(a)], str(a)) for a in (0, 2, -1)),
    Case("ConcatV2", [[feed(X), feed(X[:, :0])], np.int32(1)], "empty"),
    Case("Concat", [np.int32(1), [feed(M), feed(M)]]),
    *(Case("Pack", [[feed(M), feed(M + 1)]], str(a), attrs={"axis": a}) for a in (0, 1, -1)),
    *(Case("Unpack", [feed(M)], str(a), attrs={"axis": a, "num": n}) for a, n in ((0, 4), (-1, 6))),
    *(Case("Split", [np.int32(a), feed(M)], str(a), attrs={"num_split": 2}) for a in (0, -1)),
    Case("SplitV", [feed(M), np.int32([1, -1, 2]), np.int32(1)], attrs={"num_split": 3}),
    Case("Transpose", [feed(X), np.int32([0, 3, 1, 2])]),
    Case("Transpose", [feed(ints(2, 3, 4)), np.int32([2, 0, 1])], "int32"),
    Case("ConjugateTranspose", [feed(M), np.int32([1, 0])]),
    Case("InvertPermutation", [feed(np.int32([3, 0, 2, 1]))]),
    Case("Tile", [feed(M), np.int32([2, 3])]),
    Case("Tile", [feed(M), feed(np.int32([2, 3]))], "computed"),
    Case("ReverseV2", [feed(X), np.int32([1, -1])]),
    Case("Reverse", [feed(M), np.bool_([False, True])]),
    Case("ReverseSequence", [feed(X), feed(np.int32([2, 4, 1]))],
         attrs={"seq_dim": 2, "batch_dim": 1}),
    Case("Roll", [feed(X), np.int32([1, -2]), np.int32([0, -1])]),
    Case("Roll", [feed(M), feed(np.int32(3)), np.int32(1)], "computed"),
    *(
        Case("OneHot", [feed(np.int32([[0, 2], [5, -1]])), np.int32(4), np.float32(2),
                        np.float32(-1)], f"axis {a}", attrs={"axis": a})
        for a in (-1, 0, 1)
    ),
    Case("LinSpace", [feed(np.float32(1)), feed(np.float32(3)), np.int32(7)]),
    _index("plain", [0, 1, 1, 0], [2, 3, 4, 5], [1, 1, 2, 1]),
    _index("negative", [-1, -1, -2, 1], [-9, 0, -1, -1], [-1, -1, 1, 3]),
    _index("begin and end", [1, 1, 2, 1], [1, 2, 3, 3], [1, 1, 1, 1], begin=5, end=10),
    _index("ellipsis", [0, 1], [0, 4], [1, 2], ellipsis=1),
    _index("ellipsis in between", [1, 0, 2], [2, 0, 3], [1, 1, 1], ellipsis=2, shrink_axis=5),
    _index("new axis", [0, 0, 1], [0, 2, 2], [1, 1, 1], new_axis=1),
    _index("shrink", [1, -1], [2, 0], [1, 1], shrink_axis=3),
    _index("reversed", [0, 0], [0, 0], [-1, -2], begin=3, end=3),
    _index("all masks", [0, 0, 0, -2, 1], [0, 0, 0, 0, 9], [1, 1, 1, 1, 2], new_axis=1,
           ellipsis=4, shrink_axis=8, begin=2, end=2),
    _index("empty", [1, 0, 0, 0], [1, 9, 9, 9], [1, 1, 1, 1]),
    Case("StridedSlice", [feed(X, (None, 3, None, 5)), np.int32([0, 0, -2]),
                          np.int32([1, 9, 0]), np.int32([1, 2, 1])], "open",
         attrs={"shrink_axis_mask": 1, "end_mask": 4}),
    Case("StridedSlice", [feed(X, (None, 3, 4, None)), np.int32([0, 0, 0, -1]),
                          np.int32([9, 9, 9, 0]), np.int32([1, 1, 1, -2])], "open and reversed"),
    Case("StridedSlice", [feed(M), feed(np.int32([1, -3])), feed(np.int32([-1, 6])),
                          np.int32([1, 2])], "computed"),
    Case("Slice", [feed(X), np.int32([0, 1, 0, 2]), np.int32([2, 1, -1, 3])]),
    Case("Slice", [feed(M), feed(np.int32([1, 2])), np.int32([2, 3])], "computed"),
    Case("Slice", [feed(M), np.int32([1, 2]), feed(np.int32([-1, 3]))], "computed size"),
    Case("Gather", [feed(M), feed(np.int32([[0, 3], [2, 2]]))]),
    *(Case("GatherV2", [feed(X), feed(np.int64([2, 0])), np.int32(a)], str(a)) for a in (1, -1)),
    Case("GatherV2", [feed(normal(2, 5, 3)), feed(ints(2, 4, high=5)), np.int32(1)], "batch",
         attrs={"batch_dims": 1}),
    Case("GatherV2", [feed(M), feed(np.int32(2)), np.int32(0)], "scalar"),
    Case("ResourceGather", [feed(M), feed(np.int32([[0, 3], [2, 2]]))], via="Gather"),
    Case("ResourceGatherNd", [feed(X), feed(np.int32([[0, 2], [1, 1]]))], via="GatherNd"),
    Case("VariableShape", [feed(X)], via="Shape"),
    Case("GatherNd", [feed(X), feed(np.int32([[0, 2], [1, 1]]))]),
    Case("GatherNd", [feed(M), feed(np.int64([[[0, 2]], [[1, 1]]]))], "elements"),
    Case("ScatterNd", [feed(np.int32([[0], [2], [0]])), feed(normal(3, 4)), np.int32([5, 4])]),
    *(
        Case(f"TensorScatter{how}", [feed(M), feed(np.int32([[0, 1], [3, 2]])), feed(normal(2))])
        for how in ("Update", "Add", "Sub", "Max", "Min")
    ),
    Case("TensorScatterAdd", [feed(M), feed(np.int32([[1], [1]])), feed(normal(2, 6))], "rows"),
    Case("TensorScatterUpdate", [feed(M), feed(np.int32([[1], [1]])), feed(normal(2, 6))], "twice"),
    Case("TensorScatterAdd", [feed(M, (None, None)), feed(np.int32([[1], [3]])),
                              feed(normal(2, 6))], "open"),
    *(
        Case(f"ScatterNd{how}", [M, feed(np.int32([[0, 1], [3, 2]])), feed(normal(2))],
             via=f"TensorScatter{how}")
        for how in ("Update", "Add", "Sub", "Max", "Min")
    ),
    *(
        Case(f"Scatter{how}", [M, feed(np.int32([2, 0, 2])), feed(normal(3, 6))],
             via="IdentityN", build=stand_in, reference=_rows_joined(how))
        for how in ("Update", "Add", "Sub", "Min", "Max")
    ),
    *(
        Case(f"Scatter{how}", [M, feed(np.int32([[2], [1]])), feed(np.float32(3))], "one number",
             via="IdentityN", build=stand_in, reference=_rows_scaled(how))
        for how in ("Mul", "Div")
    ),
    Case("Assign", [M, feed(M + 1)], via="Add", reference=lambda tf, v, x: tf.identity(x)),
    Case("AssignAdd", [M, feed(M + 1)], via="Add"),
    Case("AssignSub", [M, feed(M + 1)], via="Sub"),
    Case("ScatterNdNonAliasingAdd", [feed(M), feed(np.int32([[0, 1], [0, 1]])), feed(normal(2))]),
    Case("UnravelIndex", [feed(np.int32([5, 22, 0])), np.int32([4, 6])]),
    Case("Pad", [feed(X), np.int32([[0, 0], [1, 2], [0, 3], [0, 0]])]),
    Case("Pad", [feed(ints(2, 3)), np.int32([[1, 0], [0, 2]])], "int32"),
    Case("Pad", [feed(ints(2, 3, high=2).astype(bool)), np.int32([[1, 0], [0, 2]])], "bool"),
    Case("Pad", [feed(M), feed(np.int32([[1, 0], [0, 2]]))], "computed"),
    Case("PadV2", [feed(M), np.int32([[1, 0], [0, 2]]), np.float32(-3)]),
    *(Case("MirrorPad", [feed(M), np.int32([[2, 1], [0, 3]])], m, attrs={"mode": m})
      for m in ("REFLECT", "SYMMETRIC")),
    Case("DepthToSpace", [feed(normal(2, 3, 5, 12))], attrs={"block_size": 2}),
    Case("SpaceToDepth", [feed(normal(2, 6, 4, 3))], attrs={"block_size": 2}),
    *(
        Case(op, [feed(normal(*shape))], "NCHW",
             build=lambda tf, x, op=op: getattr(tf.raw_ops, op)(input=x, block_size=2,
                                                                data_format="NCHW"),
             reference=lambda tf, x, op=op: tf.transpose(getattr(tf.raw_ops, op)(
                 input=tf.transpose(x, [0, 2, 3, 1]), block_size=2), [0, 3, 1, 2]))
        for op, shape in (("DepthToSpace", (2, 12, 3, 5)), ("SpaceToDepth", (2, 3, 6, 4)))
    ),
    Case("SpaceToBatchND", [feed(normal(2, 5, 6, 3)), np.int32([2, 3]),
                            np.int32([[1, 0], [2, 1]])]),
    Case("SpaceToBatchND", [feed(normal(2, 5, 6)), np.int32([2]), feed(np.int32([[1, 2]]))],
         "computed"),
    Case("SpaceToBatch", [feed(normal(2, 5, 6, 3)), np.int32([[1, 0], [1, 1]])],
         attrs={"block_size": 2}),
    Case("BatchToSpaceND", [feed(normal(12, 3, 3, 3)), np.int32([2, 3]),
                            np.int32([[1, 0], [2, 1]])]),
    Case("BatchToSpace", [feed(normal(8, 3, 3, 3)), np.int32([[1, 0], [1, 1]])],
         attrs={"block_size": 2}),
    Case("Where", [feed(ints(3, 4, high=2).astype(bool))]),
    Case("Where", [feed(normal(3, 4).clip(0), (None, None))], "open"),
    Case("Where", [feed(np.zeros((2, 2), bool))], "nothing"),
    Case("Unique", [feed(ints(20, high=6))]),
    Case("UniqueV2", [feed(ints(20, high=6)), np.int32([0])], attrs={"out_idx": "int64"}),
    Case("UniqueWithCounts", [feed(normal(9).round())]),
    Case("UniqueWithCountsV2", [feed(ints(20, high=6)), np.int32([])]),
    Case("ListDiff", [feed(ints(9)), feed(ints(4, seed=2))]),
    Case("DynamicPartition", [feed(M), feed(np.int32([1, 0, 1, 2]))], attrs={"num_partitions": 4}),
    *(
        Case(op, [[feed(np.int32([0, 3])), feed(np.int32([2, 1, 3]))],
                  [feed(normal(2, 4)), feed(normal(3, 4))]])
        for op in ("DynamicStitch",)
    ),
    Case("ParallelDynamicStitch", [[np.int32([0, 3]), np.int32([2, 1])],
                                   [feed(normal(2, 4)), feed(normal(2, 4, seed=1))]]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
