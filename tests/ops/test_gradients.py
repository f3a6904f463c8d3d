"""Gradient ops as plain ops of a graph."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, normal

X = normal(3, 5, scale=3)
D = normal(3, 5, seed=1)
EDGES = np.float32([-1, 0, 6, 7, np.inf, -np.inf, np.nan, 1])
IMAGE = normal(2, 7, 6, 4)

NHWC, NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
POOL = {"ksize": [1, 1, 3, 2], "strides": [1, 1, 2, 2], "padding": "SAME", "data_format": "NCHW"}
LAST = {"ksize": [1, 3, 2, 1], "strides": [1, 2, 2, 1], "padding": "SAME"}
FILTER = {k: v for k, v in POOL.items() if k != "ksize"}


def _last_max_pool(tf, x, y, d):
    x, d = tf.transpose(x, NHWC), tf.transpose(d, NHWC)
    y = tf.raw_ops.MaxPool(input=x, **LAST)
    made = tf.raw_ops.MaxPoolGrad(orig_input=x, orig_output=y, grad=d, **LAST)
    return tf.transpose(made, NCHW)


def _last_average_pool(tf, dims, d):
    made = tf.raw_ops.AvgPoolGrad(
        orig_input_shape=np.int32([2, 7, 6, 4]), grad=tf.transpose(d, NHWC), **LAST
    )
    return tf.transpose(made, NCHW)


def _last_filter(tf, x, sizes, d):
    return tf.raw_ops.Conv2DBackpropFilter(
        input=tf.transpose(x, NHWC), filter_sizes=sizes, out_backprop=tf.transpose(d, NHWC),
        strides=[1, 2, 2, 1], padding="SAME",
    )  # fmt: skip


def _channels_first():
    """TensorFlow's CPU has these in NHWC alone."""
    x, d = IMAGE.transpose(NCHW).copy(), normal(2, 4, 4, 3)
    yield Case("MaxPoolGrad", [feed(x.round()), feed(d), feed(d)], "NCHW", attrs=POOL,
               reference=_last_max_pool)  # fmt: skip
    yield Case("AvgPoolGrad", [np.int32([2, 4, 7, 6]), feed(d)], "NCHW", attrs=POOL,
               reference=_last_average_pool)  # fmt: skip
    yield Case("Conv2DBackpropFilter", [feed(x), np.int32([3, 2, 4, 4]), feed(d)], "NCHW",
               attrs=FILTER, reference=_last_filter, rtol=1e-4, atol=1e-5)  # fmt: skip


CASES = [
    *(
        Case(op, [feed(D), feed(X)])
        for op in ("ReluGrad", "Relu6Grad", "EluGrad", "SeluGrad", "SoftplusGrad", "SoftsignGrad",
                   "LeakyReluGrad")
    ),
    *(Case(op, [feed(EDGES[::-1].copy()), feed(EDGES)], "edges")
      for op in ("ReluGrad", "Relu6Grad", "EluGrad")),
    *(
        Case(op, [feed(np.abs(X)), feed(D)])
        for op in ("SigmoidGrad", "TanhGrad", "SqrtGrad", "RsqrtGrad", "ReciprocalGrad", "InvGrad")
    ),
    Case("TanhGrad", [feed(X.astype("f8")), feed(D.astype("f8"))], "float64"),
    Case("ReluGrad", [feed(D.astype("f2")), feed(X.astype("f2"))], "float16"),
    Case("BiasAddGrad", [feed(IMAGE)], rtol=1e-4, why="order of the sum"),
    Case("BiasAddGrad", [feed(IMAGE)], "NCHW", attrs={"data_format": "NCHW"}, rtol=1e-4,
         why="order of the sum"),
    *(
        Case("MaxPoolGrad", [feed(IMAGE.round()), feed(normal(2, *s, 4)), feed(normal(2, *s, 4))],
             p, attrs={"ksize": [1, 3, 2, 1], "strides": [1, 2, 2, 1], "padding": p},
             build=lambda tf, x, y, d, p=p: tf.raw_ops.MaxPoolGrad(
                 orig_input=x, grad=d, ksize=[1, 3, 2, 1], strides=[1, 2, 2, 1], padding=p,
                 orig_output=tf.raw_ops.MaxPool(input=x, ksize=[1, 3, 2, 1],
                                                strides=[1, 2, 2, 1], padding=p)))
        for p, s in (("VALID", (3, 3)), ("SAME", (4, 3)))
    ),
    *(
        Case("AvgPoolGrad", [np.int32([2, 7, 6, 4]), feed(normal(2, *s, 4))], p,
             attrs={"ksize": [1, 3, 2, 1], "strides": [1, 2, 2, 1], "padding": p})
        for p, s in (("VALID", (3, 3)), ("SAME", (4, 3)))
    ),
    *(
        Case("Conv2DBackpropFilter", [feed(IMAGE), np.int32([3, 2, c, 6]),
                                      feed(normal(2, *s, 6))], f"{p} {c}",
             attrs={"strides": [1, 2, 2, 1], "padding": p}, rtol=1e-4, atol=1e-5,
             why="order of the sum")
        for p, s, c in (("VALID", (3, 3), 4), ("SAME", (4, 3), 4))
    ),
    *(
        Case("MirrorPadGrad", [feed(normal(7, 9)), np.int32([[2, 1], [0, 3]])], m,
             attrs={"mode": m})
        for m in ("REFLECT", "SYMMETRIC")
    ),
    *(
        Case(op, [feed(normal(2, 7, 5, 3)), second], f"{aligned} {half}",
             attrs={"align_corners": aligned, "half_pixel_centers": half}, rtol=1e-4, atol=1e-5,
             why="order of the sum")
        for op, second in (("ResizeNearestNeighborGrad", np.int32([4, 9])),
                           ("ResizeBilinearGrad", feed(normal(2, 4, 9, 3))))
        for aligned, half in ((False, False), (True, False), (False, True))
    ),
    Case("ResizeBilinearGrad", [feed(normal(1, 1, 5, 2)), feed(normal(1, 3, 1, 2, dtype="f8"))],
         "float64", attrs={"align_corners": True}),
    *_channels_first(),
    *(
        Case("LRNGrad", [feed(normal(2, 3, 2, 7, seed=i)) for i in range(3)], str(radius),
             attrs={"depth_radius": radius, "bias": 1.5, "alpha": 0.3, "beta": 0.75})
        for radius in (1, 4)
    ),
    Case("LRNGrad", [feed(normal(1, 2, 2, 3, seed=i)) for i in range(3)], "defaults"),
    Case("LRNGrad", [feed(normal(2, 2, 2, 5, seed=i, dtype="float16")) for i in range(3)],
         "float16", rtol=2e-2, atol=1e-2, why="TensorFlow sums in float16"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
