"""Ops whose attributes multiply, at random but the same each time, against TensorFlow."""

from __future__ import annotations

import inspect

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from op_cases import Bench, Case, feed, normal

CASES: list[Case] = []  # what follows makes its own
BOUNDED = settings(
    max_examples=25, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)  # fmt: skip


def agrees(op, arguments, attrs, rtol=1e-4, atol=1e-5):
    """Compare one node; what TensorFlow refuses is no example."""
    import tensorflow as tf

    try:
        _in_tensorflow(tf, op, arguments, attrs)
    except (tf.errors.OpError, ValueError):
        assume(False)
    case = Case(op, arguments, str(attrs), attrs, rtol=rtol, atol=atol)
    Bench().compare(case, [case])


def _in_tensorflow(tf, op, arguments, attrs):
    def plain(value):
        return (
            [plain(v) for v in value] if isinstance(value, list) else getattr(value, "array", value)
        )

    function = getattr(tf.raw_ops, op)
    names = list(inspect.signature(function).parameters)
    with tf.Graph().as_default() as graph:
        made = function(**dict(zip(names, map(plain, arguments), strict=False)), **attrs)
        with tf.compat.v1.Session(graph=graph) as session:
            session.run(made)


BOUND = st.integers(-6, 6)
MASK = st.integers(0, 15)


@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=3),
    rows=st.lists(
        st.tuples(BOUND, BOUND, st.sampled_from([1, 2, 3, -1, -2])), min_size=1, max_size=4
    ),
    masks=st.tuples(MASK, MASK, MASK, MASK, MASK),
)
@BOUNDED
def test_strided_slice(shape, rows, masks):
    """Bounds inside and outside, negative steps, and every kind of mask."""
    begin, end, step, ellipsis, shrink = masks
    ellipsis = ellipsis & -ellipsis  # at most one bit
    attrs = {
        "begin_mask": begin, "end_mask": end, "new_axis_mask": step & ~shrink,
        "ellipsis_mask": ellipsis, "shrink_axis_mask": shrink,
    }  # fmt: skip
    bounds = [np.int32(column) for column in zip(*rows, strict=True)]
    agrees("StridedSlice", [feed(normal(*shape)), *bounds], attrs)


@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    padding=st.sampled_from(["SAME", "VALID", "EXPLICIT"]),
    edges=st.tuples(*[st.integers(0, 2)] * 4),
)
@BOUNDED
def test_conv2d(size, kernel, channels, strides, dilations, padding, edges):
    attrs = {"strides": [1, *strides, 1], "dilations": [1, *dilations, 1], "padding": padding}
    if padding == "EXPLICIT":
        attrs["explicit_paddings"] = [0, 0, *edges, 0, 0]
    agrees("Conv2D", [feed(normal(2, *size, channels[0])), normal(*kernel, *channels)], attrs)


@given(
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.sampled_from(["SAME", "VALID"]),
)
@BOUNDED
def test_depthwise_conv2d(size, kernel, channels, stride, dilations, padding):
    attrs = {"strides": [1, stride, stride, 1], "dilations": [1, *dilations, 1], "padding": padding}
    arguments = [feed(normal(2, *size, channels[0])), normal(*kernel, *channels)]
    agrees("DepthwiseConv2dNative", arguments, attrs)


@given(
    op=st.sampled_from(["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"]),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    target=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    mode=st.sampled_from([(False, False), (True, False), (False, True)]),
)
@BOUNDED
def test_resize(op, size, target, mode):
    attrs = dict(zip(("align_corners", "half_pixel_centers"), mode, strict=True))
    agrees(op, [feed(normal(2, *size, 3)), np.int32(target)], attrs, atol=1e-4)


@given(
    left=st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True),
    right=st.lists(st.sampled_from("bcde"), min_size=1, max_size=3, unique=True),
    data=st.data(),
)
@BOUNDED
def test_einsum(left, right, data):
    """Labels that are shared, summed in one operand, batched, or in any order of the result."""
    extents = dict(zip("abcde", (2, 3, 4, 1, 5), strict=True))
    labels = sorted({*left, *right})
    kept = data.draw(st.lists(st.sampled_from(labels), max_size=4, unique=True))
    equation = f"{''.join(left)},{''.join(right)}->{''.join(kept)}"
    operands = [feed(normal(*(extents[c] for c in term))) for term in (left, right)]
    agrees("Einsum", [operands], {"equation": equation})


@given(
    batch=st.lists(st.integers(1, 3), max_size=2),
    rest=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    wanted=st.lists(st.integers(1, 3), max_size=2),
    from_end=st.booleans(),
    data=st.data(),
)
@BOUNDED
def test_gather(batch, rest, wanted, from_end, data):
    shape = [*batch, *rest]
    axis = data.draw(st.integers(len(batch), len(shape) - 1))
    which = np.asarray(
        np.random.default_rng(0).integers(0, shape[axis], [*batch, *wanted]), np.int32
    )
    arguments = [feed(normal(*shape)), feed(which), np.int32(axis - from_end * len(shape))]
    count = len(batch) - len(which.shape) if from_end and wanted else len(batch)
    agrees("GatherV2", arguments, {"batch_dims": count})
