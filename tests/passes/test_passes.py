"""Each pass: what it leaves of a small module, that numbers stay, and where it must hold back."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax

from dlcc.compiler.passes.affine import merge_affine_chains
from dlcc.compiler.passes.fold_constants import fold_layout_constants
from dlcc.compiler.passes.fold_pad import fold_pads_into_windows
from dlcc.compiler.passes.fold_scale import fold_scale_into_weights
from dlcc.compiler.passes.pipeline import optimize
from dlcc.compiler.passes.simplify import simplify

R = relax.op
RNG = np.random.default_rng(3)


def const(*shape):
    return relax.const(RNG.uniform(0.5, 2.0, shape).astype("float32"))


def conv(x, w, layout="NHWC", **options):
    kernel = "HWIO" if layout == "NHWC" else "OIHW"
    return R.nn.conv2d(x, w, data_layout=layout, kernel_layout=kernel, out_layout=layout, **options)


def test_affine_chain_becomes_one_product_and_one_sum(same):
    def body(b, x):
        y = b.emit(R.multiply(x, const(5)))
        y = b.emit(R.add(const(1, 1, 1, 5), y))
        y = b.emit(R.multiply(y, const()))
        y = b.emit(R.subtract(y, const(5)))
        return R.multiply(y, const(5))

    same(merge_affine_chains, body, (2, 3, 4, 5), leaves=["multiply", "add"])


def test_affine_chain_keeps_what_another_reads(same):
    def body(b, x):
        y = b.emit(R.multiply(x, const(5)))
        return [b.emit(R.multiply(y, const(5))), y]

    same(merge_affine_chains, body, (2, 5), leaves=["multiply", "multiply"])


def test_affine_chain_does_not_make_a_tensor_of_a_row_and_a_column(same):
    def body(b, x):
        return R.multiply(b.emit(R.multiply(x, const(1, 300))), const(400, 1))

    same(merge_affine_chains, body, (400, 300), leaves=["multiply", "multiply"])


def test_integers_are_left_alone(same):
    def body(b, x):
        i = b.emit(R.astype(x, "int32"))
        two = relax.const(np.int32(2))
        return R.add(b.emit(R.multiply(b.emit(R.add(i, two)), two)), two)

    same(merge_affine_chains, body, (7,), leaves=["astype", "add", "multiply", "add"])


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_scale_folds_into_convolution(same, layout):
    channels_last = layout == "NHWC"
    shape = (2, 9, 7, 3) if channels_last else (2, 3, 9, 7)
    w = const(3, 3, 3, 8) if channels_last else const(8, 3, 3, 3)
    scale = const(8) if channels_last else const(1, 8, 1, 1)

    def body(b, x):
        y = b.emit(conv(x, w, layout, strides=2, padding=[0, 1, 1, 0]))
        return R.multiply(y, scale)

    same(fold_scale_into_weights, body, shape, leaves=["nn.conv2d"])


def test_scale_folds_into_depthwise_with_multiplier(same):
    def body(b, x):
        return R.multiply(b.emit(conv(x, const(3, 3, 1, 8), groups=4)), const(8))

    same(fold_scale_into_weights, body, (2, 6, 5, 4), leaves=["nn.conv2d"])


def test_scale_before_a_padded_convolution_folds(same):
    def body(b, x):
        return conv(b.emit(R.multiply(x, const(3))), const(3, 3, 3, 4), padding=1)

    same(fold_scale_into_weights, body, (2, 6, 5, 3), leaves=["nn.conv2d"])


def test_scale_before_a_grouped_convolution_stays(same):
    def body(b, x):
        return conv(b.emit(R.multiply(x, const(4))), const(3, 3, 1, 4), groups=4)

    same(fold_scale_into_weights, body, (2, 6, 5, 4), leaves=["multiply", "nn.conv2d"])


def test_scale_of_pixels_stays(same):
    def body(b, x):
        return R.multiply(b.emit(conv(x, const(1, 1, 3, 4))), const(5, 1))

    same(fold_scale_into_weights, body, (2, 6, 5, 3), leaves=["nn.conv2d", "multiply"])


def test_scale_of_a_result_read_twice_stays(same):
    def body(b, x):
        y = b.emit(conv(x, const(1, 1, 3, 4)))
        return R.add(y, b.emit(R.multiply(y, const(4))))

    same(fold_scale_into_weights, body, (2, 6, 5, 3), leaves=["nn.conv2d", "multiply", "add"])


def test_scale_folds_into_a_product(same):
    def body(b, x):
        return R.multiply(b.emit(R.matmul(x, const(6, 4))), const(4))

    same(fold_scale_into_weights, body, (3, 6), leaves=["matmul"])


def test_pad_folds_into_convolution(same):
    def body(b, x):
        y = b.emit(R.nn.pad(x, [0, 0, 2, 1, 0, 3, 0, 0]))
        return conv(y, const(3, 3, 3, 4), strides=2, padding=[0, 1, 1, 0])

    same(fold_pads_into_windows, body, (2, 6, 5, 3), leaves=["nn.conv2d"])


@pytest.mark.parametrize(
    ("widths", "value"), [([0, 0, 1, 1, 1, 1, 0, 0], 1.0), ([0, 0, 0, 0, 1, 1, 0, 1], 0.0)]
)
def test_pad_of_another_value_or_of_channels_stays(same, widths, value):
    channels = 3 + widths[-1]

    def body(b, x):
        y = b.emit(R.nn.pad(x, widths, "constant", value))
        return conv(y, const(3, 3, channels, 4))

    same(fold_pads_into_windows, body, (2, 6, 5, 3), leaves=["nn.pad", "nn.conv2d"])


def test_zero_pad_before_a_maximum_stays(same):
    def body(b, x):
        y = b.emit(R.nn.pad(x, [0, 0, 1, 1, 1, 1, 0, 0]))
        return R.nn.max_pool2d(y, (3, 3), (2, 2), layout="NHWC", out_layout="NHWC")

    same(fold_pads_into_windows, body, (2, 6, 5, 3), leaves=["nn.pad", "nn.max_pool2d"])


def test_layout_of_weights_is_settled(same):
    def body(b, x):
        w = b.emit(R.permute_dims(const(6, 4), [1, 0]))
        return R.matmul(x, b.emit(R.reshape(w, (4, 6))))

    same(fold_layout_constants, body, (3, 4), leaves=["matmul"])


def test_moves_that_undo_each_other_vanish(same):
    def body(b, x):
        y = b.emit(R.permute_dims(x, [2, 0, 1]))
        y = b.emit(R.permute_dims(y, [1, 2, 0]))
        y = b.emit(R.reshape(b.emit(R.reshape(y, (24,))), (2, 3, 4)))
        return R.nn.relu(b.emit(R.multiply(y, relax.const(np.float32(1)))))

    same(simplify, body, (2, 3, 4), leaves=["nn.relu"])


def test_a_product_that_broadcasts_is_no_identity(same):
    def body(b, x):
        return R.multiply(x, relax.const(np.ones((3, 1), "float32")))

    same(simplify, body, (1, 4), leaves=["multiply"])


def test_batch_norm_as_keras_leaves_it_disappears(same):
    """conv + bias, then x * s + t behind a pad: one convolution and one sum are left."""

    def body(b, x):
        y = b.emit(R.nn.pad(x, [0, 0, 1, 1, 1, 1, 0, 0]))
        y = b.emit(R.add(b.emit(conv(y, const(3, 3, 3, 8), strides=2)), const(8)))
        y = b.emit(R.add(b.emit(R.multiply(y, const(8))), const(8)))
        return R.nn.relu(y)

    same(optimize, body, (2, 9, 7, 3), leaves=["nn.conv2d", "add", "nn.relu"])


def test_unused_parts_and_equal_parts_vanish(same):
    def body(b, x):
        b.emit(R.exp(x))
        return R.add(b.emit(R.sin(x)), b.emit(R.sin(x)))

    same(optimize, body, (5,), leaves=["sin", "add"])
