"""Ragged tensors as variants: encoded and decoded at once, and in loops over their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal

OUTER = np.int64([0, 2, 2, 5])
SPLITS = np.int64([0, 3, 3, 5, 9, 10])


def _round_trip(encode: dict[str, Any], decode: dict[str, Any]) -> Any:
    def build(tf: Any, *args: Any) -> Any:
        *splits, values = args
        made = tf.raw_ops.RaggedTensorToVariant(
            rt_nested_splits=list(splits), rt_dense_values=values, **encode
        )
        dtypes = {"Tvalues": values.dtype, "Tsplits": splits[0].dtype if splits else tf.int64}
        return list(tf.raw_ops.RaggedTensorFromVariant(
            encoded_ragged=made, **dtypes, **decode))  # fmt: skip

    return build


def _mapped(function: Any, dense: bool = False) -> Any:
    """A map over the rows of a ragged tensor, as a loop of TensorFlow 2."""

    def build(tf: Any, splits: Any, values: Any) -> Any:
        def run(splits: Any, values: Any) -> Any:
            rows = tf.RaggedTensor.from_row_splits(values, splits, validate=False)
            spec = tf.TensorSpec(values.shape[1:], values.dtype) if dense else tf.RaggedTensorSpec(
                [None, *values.shape[1:]], values.dtype, ragged_rank=0,
                row_splits_dtype=splits.dtype)  # fmt: skip
            made = tf.map_fn(lambda r: function(tf, r), rows, fn_output_signature=spec)
            return made if dense else [made.row_splits, made.values]

        specs = [tf.TensorSpec(t.shape, t.dtype) for t in (splits, values)]
        made = tf.function(run).get_concrete_function(*specs)
        node = tf.raw_ops.PartitionedCall
        dtypes = [t.dtype for t in tf.nest.flatten(made.structured_outputs)]
        return node(args=[splits, values], Tout=dtypes, f=made)

    return build


CASES = [
    *(
        Case("RaggedTensorToVariant", [*(feed(s) for s in splits), feed(values)], note,
             build=_round_trip(
                 {"batched_input": batched},
                 {"input_ragged_rank": len(splits) - batched, "output_ragged_rank": len(splits)},
             ), rtol=0, atol=0)
        for batched, splits, values, note in (
            (False, [SPLITS], normal(10, 3, 2), "one level"),
            (True, [SPLITS], normal(10, 2), "rows, one level"),
            (True, [SPLITS.astype("int32")], normal(10), "rows, int32 splits"),
            (False, [OUTER, SPLITS], ints(10, dtype="int64") << 40, "two levels"),
            (True, [OUTER, SPLITS], normal(10, 3, dtype="float64"), "rows, two levels"),
            (True, [np.int64([0, 1, 3]), OUTER, SPLITS], ints(10) > 4, "rows, three levels"),
        )
    ),
    Case("RaggedTensorFromVariant", [feed(normal(3, 4, 2, dtype="float16"))], "dense rows",
         build=_round_trip({"batched_input": True},
                           {"input_ragged_rank": 0, "output_ragged_rank": 1})),
    Case("RaggedTensorFromVariant", [feed(OUTER), feed(SPLITS), feed(ints(10))], "inferred rank",
         build=_round_trip({"batched_input": True},
                           {"input_ragged_rank": -1, "output_ragged_rank": 2})),
    Case("RaggedTensorFromVariant", [feed(SPLITS), feed(normal(10, 3))], "map",
         build=_mapped(lambda tf, r: r + r * r)),
    Case("RaggedTensorFromVariant", [feed(np.int32(SPLITS), (6,)), feed(ints(10), (None,))],
         "map to other lengths", build=_mapped(lambda tf, r: tf.repeat(r, 2) - 1)),
    Case("RaggedTensorFromVariant", [feed(SPLITS, (None,)), feed(normal(10, 3), (None, 3))],
         "open, reduced", build=_mapped(lambda tf, r: tf.reduce_sum(r, 0), dense=True)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
