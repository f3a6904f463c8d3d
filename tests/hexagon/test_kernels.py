"""8-bit kernels for HVX: bit for bit what NumPy computes, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from dlcc.targets.hexagon.intrin import LANES
from tests.hexagon.kernels import (
    Inputs,
    Make,
    Product,
    module,
    packets,
    plain,
    random_inputs,
    run,
    scheduled,
)

PRODUCTS = [
    Product((16, 256), 64),
    Product((16, 256), 128, zero=7, requantised=True),
    Product((5, 10), 10, zero=-7, dtype="int8"),
    Product((13, 64), 96, zero=3, low=0, high=255),
    Product((8, 64), 32, zero=3, low=-200, high=55),  # an asymmetric range: no int8 holds it
    Product((1, 1024), 33),
    Product((1, 14, 14, 64), 128, requantised=True, zero=128),
    Product((2, 5, 7, 6), 20, dtype="int8", zero=11),
    Product((1, 8, 8, 16), 24, stride=2),
    Product((1, 14, 14, 32), 64, 3, pad=1, requantised=True, zero=100),
    Product((1, 13, 13, 20), 40, 3, stride=2, pad=1, requantised=True, zero=100),
    Product((1, 16, 16, 3), 32, 3, stride=2, pad=1, zero=255),
    Product((2, 9, 12, 8), 16, 5, dtype="int8"),
    Product((1, 11, 11, 4), 8, 3, pad=2, dilation=2, dtype="int8", zero=-128),
]
DEPTHWISE = [
    Product((1, 14, 14, 64), 64, 3, pad=1, depthwise=True, zero=100, requantised=True),
    Product((1, 14, 14, 64), 64, 3, stride=2, pad=1, depthwise=True, zero=100, requantised=True),
    Product((1, 7, 7, 256), 256, 3, pad=1, depthwise=True, requantised=True),
    Product((1, 9, 9, 192), 192, 3, stride=2, pad=1, depthwise=True, zero=3),
    Product(
        (1, 9, 9, 24), 24, 5, pad=2, depthwise=True, zero=-5, low=-200, high=55, dtype="int8"
    ),  # two taps for what int8 does not hold
    Product((1, 15, 15, 32), 32, 7, pad=2, dilation=2, depthwise=True),
    Product((1, 3, 3, 8), 8, 3, pad=1, depthwise=True, zero=3, requantised=True),
    Product((2, 6, 5, 40), 40, 3, pad=1, depthwise=True, zero=3, requantised=True),
    Product((1, 7, 8, 32), 32, 5, pad=2, depthwise=True, low=-255, high=255, dtype="int8"),
    Product((2, 6, 8, 32), 32, 3, pad=1, depthwise=True, zero=-5, dtype="int8"),
    Product((1, 8, 8, 128), 128, 3, 2, pad=1, depthwise=True, zero=3, requantised=True),
    Product((1, 5, 12, 64), 64, 3, pad=1, depthwise=True, dtype="int8", requantised=True),
    Product((1, 9, 8, 96), 96, 3, 2, pad=1, depthwise=True, zero=255, requantised=True),
]


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("case", PRODUCTS + DEPTHWISE, ids=str)
def test_products_are_exact(case: Product) -> None:
    mod, rules = scheduled(module(case.make, [(case.shape, case.dtype)]))
    sparse = case.channels < LANES or case.dilation > 1
    way = "depthwise" if sparse else "windows"
    assert set(rules.values()) == {way if case.depthwise else "product"}
    xs = random_inputs([(case.shape, case.dtype)])
    found, measured = run(mod, xs)
    np.testing.assert_array_equal(found, case.expected(xs[0]))
    assert "vrmpy" in measured[0].assembly


LAYERS = [
    Product((1, 12, 12, 3), 32, 3, stride=2, pad=1, zero=128, requantised=True),
    Product((1, 6, 6, 32), 32, 3, pad=1, depthwise=True, zero=3, requantised=True),
    Product((1, 6, 6, 32), 64, zero=5, requantised=True),
]


@pytest.mark.device("hexagon")
def test_layers_find_the_bytes_that_the_layer_before_made() -> None:
    def make(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
        for layer in LAYERS:
            x = layer.make(bb, x)
        return x

    inputs = [(LAYERS[0].shape, "uint8")]
    mod, rules = scheduled(module(make, inputs))
    assert sorted(rules.values()) == ["product", "product", "windows"]
    (x,) = random_inputs(inputs)
    found, _ = run(mod, [x])
    for layer in LAYERS:
        x = layer.expected(x)
    np.testing.assert_array_equal(found, x)


@pytest.mark.device("hexagon")
def test_operators_of_bytes_with_int32_results_are_found() -> None:
    case = Product((1, 6, 6, 16), 32, 3, pad=1)

    def make(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
        w = relax.const(case.weights().astype(np.int8))
        return bb.emit(
            R.nn.conv2d(
                x, w, padding=1, data_layout="NHWC", kernel_layout="HWIO", out_dtype="int32"
            )
        )

    inputs = [(case.shape, "uint8")]
    mod, rules = scheduled(module(make, inputs))
    assert set(rules.values()) == {"product"}
    xs = random_inputs(inputs)
    np.testing.assert_array_equal(run(mod, xs)[0], case.expected(xs[0]))


@pytest.mark.device("hexagon")
@pytest.mark.parametrize(("width", "in_memory"), [(8, False), (7, True)])
def test_words_of_whole_vectors_stay_in_registers(width: int, in_memory: bool) -> None:
    case = Product((1, 6, width, 64), 64, 3, pad=1, depthwise=True, zero=3, requantised=True)
    mod, _ = scheduled(module(case.make, [(case.shape, case.dtype)]))
    xs = random_inputs([(case.shape, case.dtype)])
    found, (measured,) = run(mod, xs)
    np.testing.assert_array_equal(found, case.expected(xs[0]))
    assert ("AllocWorkspace" in measured.assembly) == in_memory
    assert ("vmemu" in measured.assembly) == in_memory  # the copy of the image
    assert (":sat" in measured.assembly) != in_memory  # 448 results are no vectors of 128


@dataclass(frozen=True, slots=True)
class Bar:
    """A product and the most packets it may take."""

    case: Product
    most_packets: int

    def __str__(self) -> str:
        return str(self.case)


BARS = [
    Bar(Product((16, 256), 64), 5_000),
    Bar(Product((1, 14, 14, 256), 256), 196 * 256 * 256 // 64),
    Bar(Product((1, 28, 28, 64), 64, 3, pad=1), 784 * 64 * 64 * 9 // 64),
    Bar(Product((1, 28, 28, 64), 64, 3, pad=1, depthwise=True), 784 * 64 * 9 // 75),
    Bar(
        Product((1, 28, 28, 64), 64, 3, pad=1, depthwise=True, zero=100, requantised=True),
        784 * 64 * 9 * 3 // 2 // 128,
    ),
]


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("bar", BARS, ids=str)
def test_products_take_few_packets(bar: Bar) -> None:
    case = bar.case
    mod, _ = scheduled(module(case.make, [(case.shape, case.dtype)]))
    xs = random_inputs([(case.shape, case.dtype)])
    found, measured = run(mod, xs)
    np.testing.assert_array_equal(found, case.expected(xs[0]))
    assert packets(measured) <= bar.most_packets


def _average(bb: relax.BlockBuilder, x: relax.Expr, y: relax.Expr) -> relax.Expr:
    wide = [bb.emit(R.astype(v, "int32")) for v in (x, y)]
    total = bb.emit(R.right_shift(bb.emit(R.add(*wide)), relax.const(np.int32(1))))
    return bb.emit(R.astype(bb.emit(R.clip(total, 0, 255)), "uint8"))


def _scaled(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    biased = bb.emit(R.add(x, relax.const(np.arange(64, dtype=np.int32))))
    shifted = bb.emit(R.multiply(biased, relax.const(np.int32(77))))
    shifted = bb.emit(R.right_shift(shifted, relax.const(np.int32(9))))
    return bb.emit(R.astype(bb.emit(R.clip(shifted, 0, 255)), "uint8"))


def _pooled(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride].max(axis=(-2, -1))


@dataclass(frozen=True, slots=True)
class Map:
    """A graph without products. speedup: how much fewer packets than TVM's own kernel."""

    name: str
    make: Make
    inputs: Inputs
    expected: Callable[..., np.ndarray]
    speedup: float

    def __str__(self) -> str:
        return self.name


