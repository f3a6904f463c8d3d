"""Convolutions with groups, several batch axes, and their transposed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_cases import Case, feed, normal

LOOSE = {"rtol": 2e-4, "atol": 2e-5, "why": "sums in another order"}
_SAME = {"strides": [1, 2, 2, 1], "padding": "SAME"}

WIDTHS = np.int32([[0, 0], [2, 1], [1, 0], [0, 0]])
_FUSED: dict[str, Any] = {"mode": "REFLECT", "strides": [1, 2, 2, 1], "padding": "VALID"}


def _in_groups(n: int, **attrs: Any) -> Any:
    """TensorFlow's CPU has no gradient of a convolution in groups: each group by itself."""

    def build(tf: Any, dims: Any, w: Any, dy: Any) -> Any:
        parts = zip(np.split(w, n, -1), tf.split(dy, n, -1), strict=True)
        sizes = [*dims[:-1], dims[-1] // n]
        return tf.concat([
            tf.raw_ops.Conv2DBackpropInput(input_sizes=sizes, filter=k, out_backprop=d, **attrs)
            for k, d in parts
        ], -1)  # fmt: skip

    return build


def _spread_filter(tf: Any, dims: Any, w: Any, dy: Any) -> Any:
    """TensorFlow's CPU has no gradient of a dilated convolution: zeros between the weights."""
    wide = np.zeros((2 * w.shape[0] - 1, 2 * w.shape[1] - 1, *w.shape[2:]), w.dtype)
    wide[::2, ::2] = w
    return tf.raw_ops.Conv2DBackpropInput(input_sizes=dims, filter=wide, out_backprop=dy,
                                          strides=[1, 1, 1, 1], padding="VALID")  # fmt: skip


def _unfused(tf: Any, x: Any, size: Any, widths: Any, w: Any) -> Any:
    """TensorFlow's fused kernel takes the first image of a batch for each of them."""
    y = tf.raw_ops.MirrorPad(
        input=tf.raw_ops.ResizeBilinear(images=x, size=size), paddings=widths, mode="REFLECT"
    )
    return tf.raw_ops.Conv2D(input=y, filter=w, strides=_FUSED["strides"], padding="VALID")


CASES = [
    *(
        Case("Conv2DBackpropInput", [np.int32(dims), normal(*w), feed(normal(*dy, seed=1))],
             f"{n} groups", attrs=attrs, reference=_in_groups(n, **attrs), **LOOSE)
        for n, dims, w, dy, attrs in (
            (2, (2, 9, 8, 6), (3, 3, 3, 4), (2, 5, 4, 4), _SAME),
            (3, (1, 7, 7, 3), (3, 2, 1, 6), (1, 5, 6, 6),
             {"strides": [1, 1, 1, 1], "padding": "VALID"}),
        )
    ),
    Case("Conv2DBackpropInput", [feed(np.int32([2, 9, 8, 3])), normal(3, 3, 3, 4),
                                 feed(normal(2, 5, 4, 4, seed=1))], "computed size", attrs=_SAME,
         **LOOSE),
    Case("Conv2DBackpropInput", [np.int32([1, 9, 9, 2]), normal(3, 3, 2, 3),
                                 feed(normal(1, 5, 5, 3))], "dilated",
         attrs={"strides": [1, 1, 1, 1], "padding": "VALID", "dilations": [1, 2, 2, 1]},
         reference=_spread_filter, **LOOSE),
    Case("Conv2DBackpropInputV2", [feed(normal(2, 9, 8, 3), (None, 9, 8, 3)), normal(3, 3, 3, 4),
                                   feed(normal(2, 5, 4, 4, seed=1))], attrs=_SAME,
         reference=lambda tf, x, w, dy: tf.raw_ops.Conv2DBackpropInput(
             input_sizes=tf.shape(x), filter=w, out_backprop=dy, **_SAME), **LOOSE),
    *(
        Case("DepthwiseConv2dNativeBackpropInput",
             [np.int32(dims), normal(*w), feed(normal(*dy, seed=1))], f"{w}", attrs=attrs, **LOOSE)
        for dims, w, dy, attrs in (
            ((2, 9, 8, 3), (3, 3, 3, 2), (2, 5, 4, 6), _SAME),
            ((1, 6, 7, 4), (2, 3, 4, 1), (1, 5, 5, 4),
             {"strides": [1, 1, 1, 1], "padding": "VALID"}),
            ((1, 6, 6, 2), (3, 3, 2, 2), (1, 7, 5, 4),
             {"strides": [1, 1, 1, 1], "padding": "EXPLICIT",
              "explicit_paddings": [0, 0, 2, 1, 0, 1, 0, 0]}),
        )
    ),
    *(
        Case("FusedPadConv2D", [feed(normal(1, 7, 6, 3)), WIDTHS, normal(3, 3, 3, 4)], mode,
             attrs={"mode": mode, "strides": [1, 1, 1, 1], "padding": "VALID"}, **LOOSE)
        for mode in ("REFLECT", "SYMMETRIC")
    ),
    *(
        Case("FusedResizeAndPadConv2D",
             [feed(normal(1, 7, 6, 3)), np.int32([9, 5]), WIDTHS, normal(3, 3, 3, 4)],
             f"{corners}", attrs=_FUSED | {"resize_align_corners": corners}, **LOOSE)
        for corners in (False, True)
    ),
    Case("FusedResizeAndPadConv2D",
         [feed(normal(2, 7, 6, 3)), np.int32([9, 5]), WIDTHS, normal(3, 3, 3, 4)], "batch",
         attrs=_FUSED, reference=_unfused, **LOOSE),
    Case("Conv", [feed(normal(2, 7, 6, 3)), normal(3, 3, 3, 4)],
         attrs={"strides": [1, 2, 1, 1], "padding": "SAME"}, **LOOSE),
    Case("Conv", [feed(normal(2, 3, 7, 6, 2), (None, 3, 7, 6, 2)), normal(3, 2, 2, 4)],
         "two batch axes", attrs={"strides": [1, 1, 1, 1], "padding": "VALID", "batch_dims": 2},
         **LOOSE),
    Case("Conv", [feed(normal(2, 4, 5, 6, 2)), normal(2, 3, 3, 2, 4)], "3D",
         attrs={"strides": [1, 1, 1, 1, 1], "padding": "SAME"}, **LOOSE),
    Case("Conv", [feed(normal(1, 6, 6, 4)), normal(3, 3, 2, 6)], "groups",
         attrs={"strides": [1, 1, 1, 1], "padding": "EXPLICIT", "groups": 2,
                "explicit_paddings": [0, 0, 1, 2, 0, 1, 0, 0]},
         reference=lambda tf, x, w: tf.raw_ops.Conv2D(
             input=x, filter=w, strides=[1, 1, 1, 1], padding="EXPLICIT",
             explicit_paddings=[0, 0, 1, 2, 0, 1, 0, 0]), **LOOSE),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
