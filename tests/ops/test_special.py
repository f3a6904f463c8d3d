"""Special functions on both sides of where their series meet."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, uniform

CLOSE = {"rtol": 1e-5, "atol": 1e-6, "why": "TensorFlow's own series in float32"}
POSITIVE = np.float32([0, 1e-6, 0.1, 0.5, 1, 1.5, 2, 3.1, 5, 8.9, 9.1, 15, 19.9, 20.1, 29.9, 31,
                       60])  # fmt: skip
REAL = np.concatenate([POSITIVE, -POSITIVE]).astype(np.float32)
_SIGNED = ("BesselI0e", "BesselI1e", "BesselI0", "BesselI1", "BesselJ0", "BesselJ1", "Dawsn",
           "FresnelCos", "FresnelSin")  # fmt: skip
_OTHERS = ("BesselK0", "BesselK0e", "BesselK1", "BesselK1e", "BesselY0", "BesselY1", "Expint",
           "Spence")  # fmt: skip
A = uniform(40, low=0.05, high=30)
X = uniform(40, low=0.0, high=40, seed=1)

CASES = [
    *(Case(op, [feed(REAL)], **CLOSE) for op in _SIGNED),
    *(Case(op, [feed(POSITIVE)], **CLOSE) for op in _OTHERS),
    *(Case(op, [feed(REAL.astype("float64"))], "float64", rtol=1e-6, atol=1e-7)
      for op in _SIGNED),
    *(Case(op, [feed(A), feed(X)], rtol=1e-4, atol=1e-6) for op in ("Igamma", "Igammac")),
    *(Case(op, [feed(A.astype("float64")), feed(X.astype("float64"))], "float64", rtol=1e-9)
      for op in ("Igamma", "Igammac")),
    *(Case(op, [feed(np.float32([1, 2, 0.5, -1, 3])), feed(np.float32([0, np.inf, -1, 2, np.nan]))],
           "ends") for op in ("Igamma", "Igammac")),
    Case("Igamma", [feed(np.float32(2.5)), feed(X)], "broadcast", rtol=1e-4),
    Case("Betainc", [feed(A), feed(A[::-1].copy()), feed(uniform(40, seed=3))], rtol=1e-4,
         atol=1e-6),
    Case("Betainc", [feed(np.float32([1, 2, 3, 2])), feed(np.float32([2, 1, 3, 1])),
                     feed(np.float32([0, 1, 0.5, 0.3]))], "ends", rtol=1e-4),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
