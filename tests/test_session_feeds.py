"""What a session accepts as input, and how it refuses the rest."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from dlcc.compiler.container import TensorSpec
from dlcc.compiler.errors import BadFeed
from dlcc.compiler.feeds import check_feeds

X = TensorSpec("x", "float32", ("n", 3))
IMAGE = TensorSpec("image:0", "float32", (1, 8, 6, 3))


def fed(spec: TensorSpec, value: object) -> np.ndarray:
    return check_feeds([spec], {spec.name: value})[0]


def refusal(specs: list[TensorSpec], feeds: Any) -> BadFeed:
    with pytest.raises(BadFeed) as caught:
        check_feeds(specs, feeds)
    assert "\n" not in caught.value.what
    return caught.value


@pytest.mark.parametrize("asked", ["image", "image:0"])
@pytest.mark.parametrize("given", ["image", "image:0"])
def test_names_with_and_without_index(asked: str, given: str) -> None:
    spec = TensorSpec(asked, "float32", (2,))
    value = np.ones(2, "float32")
    np.testing.assert_array_equal(check_feeds([spec], {given: value})[0], value)


def test_feeds_come_out_in_the_models_order() -> None:
    specs = [TensorSpec(name, "int32", ()) for name in "abc"]
    found = check_feeds(specs, {"c": np.int32(3), "a": np.int32(1), "b": np.int32(2)})
    assert [int(t) for t in found] == [1, 2, 3]


def test_names_that_do_not_fit() -> None:
    error = refusal([X, IMAGE], {"imge": 1, "x": 1})
    assert error.what == "the model has no input named 'imge'"
    assert error.hint == "did you mean 'image:0'?"
    assert "x, image:0" in refusal([X, IMAGE], {"zzz": 1}).hint
    assert "given twice" in refusal([X], {"x": 1, "x:0": 1}).what
    assert "not as a dict" in refusal([X], np.ones(3)).what
    assert "not a text" in refusal([X], {1: 2}).what


def test_all_missing_inputs_are_listed() -> None:
    error = refusal([X, IMAGE], {})
    assert "x (float32[n, 3])" in error.what
    assert "image:0 (float32[1, 8, 6, 3])" in error.what


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "bool", "complex64"])
def test_arrays_are_never_cast(dtype: str) -> None:
    error = refusal([X], {"x": np.zeros((2, 3), dtype)})
    assert error.what == f"input 'x' has dtype {dtype}, the model takes float32"
    assert error.hint == 'x.astype("float32") converts it'


def test_other_dtypes_are_refused_with_a_hint() -> None:
    assert "give an array of float32" in refusal([X], {"x": np.array([["a"] * 3])}).hint
    assert refusal([X], {"x": np.array([[None] * 3])})
    assert refusal([X], {"x": None})
    bf16 = TensorSpec("b", "bfloat16", (1,))
    assert "ml_dtypes" in refusal([bf16], {"b": np.zeros(1, "float32")}).hint
    value = np.ones(1, ml_dtypes.bfloat16)
    assert fed(bf16, value).dtype == ml_dtypes.bfloat16


def test_layout_and_byte_order_are_no_casts() -> None:
    value = np.arange(6, dtype=">f4").reshape(3, 2).T
    found = fed(X, value)
    assert found.flags.c_contiguous
    assert found.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(found, value)


NUMBERS = [
    ("float32", [0.1, 2], np.float32([0.1, 2])),
    ("float32", [1, 2], np.float32([1, 2])),
    ("float64", [0.1], np.float64([0.1])),
    ("bfloat16", [0.5], np.array([0.5], ml_dtypes.bfloat16)),
    ("int8", [-128, 127], np.int8([-128, 127])),
    ("int4", [-8, 7], np.array([-8, 7], ml_dtypes.int4)),
    ("uint64", [2**64 - 1], np.uint64([2**64 - 1])),
    ("bool", [True, False], np.array([True, False])),
    ("complex64", [1j, 2.0], np.complex64([1j, 2])),
    ("float32", [float("nan"), float("inf")], np.float32([np.nan, np.inf])),
    ("float32", [], np.zeros(0, np.float32)),
]


@pytest.mark.parametrize(("dtype", "value", "expected"), NUMBERS)
def test_python_numbers_take_the_inputs_dtype(
    dtype: str, value: list[Any], expected: np.ndarray
) -> None:
    found = fed(TensorSpec("v", dtype, ("n",)), value)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_python_scalars() -> None:
    assert fed(TensorSpec("v", "float32", ()), 0.5).shape == ()
    assert int(fed(TensorSpec("v", "int64", ()), 7)) == 7


REFUSED = [
    ("int32", [0.5]),
    ("int32", [1.0]),
    ("int8", [128]),
    ("uint8", [-1]),
    ("int64", [2**63]),
    ("int64", [2**70]),
    ("float16", [2049]),
    ("float16", [1e6]),
    ("float32", [True]),
    ("bool", [1]),
    ("float32", [1j]),
    ("float32", [[1.0], [1.0, 2.0]]),
    ("float32", ["1"]),
]


@pytest.mark.parametrize(("dtype", "value"), REFUSED, ids=str)
def test_python_numbers_that_would_change(dtype: str, value: list[Any]) -> None:
    refusal([TensorSpec("v", dtype, ("n",))], {"v": value})


SHAPES = [
    ((2, 3, 8, 6), ""),
    ((8, 6, 3), "x[None] adds the batch dimension"),
    ((1, 3, 8, 6), "x.transpose(0, 2, 3, 1) has the model's order of dimensions"),
    ((1, 8, 6), ""),
]


@pytest.mark.parametrize(("shape", "hint"), SHAPES)
def test_shapes_that_do_not_fit(shape: tuple[int, ...], hint: str) -> None:
    error = refusal([IMAGE], {"image": np.zeros(shape, "float32")})
    assert error.what == f"input 'image:0' has shape {shape}, the model takes (1, 8, 6, 3)"
    assert error.hint == hint


def test_symbols_take_any_size_but_only_one() -> None:
    other = TensorSpec("y", "float32", ("n",))
    for n in (0, 1, 5):
        check_feeds([X, other], {"x": np.zeros((n, 3), "f4"), "y": np.zeros(n, "f4")})
    error = refusal([X, other], {"x": np.zeros((2, 3), "f4"), "y": np.zeros(4, "f4")})
    assert error.what == "dimension n is 2 in input 'x' and 4 in input 'y'"


def test_open_ranks_take_anything() -> None:
    assert fed(TensorSpec("v", "float32", None), np.zeros((1, 2, 3), "f4")).shape == (1, 2, 3)
    free = TensorSpec("v", "float32", ("?", "?"))
    assert fed(free, np.zeros((1, 2), "f4")).shape == (1, 2)
