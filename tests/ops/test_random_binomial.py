"""Random counts of a binomial law: their distribution, and the counts that are certain."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, run_dlcc
from scipy import stats

SEED = np.int64([3, 5])

CASES = [
    Case("StatelessRandomBinomial", [np.int32([4, 2]), SEED, feed(np.float32([7, 50])),
                                     feed(np.float32([0, 1]))], "certain"),
    Case("StatelessRandomBinomial", [feed(np.int32([2, 3])), feed(SEED), np.float64([[4], [-3]]),
                                     feed(np.float64([0, 1, 1]))], "broadcast",
         attrs={"dtype": "float32"}),
    Case("StatelessRandomBinomial", [np.int32([3]), SEED, feed(np.float32([7, 7, 7])),
                                     feed(np.float32([-0.5, 1.5, np.nan]))], "outside",
         attrs={"dtype": "float32"}),
    Case("StatelessRandomBinomial", [np.int32([0]), SEED, feed(np.float32(7)),
                                     feed(np.float32(0.5))], "empty"),
]  # fmt: skip
COUNT = 20000


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)


@pytest.mark.parametrize("n", [1, 12, 300])
@pytest.mark.parametrize("p", [0.03, 0.4, 0.9])
def test_counts_follow_their_law(n, p):
    """Kolmogorov and Smirnov's distance; 1.95 / sqrt(n) is passed once in 1000 draws of a seed."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.raw_ops.StatelessRandomBinomial(
            shape=[COUNT], seed=SEED, counts=np.float64(n), probs=np.float64(p), name="x"
        )
    drawn = run_dlcc(graph.as_graph_def(), ["x"], {})["x"]
    values = np.unique(drawn)
    share = np.searchsorted(np.sort(drawn), values, side="right") / COUNT
    assert np.abs(share - stats.binom(n, p).cdf(values)).max() < 1.95 / np.sqrt(COUNT)
