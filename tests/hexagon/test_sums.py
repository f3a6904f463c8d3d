"""Sums of float32 products: right to rounding, and two multiplications a packet at best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from tests.hexagon.kernels import Make, Product, convolved, module, packets, run, scheduled

pytestmark = pytest.mark.device("hexagon")


@dataclass(frozen=True, slots=True)
class Bar:
    """least: multiplications a packet."""

    case: Product
    least: float

    def __str__(self) -> str:
        return str(self.case)


BARS = [
    Bar(Product((1, 14, 14, 256), 256), 1.6),
    Bar(Product((1, 7, 7, 64), 48), 1.1),
    Bar(Product((1, 14, 14, 64), 64, 3, pad=1), 1.6),
    Bar(Product((1, 33, 31, 3), 32, 3, stride=2, pad=1), 1.0),
    Bar(Product((2, 9, 8, 5), 7, 3, pad=2, dilation=2), 0.7),
    Bar(Product((1, 13, 11, 17), 13, 2, stride=3), 0.7),
    Bar(Product((1, 28, 28, 64), 64, 3, pad=1, depthwise=True), 1.0),
    Bar(Product((1, 28, 28, 64), 64, 3, 2, pad=1, depthwise=True), 0.8),
    Bar(Product((2, 7, 5, 3), 3, 5, pad=2, depthwise=True), 0.5),
    Bar(Product((1, 1024), 1000), 1.5),
    Bar(Product((5, 33), 11), 0.6),
]


@pytest.mark.parametrize("bar", BARS, ids=str)
def test_convolutions_and_dense_layers(bar: Bar) -> None:
    case = bar.case
    w = case.weights().astype(np.float32) / 128
    bias = np.random.default_rng(2).standard_normal(case.channels).astype(np.float32)

    def make(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
        if len(case.shape) == 2:
            y = bb.emit(R.matmul(x, relax.const(w)))
        else:
            y = bb.emit(
                R.nn.conv2d(
                    x, relax.const(w), strides=case.stride, padding=case.pad,
                    dilation=case.dilation, groups=case.shape[-1] if case.depthwise else 1,
                    data_layout="NHWC", kernel_layout="HWIO",
                )
            )  # fmt: skip
        return bb.emit(R.nn.relu(bb.emit(R.add(y, relax.const(bias)))))

    x = np.random.default_rng(0).standard_normal(case.shape).astype(np.float32)
    mod, rules = scheduled(module(make, [(case.shape, "float32")]))
    assert set(rules.values()) == {"sums"}
    found, measured = run(mod, [x])
    wide = w.astype(np.float64)
    sums = x @ wide if len(case.shape) == 2 else _convolved(x, wide, case)
    wanted = np.maximum(sums + bias, 0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-5 * np.abs(wanted).max())
    assert case.macs / packets(measured) >= bar.least


def _convolved(x: np.ndarray, w: np.ndarray, case: Product) -> np.ndarray:
    """`convolved` counts in integers: the same in float64, a bit of x and w at a time."""
    scale = 2.0**20
    whole = convolved(np.rint(x * scale).astype(np.int64), np.rint(w * 128).astype(np.int64), case)
    return whole / (scale * 128)


def batched(bb: relax.BlockBuilder, a: relax.Expr, b: relax.Expr) -> relax.Expr:
    return bb.emit(R.matmul(a, b))


def transposed(bb: relax.BlockBuilder, a: relax.Expr, b: relax.Expr) -> relax.Expr:
    return bb.emit(R.matmul(a, bb.emit(R.permute_dims(b, [0, 2, 1]))))


def reshaped(bb: relax.BlockBuilder, a: relax.Expr, b: relax.Expr) -> relax.Expr:
    y = bb.emit(R.matmul(a, b))
    return bb.emit(R.multiply(bb.emit(R.reshape(y, [-1])), relax.const(np.float32(2))))


MATRICES = [
    (batched, (3, 7, 10), (3, 10, 6), lambda a, b: a @ b),
    (batched, (2, 4, 4, 9), (9, 5), lambda a, b: a @ b),
    (batched, (9,), (9, 8), lambda a, b: a @ b),
    (batched, (6, 9), (9,), lambda a, b: a @ b),
    (transposed, (2, 8, 12), (2, 4, 12), lambda a, b: a @ b.transpose(0, 2, 1)),
    (reshaped, (2, 3, 8), (8, 4), lambda a, b: 2 * (a @ b).reshape(-1)),
]


@pytest.mark.parametrize(("make", "left", "right", "wanted"), MATRICES)
def test_products_of_matrices(make: Make, left: object, right: object, wanted: object) -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in (left, right))
    mod, _ = scheduled(module(make, [(a.shape, "float32"), (b.shape, "float32")]))
    found, _ = run(mod, [a, b])
    expected = wanted(a.astype(np.float64), b.astype(np.float64))  # type: ignore[operator]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
