"""How far two results are apart: what a choice is refused for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcc.tuning.checks import TOLERANCE, distance

SAME = np.float32([1.0, -2.0, 0.5])
DIFFERENT = {
    "a number": (np.float32([1.0, -2.0, 0.6]), SAME, 0.05),
    "a shape": (SAME[:2], SAME, math.inf),
    "a type": (SAME.astype("float64"), SAME, math.inf),
    "no number": (np.float32([1.0, np.nan, 0.5]), SAME, math.inf),
    "infinite": (np.float32([np.inf, -2.0, 0.5]), SAME, math.inf),
    "infinite elsewhere": (np.float32([1.0, 2.0]), np.float32([1.0, np.inf]), math.inf),
    "infinite the other way": (np.float32([-np.inf]), np.float32([np.inf]), math.inf),
    "an integer": (np.int8([1, 2]), np.int8([1, 3]), 1 / 3),
    "all of them": (np.float32([1.0]), np.float32([0.0]), 1e30),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_differences_are_seen(name: str) -> None:
    found, expected, far = DIFFERENT[name]
    assert distance([SAME, found], [SAME, expected]) == pytest.approx(far)


def test_sums_in_another_order_are_the_same() -> None:
    assert distance([SAME * np.float32(1 + 1e-6)], [SAME]) < TOLERANCE
    both = np.float32([np.nan, np.inf, 1.0])
    assert distance([both], [both.copy()]) == 0.0
    assert distance([np.zeros(3, "float32")], [np.zeros(3, "float32")]) == 0.0
    assert distance([np.zeros(0, "float32")], [np.zeros(0, "float32")]) == 0.0
