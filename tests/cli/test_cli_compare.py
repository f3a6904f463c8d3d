"""Outputs against a reference, value by value."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from dlcc.compiler.cli.compare import check_differences, differences, output_rows
from dlcc.compiler.errors import BadFeed, Mismatch

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("found", "expected", "beyond"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0),
        ([1.0, 2.0005], [1.0, 2.0], 0),
        ([1.0, 2.01], [1.0, 2.0], 1),
        ([0.0], [1e-4], 0),
        ([NAN, INF, -INF], [NAN, INF, -INF], 0),
        ([1.0], [NAN], 1),
        ([NAN], [1.0], 1),
        ([1.0], [INF], 1),
        ([INF], [1.0], 1),
        ([INF], [-INF], 1),
        ([], [], 0),
    ],
    ids=str,
)
def test_what_is_beyond(found: list[float], expected: list[float], beyond: int) -> None:
    (row,) = differences({"y": np.array(found)}, {"y": np.array(expected)}, rtol=1e-3, atol=1e-4)
    assert (row.beyond, row.ok) == (beyond, beyond == 0)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "complex64", "bfloat16"])
def test_dtypes(dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype) if dtype == "bfloat16" else dtype)
    y = np.array([0, 1, 1], kind)
    (row,) = differences({"y": y}, {"y": y}, rtol=0, atol=0)
    assert (row.ok, row.max_absolute, row.note) == (True, 0.0, None)
    (row,) = differences({"y": y}, {"y": y.astype("complex128")}, rtol=0, atol=0)
    assert (row.ok, row.note) == (True, "expected complex128")
    assert output_rows({"y": y})[0].dtype == dtype


def test_small_values_do_not_count_relatively() -> None:
    y, reference = np.array([1e-9, 1.1]), np.array([2e-9, 1.0])
    (row,) = differences({"y": y}, {"y": reference}, rtol=1e-3, atol=1e-6)
    assert row.max_relative == pytest.approx(0.1)


def test_all_outputs_are_told() -> None:
    outputs: dict[str, Any] = {"a": np.zeros(3), "b": np.zeros(2), "c": np.zeros(1)}
    reference = {"a:0": np.ones(3), "b": np.ones(5), "c": np.zeros(1)}
    rows = differences(outputs, reference, rtol=0, atol=0.1)
    with pytest.raises(Mismatch, match=r"a \(3 of 3 values\), b \(expected shape \(5,\)\)$"):
        check_differences(rows)
    with pytest.raises(BadFeed, match="no array for a, c"):
        differences(outputs, {"b": np.ones(5), "d": np.ones(1)}, rtol=0, atol=0)
    with pytest.raises(BadFeed, match="dtype"):
        differences({"a": np.zeros(1)}, {"a": np.array(["x"])}, rtol=0, atol=0)
