"""Rows of sparse and ragged tensors, and pooling windows drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal


def _sparse(seed, shape, dtype="int32", share=0.5):
    dense = ints(*shape, low=1, high=6, dtype=dtype, seed=seed)
    kept = np.random.default_rng(seed).random(shape) < share
    kept[0, 1:2] = False
    indices = np.argwhere(kept)
    return [feed(indices), feed(dense[kept]), np.int64(shape)]


def _open(seed, shape):
    """As many elements as there are, in a shape that is computed, too."""
    indices, values, _ = _sparse(seed, shape)
    return [feed(indices.array, (None, 3)), feed(values.array, (None,)), feed(np.int64(shape))]


_SHAPE = (3, 2, 5)
_HOW = ("a-b", "b-a", "intersection", "union")
_SEEDS = {"seed": 87654321, "seed2": 42}

CASES = [
    *(
        Case("SparseToSparseSetOperation", [*_sparse(1, _SHAPE, t), *_sparse(2, (3, 2, 7), t)],
             f"{how} {t}", attrs={"set_operation": how})
        for how, t in zip(_HOW, ("int32", "int64", "uint8", "int32"), strict=True)
    ),
    *(
        Case("DenseToSparseSetOperation", [feed(ints(3, 2, 4, high=6)), *_sparse(2, _SHAPE)],
             how, attrs={"set_operation": how})
        for how in _HOW
    ),
    *(
        Case("EditDistance", [*_sparse(3, _SHAPE, t), *_sparse(4, (2, 2, 7), t)],
             f"{t} {normalize}", attrs={"normalize": normalize})
        for t in ("int32", "float32") for normalize in (True, False)
    ),
    Case("EditDistance", [*_open(3, _SHAPE), *_open(4, (3, 2, 7))], "open"),
    Case("SparseToSparseSetOperation", [*_open(1, _SHAPE), *_open(2, _SHAPE)], "open",
         attrs={"set_operation": "union"}),
    Case("RaggedFillEmptyRows", [feed(np.int64([0, 2]), (None,)), feed(np.int32([5, 6]), (None,)),
                                 feed(np.int64(3)), feed(np.int32(-1))], "open"),
    Case("RaggedFillEmptyRows", [feed(np.int64([1, 1, 2, 5])), feed(normal(4)), np.int64(7),
                                 feed(np.float32(-1))]),
    *(
        Case(op, [feed(x)], f"{x.dtype} {pseudo} {lap}",
             attrs={"pooling_ratio": [1.0, 1.44, 1.73, 1.0], "pseudo_random": pseudo,
                    "overlapping": lap, "deterministic": True, **_SEEDS})
        for op in ("FractionalMaxPool", "FractionalAvgPool")
        for x in (normal(2, 13, 19, 3), ints(1, 11, 23, 2, low=-90, high=90))
        for pseudo in (False, True) for lap in (False, True)
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
