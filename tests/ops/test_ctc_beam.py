"""Sequences decoded by a search over prefixes."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, normal

_LENGTHS = np.int32([9, 6, 2])

CASES = [
    *(
        Case("CTCBeamSearchDecoder", [feed(normal(9, 3, 5, seed=seed, scale=scale)),
                                      feed(_LENGTHS)], f"{width} {paths} {merge} {scale}",
             attrs={"beam_width": width, "top_paths": paths, "merge_repeated": merge},
             rtol=1e-4, why="sums of logarithms in float32")
        for seed, (width, paths, merge, scale) in enumerate((
            (100, 1, True, 1.0), (100, 3, False, 1.0), (4, 2, False, 1.0), (8, 3, True, 3.0),
            (1, 1, False, 2.0), (20, 4, False, 0.3), (5, 2, False, 4.0), (3, 3, False, 2.0),
            (12, 2, True, 3.0),
        ))
    ),
    Case("CTCBeamSearchDecoder", [feed(normal(7, 2, 4, dtype="float64"), (None, None, 4)),
                                  feed(np.int32([7, 5]), (None,))], "open, float64",
         attrs={"beam_width": 10, "top_paths": 2, "merge_repeated": False}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
