"""Figures of errors, by hand."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from dlcc.compiler.verify import measure
from dlcc.compiler.verify.measure import Error, error_of

INF, NAN = math.inf, math.nan


def error(found: object, wanted: object, dtype: str = "float32", **tolerance: float) -> Error:
    limits = {"rtol": 1e-3, "atol": 0.0} | tolerance
    return error_of(np.asarray(found, dtype), np.asarray(wanted, dtype), **limits)


def test_equal_tensors() -> None:
    assert error([1, -2], [1, -2]) == Error(0.0, 0.0, INF, 1.0, 0, ok=True)
    assert error([0, 0], [0, 0]) == Error(0.0, 0.0, INF, 1.0, 0, ok=True)
    assert error([], []) == Error(0.0, 0.0, INF, 1.0, 0, ok=True)


def test_figures() -> None:
    found = error([3, 4.5], [3, 4])
    assert (found.max_abs, found.max_rel, found.beyond, found.ok) == (0.5, 0.125, 1, False)
    assert found.snr_db == pytest.approx(10 * math.log10(25 / 0.25))
    assert found.cosine == pytest.approx(27 / (5 * math.sqrt(9 + 20.25)))


def test_the_tolerance_is_of_the_largest_value() -> None:
    assert error([1000, 0.5], [1000, 0.0]).ok  # a sum that cancelled
    assert not error([1000, 1.5], [1000, 0.0]).ok
    assert error([1.5], [1.0], atol=0.6).ok


@pytest.mark.parametrize(
    ("found", "wanted", "beyond"),
    [
        ([NAN, 1], [NAN, 1], 0),
        ([NAN, 1], [2, 1], 1),
        ([2, 1], [NAN, 1], 1),
        ([INF, 1], [INF, 1], 0),
        ([-INF, 1], [INF, 1], 1),
        ([INF, 1], [NAN, 1], 1),
        ([1e30, 1], [INF, 1], 1),
    ],
)
def test_what_is_no_number(found: list[float], wanted: list[float], beyond: int) -> None:
    made = error(found, wanted)
    assert (made.beyond, made.ok, made.cosine) == (beyond, not beyond, None)
    assert made.max_abs == (INF if beyond else 0)
    assert made.snr_db == (-INF if beyond else INF)
    one_sided = sum(map(math.isnan, found)) != sum(map(math.isnan, wanted))
    assert ("NaN" in made.note) == one_sided


def test_shapes_and_dtypes() -> None:
    made = error_of(np.zeros((2, 3)), np.zeros((3, 2)), 1e-3, 0)
    assert (made.ok, made.beyond, made.note) == (False, 6, "shape [2, 3], expected [3, 2]")
    made = error_of(np.ones(2, "float16"), np.ones(2, "float32"), 1e-3, 0)
    assert (made.ok, made.note) == (True, "float16, expected float32")


def test_integers_booleans_and_complex_numbers() -> None:
    assert error([0, 255], [1, 255], "uint8") == error([0, 255], [1, 255], "int32")
    assert error([0, 255], [1, 255], "uint8").max_abs == 1  # no wrapping
    assert not error([0, 255], [1, 255], "uint8").ok
    assert error([0, 255], [1, 255], "uint8", atol=1).ok
    assert error([True, False], [True, True], "bool").beyond == 1
    assert error([1 + 1j], [1 + 2j], "complex64").max_abs == 1
    made = error_of(np.ones(2, ml_dtypes.bfloat16), np.full(2, 2, ml_dtypes.bfloat16), 1e-3, 0)
    assert made.max_abs == 1


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    pair = rng.normal(size=(7, 9)), rng.normal(size=(7, 9))
    whole = error_of(*pair, 1e-3, 0)
    monkeypatch.setattr(measure, "BLOCK", 10)
    parts = error_of(*pair, 1e-3, 0)
    assert parts.beyond == whole.beyond
    assert parts.max_abs == whole.max_abs
    assert parts.snr_db == pytest.approx(whole.snr_db)
    assert parts.cosine == pytest.approx(whole.cosine)
