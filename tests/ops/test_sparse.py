"""Sparse tensors: arithmetic, order, parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal

LOOSE = {"rtol": 1e-4, "atol": 1e-5, "why": "sums in another order"}


def _sparse(*shape: int, n: int = 7, dtype: str = "float32", seed: int = 0) -> list[Any]:
    """Indices in order, values and shape, as inputs of the model; indices of an open number."""
    flat = np.sort(np.random.default_rng(seed).choice(int(np.prod(shape)), n, replace=False))
    indices = np.stack(np.unravel_index(flat, shape), 1).astype("int64")
    values = (normal(n, seed=seed + 1) * 4).astype(dtype)
    return [feed(indices, (None, len(shape))), feed(values, (None,)), np.int64(shape)]


_CUBE = _sparse(3, 4, 5, n=20)
_MANY = [_sparse(3, 4, n=5, seed=1), _sparse(3, 2, n=3, seed=2), _sparse(3, 5, n=1, seed=3)]
_UNORDERED = [feed(np.int64([[2, 1], [0, 3], [2, 0], [0, 0], [1, 4]])), feed(normal(5)),
              feed(np.int64([3, 5]))]  # fmt: skip

CASES = [
    Case("SparseTensorDenseAdd", [*_sparse(4, 5), feed(normal(4, 5))]),
    Case("SparseTensorDenseAdd", [*_sparse(3, 2, 4, dtype="int32"), feed(ints(3, 2, 4))], "int32"),
    *(
        Case(op, [*_sparse(4, 3, 5, dtype=dtype), feed(ints(*dense, low=1).astype(dtype))],
             f"{dtype} {dense}", rtol=1e-6)
        for op in ("SparseDenseCwiseAdd", "SparseDenseCwiseMul", "SparseDenseCwiseDiv")
        for dtype, dense in (("float32", (4, 3, 5)), ("float32", (3, 1)), ("int32", (5,)))
    ),
    *(
        Case("SparseAdd", [*_sparse(4, 5), *_sparse(4, 5, seed=3), np.float32(thresh)], f"{thresh}")
        for thresh in (0.0, 3.0)
    ),
    Case("SparseAdd", [*_sparse(4, 5, n=0), *_sparse(4, 5, n=3, seed=3), np.float32(0)], "empty"),
    Case("SparseAdd", [*_sparse(4, 5, dtype="int64"), *_sparse(4, 5, dtype="int64", n=9, seed=3),
                       np.int64(1)], "int64"),
    *(
        Case("SparseAdd", [*_sparse(4, 5, dtype=dtype), *_sparse(4, 5, dtype=dtype, n=9, seed=3),
                           np.dtype(dtype).type(2)], dtype)
        for dtype in ("float64", "int8", "int16", "int32")
    ),
    *(
        Case(op, [*_sparse(6, dtype=dtype, n=3), *_sparse(6, dtype=dtype, n=4, seed=5)], dtype)
        for op in ("SparseSparseMaximum", "SparseSparseMinimum") for dtype in ("float32", "int32")
    ),
    Case("SparseSoftmax", _CUBE),
    Case("SparseSoftmax", _sparse(4, 9, n=1, dtype="float64"), "float64, one"),
    *(
        Case(op, [*_CUBE, np.int32(axes)], f"{axes} {keep}", attrs={"keep_dims": keep}, **LOOSE)
        for op in ("SparseReduceSum", "SparseReduceMax", "SparseReduceSumSparse",
                   "SparseReduceMaxSparse")
        for axes, keep in (([1], False), ([-1, 0], True), ([], False), ([2], True))
    ),
    *(
        Case("SparseMatMul", [feed(normal(*((5, 3) if ta else (3, 5)))),
                              feed(normal(*((4, 5) if tb else (5, 4)), seed=1))], f"{ta} {tb}",
             attrs={"transpose_a": ta, "transpose_b": tb}, **LOOSE)
        for ta in (False, True) for tb in (False, True)
    ),
    Case("SparseReorder", _UNORDERED),
    Case("SparseReorder", [feed(np.int64([[3], [1], [2]])), feed(ints(3)), np.int64([9])],
         "vector"),
    *(
        Case("SparseConcat", [[m[i] for m in _MANY] for i in range(3)], f"axis {axis}",
             attrs={"concat_dim": axis})
        for axis in (1, -1)
    ),
    Case("SparseConcat", [[m[i] for m in (_sparse(2, 5), _sparse(4, 5))] for i in range(3)],
         "axis 0", attrs={"concat_dim": 0}),
    *(
        Case("SparseSlice", [*_CUBE, feed(np.int64(start)), np.int64(size)], f"{start} {size}")
        for start, size in (([0, 1, 1], [2, 2, 9]), ([1, 0, 0], [1, 4, 5]), ([0, 0, 4], [3, 0, 1]))
    ),
    *(
        Case("SparseSplit", [np.int64(axis), *_CUBE], f"axis {axis}", attrs={"num_split": parts})
        for axis, parts in ((2, 3), (0, 2), (1, 4))
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
