"""TensorFlow ops that no program without TVM can run yet, and why.

Only those that never can: others depend on how they are used, and compiling names the node."""

from __future__ import annotations

from collections.abc import Mapping

_SHAPE = "its result's shape depends on data"

_SHAPED_BY_DATA = (
    "CTCGreedyDecoder",
    "DenseToDenseSetOperation",
    "DynamicPartition",
    "ListDiff",
    "NonMaxSuppression",
    "NonMaxSuppressionV2",
    "NonMaxSuppressionV3",
    "NonMaxSuppressionV5",
    "NonMaxSuppressionWithOverlaps",
    "RaggedGather",
    "RaggedRange",
    "SparseFillEmptyRows",
    "Unique",
    "UniqueV2",
    "UniqueWithCounts",
    "UniqueWithCountsV2",
    "Where",
)
LACKS: Mapping[str, str] = dict.fromkeys(_SHAPED_BY_DATA, _SHAPE)
