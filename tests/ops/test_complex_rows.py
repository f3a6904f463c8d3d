"""Complex tensors taken apart and put together by rows."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed
from test_complex import Z

_WHERE = [np.int32([0, 3]), np.int32([2, 1, 4])]

CASES = [
    Case("DynamicPartition", [feed(Z), feed(np.int32([1, 0, 1]))], attrs={"num_partitions": 2}),
    *(
        Case(op, [[feed(i) for i in _WHERE], [feed(Z[:2]), feed(Z.T[:3, 0:1].repeat(5, 1))]])
        for op in ("DynamicStitch", "ParallelDynamicStitch")
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