MAPS = [
    Map(
        "add", _average, [((1, 14, 14, 96), "uint8")] * 2,
        lambda x, y: ((x.astype(int) + y) >> 1).astype(np.uint8), 50,
    ),
    Map(
        "requantise", _scaled, [((1, 14, 14, 64), "int32")],
        lambda x: np.clip((x + np.arange(64)) * 77 >> 9, 0, 255).astype(np.uint8), 20,
    ),
    Map(
        "widen", lambda bb, x: bb.emit(R.astype(x, "int32")), [((1, 8, 8, 64), "int8")],
        lambda x: x.astype(np.int32), 10,
    ),
    Map(
        "narrow", lambda bb, x: bb.emit(R.astype(x, "int8")), [((1, 8, 8, 64), "int32")],
        lambda x: x.astype(np.int8), 10,
    ),
    Map(
        "max_pool", lambda bb, x: bb.emit(R.nn.max_pool2d(x, (2, 2), (2, 2), layout="NHWC")),
        [((1, 12, 12, 64), "uint8")], lambda x: _pooled(x, 2, 2), 20,
    ),
    Map(
        "max_pool_padded",
        lambda bb, x: bb.emit(
            R.nn.max_pool2d(x, (3, 3), (2, 2), padding=(0, 0, 1, 1), layout="NHWC")
        ),
        [((1, 12, 12, 128), "uint8")],
        lambda x: _pooled(np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)]), 3, 2), 20,
    ),
    Map(
        "sum", lambda bb, x: bb.emit(R.sum(bb.emit(R.astype(x, "int32")), [1, 2])),
        [((1, 7, 7, 256), "uint8")], lambda x: x.astype(np.int32).sum(axis=(1, 2)), 20,
    ),
    Map(
        "odd_shape", lambda bb, x: bb.emit(R.maximum(x, relax.const(np.int8(3)))),
        [((3, 5, 7, 11), "int8")], lambda x: np.maximum(x, 3), 0,
    ),
]  # fmt: skip


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("case", MAPS, ids=str)
def test_maps_and_reductions_are_exact_and_vectors(case: Map) -> None:
    mod, rules = scheduled(module(case.make, case.inputs))
    assert set(rules.values()) == {"stages"}
    xs = random_inputs(case.inputs)
    found, measured = run(mod, xs)
    np.testing.assert_array_equal(found, case.expected(*xs))
    if case.speedup:
        _, own = run(plain(module(case.make, case.inputs)), xs)
        assert packets(measured) * case.speedup <= packets(own)
