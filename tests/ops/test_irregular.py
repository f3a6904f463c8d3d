"""Ragged tensors, sets, decoded sequences and boxes: results whose size depends on values."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal, uniform

SPLITS = np.int64([0, 3, 3, 5, 9, 10])
OUTER = np.int64([0, 2, 2, 5])
VALUES = normal(10)
BATCH_BOXES = uniform(2, 12, 3, 4, low=-0.3, high=1.3)
BATCH_SCORES = uniform(2, 12, 3, seed=1)
FRAMES = normal(6, 3, 4)
_LENGTHS = np.int32([6, 4, 0])
_IMAGE = {"seed": 7, "seed2": 3, "aspect_ratio_range": [0.5, 2.0], "area_range": [0.1, 0.9]}

CASES = [
    Case("RaggedRange", [feed(np.int32([0, 5, 8, 3])), feed(np.int32([4, 5, 2, 9])),
                         feed(np.int32([1, 1, -2, 4]))]),
    Case("RaggedRange", [feed(np.int64([0, 5])), np.int64(7), np.int64(3)], "scalars",
         attrs={"Tsplits": "int32"}),
    Case("RaggedRange", [feed(np.float32([0, 2])), feed(np.float32([1, -1])),
                         feed(np.float32([0.3, -0.7]))], "float32"),
    Case("RaggedGather", [[feed(SPLITS)], feed(VALUES), feed(np.int32([1, 3, 2, 0, 1, 4, 3]))],
         attrs={"OUTPUT_RAGGED_RANK": 1}),
    Case("RaggedGather", [[feed(OUTER), feed(SPLITS)], feed(normal(10, 2)),
                          feed(np.int32([[2, 0], [1, 2]]))], "two levels, matrix",
         attrs={"OUTPUT_RAGGED_RANK": 3}),
    Case("RaggedTensorToSparse", [[feed(SPLITS)], feed(VALUES)]),
    Case("RaggedTensorToSparse", [[feed(OUTER), feed(SPLITS)], feed(normal(10, 2))], "two levels"),
    *(
        Case("RaggedTensorToTensor", [np.int64(shape), feed(VALUES), np.float32(9),
                                      [feed(SPLITS)]], f"splits {shape}",
             attrs={"row_partition_types": ["ROW_SPLITS"]})
        for shape in ([-1, -1], [4, 3], [7, -1], -1)
    ),
    Case("RaggedTensorToTensor", [np.int64([-1, -1, -1, 2]), feed(normal(10, 2)),
                                  np.float32([8, 9]), [feed(OUTER), feed(SPLITS)]], "two levels",
         attrs={"row_partition_types": ["ROW_SPLITS", "ROW_SPLITS"]}),
    Case("RaggedTensorToTensor", [np.int64([4, -1, 2, 2]), feed(normal(8, 2)), np.float32(0),
                                  [feed(np.int64(4)), feed(np.int64([0, 0, 0, 2, 2])),
                                   feed(np.int64([0, 0, 2, 2, 2, 3, 3, 4]))]], "row numbers",
         attrs={"row_partition_types": ["FIRST_DIM_SIZE", "VALUE_ROWIDS", "VALUE_ROWIDS"]}),
    *(
        Case("DenseToDenseSetOperation", [feed(ints(2, 3, 5)), feed(ints(2, 3, 4, seed=1))], how,
             attrs={"set_operation": how})
        for how in ("a-b", "b-a", "intersection", "union")
    ),
    *(
        Case("CTCGreedyDecoder", [feed(FRAMES), feed(_LENGTHS)], f"{merge} {blank}",
             attrs={"merge_repeated": merge, "blank_index": blank}, rtol=1e-5)
        for merge in (False, True) for blank in (-1, 1)
    ),
    *(
        Case("CombinedNonMaxSuppression",
             [feed(BATCH_BOXES[:, :, :q]), feed(BATCH_SCORES), np.int32(each), np.int32(total),
              np.float32(0.3), np.float32(0.2)], f"{q} {each} {total} {pad}",
             attrs={"pad_per_class": pad, "clip_boxes": pad})
        for q, each, total, pad in ((1, 4, 7, False), (3, 2, 9, True), (3, 12, 40, False))
    ),
    Case("NonMaxSuppressionWithOverlaps", [feed(uniform(9, 9)), feed(uniform(9, seed=3)),
                                           np.int32(5), np.float32(0.6), np.float32(0.1)]),
    Case("SampleDistortedBoundingBox", [feed(np.int32([200, 300, 3])),
                                        feed(np.float32([[[0.1, 0.1, 0.5, 0.6]]]))],
         attrs={**_IMAGE, "min_object_covered": 0.3}),
    *(
        Case("SampleDistortedBoundingBoxV2", [feed(np.int32([200, 300, 3])),
                                              feed(np.float32([[[0.1, 0.2, 0.6, 0.8]]])),
                                              np.float32(least)], f"{least} {seed}",
             attrs={**_IMAGE, "seed": seed})
        for least in (0.0, 0.5, 0.95) for seed in (1, 2, 3)
    ),
    Case("StatelessSampleDistortedBoundingBox",
         [feed(np.int64([200, 300, 3])), feed(np.float32([[[0.1, 0.2, 0.6, 0.8]]])),
          np.float32(0.5), np.int32([4, 5])]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
