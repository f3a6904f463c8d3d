"""Gradients of 3D windows and of filters by channel."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, normal

X, D = normal(2, 5, 7, 6, 3), normal(2, 3, 4, 3, 4, seed=1)
CUBE = {"ksize": [1, 3, 2, 2, 1], "strides": [1, 2, 2, 2, 1], "padding": "SAME"}
STRIDED = {"strides": [1, 2, 2, 2, 1], "padding": "SAME"}
NEAR = {"rtol": 1e-4, "atol": 1e-5, "why": "sums in another order"}
IMAGE, SMALL = normal(2, 7, 6, 3), normal(2, 4, 3, 6, seed=1)


def _max_pool(tf, x, d, attrs=CUBE):
    y = tf.raw_ops.MaxPool3D(input=x, **attrs)
    return tf.raw_ops.MaxPool3DGrad(orig_input=x, orig_output=y, grad=d, **attrs)


CASES = [
    Case("MaxPool3DGrad", [feed(X), feed(D[..., :3])], build=_max_pool, **NEAR),
    Case("MaxPool3DGrad", [feed(X.round()), feed(D[..., :3])], "ties", build=_max_pool, **NEAR),
    Case("MaxPool3DGrad", [feed(X, (None, 5, 7, 6, 3)), feed(D[..., :3], (None, 3, 4, 3, 3))],
         "open", build=_max_pool, **NEAR),
    Case("AvgPool3DGrad", [np.int32([2, 5, 7, 6, 4]), feed(D)], attrs=CUBE, **NEAR),
    Case("AvgPool3DGrad", [np.int32([2, 5, 7, 6, 4]), feed(D[:, :2, :3])],
         "VALID", attrs={**CUBE, "padding": "VALID"}, **NEAR),
    Case("Conv3DBackpropFilterV2", [feed(X), np.int32([3, 2, 2, 3, 4]), feed(D)], attrs=STRIDED,
         **NEAR),
    *(Case("DepthwiseConv2dNativeBackpropFilter",
           [feed(IMAGE), np.int32([3, 2, 3, 2]), feed(SMALL[:, :h])], padding,
           attrs={"strides": [1, 2, 2, 1], "padding": padding}, **NEAR)
      for padding, h in (("SAME", 4), ("VALID", 3))),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
