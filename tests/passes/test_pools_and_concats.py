"""Passes over pools, pads and concatenations: what they leave, and where they hold back."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax

from dlcc.compiler.passes.affine import merge_affine_chains
from dlcc.compiler.passes.concat import simplify_concats
from dlcc.compiler.passes.fold_pad import fold_pads_into_windows
from dlcc.compiler.passes.pools import pool_after_projection
from dlcc.compiler.passes.simplify import simplify

R = relax.op
RNG = np.random.default_rng(5)
LAYOUT = {"layout": "NHWC", "out_layout": "NHWC"}
BORDER = [0, 0, 1, 1, 1, 1, 0, 0]


def const(*shape):
    return relax.const(RNG.uniform(0.5, 2.0, shape).astype("float32"))


def project(x, into, out, **options):
    w = const(1, 1, into, out)
    return R.nn.conv2d(x, w, data_layout="NHWC", kernel_layout="HWIO", **options)


def average(x, **options):
    return R.nn.avg_pool2d(x, (3, 3), (1, 1), 1, count_include_pad=False, **LAYOUT, **options)


def test_average_moves_behind_a_projection(same):
    def body(b, x):
        return R.nn.relu(b.emit(R.add(b.emit(project(b.emit(average(x)), 8, 3)), const(3))))

    same(
        pool_after_projection,
        body,
        (2, 5, 7, 8),
        leaves=["nn.conv2d", "nn.avg_pool2d", "add", "nn.relu"],
    )


@pytest.mark.parametrize(("out", "stride"), [(8, 1), (3, 2)], ids=["as many", "strides"])
def test_average_stays_before_a_convolution_that_it_makes_cheaper(same, out, stride):
    def body(b, x):
        return project(b.emit(average(x)), 8, out, strides=stride)

    same(pool_after_projection, body, (1, 5, 7, 8), leaves=["nn.avg_pool2d", "nn.conv2d"])


def test_average_that_another_reads_stays(same):
    def body(b, x):
        y = b.emit(average(x))
        return [b.emit(project(y, 8, 3)), y]

    same(pool_after_projection, body, (1, 5, 7, 8), leaves=["nn.avg_pool2d", "nn.conv2d"])


@pytest.mark.parametrize("bounded", ["relu", "maximum", "pool of relu"])
def test_zeros_around_what_is_not_negative_fold_into_a_maximum(same, bounded):
    def body(b, x):
        zero = relax.const(np.float32(0))
        y = b.emit(R.maximum(x, zero) if bounded == "maximum" else R.nn.relu(x))
        if bounded == "pool of relu":
            y = b.emit(R.nn.max_pool2d(y, (1, 2), (1, 1), **LAYOUT))
        return R.nn.max_pool2d(b.emit(R.nn.pad(y, BORDER)), (3, 3), (2, 2), **LAYOUT)

    first = {"relu": "nn.relu", "maximum": "maximum", "pool of relu": "nn.relu nn.max_pool2d"}
    leaves = [*first[bounded].split(), "nn.max_pool2d"]
    same(fold_pads_into_windows, body, (1, 6, 7, 3), leaves=leaves)


def test_zeros_stay_where_a_window_of_the_maximum_may_be_all_of_them(same):
    def body(b, x):
        y = b.emit(R.nn.pad(b.emit(R.nn.relu(x)), [0, 0, 2, 0, 0, 0, 0, 0]))
        return R.nn.max_pool2d(y, (2, 2), (1, 1), **LAYOUT)

    same(fold_pads_into_windows, body, (1, 4, 5, 3), leaves=["nn.relu", "nn.pad", "nn.max_pool2d"])


@pytest.mark.parametrize("counted", [True, False])
def test_zeros_fold_into_a_mean_that_counts_them(same, counted):
    def body(b, x):
        y = b.emit(R.nn.pad(x, BORDER))
        own = 1 if counted else [0, 1, 0, 0]
        return R.nn.avg_pool2d(y, (2, 3), (1, 2), own, count_include_pad=counted, **LAYOUT)

    leaves = ["nn.avg_pool2d"] if counted else ["nn.pad", "nn.avg_pool2d"]
    same(fold_pads_into_windows, body, (1, 6, 7, 3), leaves=leaves)


def test_a_pad_by_nothing_vanishes(same):
    same(simplify, lambda b, x: R.nn.relu(b.emit(R.nn.pad(x, [0] * 4))), (2, 3), leaves=["nn.relu"])


def test_concats_become_one(same):
    def body(b, x, y, z):
        inner = b.emit(R.concat([x, y], -1))
        return R.concat([b.emit(R.concat([inner], 1)), z], 1)

    same(simplify_concats, body, (2, 3), (2, 1), (2, 4), leaves=["concat"])


def test_concats_of_other_axes_or_with_other_readers_stay(same):
    def body(b, x, y):
        rows = b.emit(R.concat([x, y], 0))
        return [b.emit(R.concat([rows, rows], 1)), b.emit(R.concat([rows, x], 0))]

    same(simplify_concats, body, (2, 3), (1, 3), leaves=["concat", "concat", "concat"])


def test_a_slice_of_a_concat_that_is_one_part_is_that_part(same):
    def body(b, x, y):
        both = b.emit(R.concat([x, y], 1))
        part = b.emit(R.strided_slice(both, [-1], [3], [99]))
        return [b.emit(R.nn.relu(part)), b.emit(R.strided_slice(both, [1], [2], [5]))]

    leaves = ["concat", "nn.relu", "strided_slice"]
    same(simplify_concats, body, (2, 3), (2, 4), leaves=leaves)


def test_a_quotient_joins_the_factors_before_it(same):
    def body(b, x):
        y = b.emit(R.add(b.emit(R.multiply(x, const(4))), const(4)))
        return R.divide(y, const(4))

    same(merge_affine_chains, body, (3, 4), leaves=["multiply", "add"])


def test_a_quotient_by_itself_keeps_its_last_digit(same):
    def body(b, x):
        return R.floor(b.emit(R.divide(x, relax.const(np.float32(3)))))

    same(merge_affine_chains, body, (3, 4), leaves=["divide", "floor"])
