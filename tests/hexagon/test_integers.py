"""A graph of every 8-bit operator with a kernel of its own: the DSP says what the host says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule
from tvm.relax import op as R

from dlcc.targets.registry import DeviceOptions, find_chip, kind
from tests.hexagon.kernels import Product

pytestmark = pytest.mark.device("hexagon")

FIRST = Product((1, 9, 11, 32), 64, 3, pad=1, zero=3, requantised=True)
DEPTHWISE = Product((1, 9, 11, 64), 64, 3, 2, pad=1, depthwise=True, zero=9, requantised=True)
POINTWISE = Product((1, 5, 6, 64), 40, zero=1, requantised=True)
DENSE = Product((1, 2 * 3 * 40), 24, zero=7)


def graph() -> IRModule:
    """Convolution, depthwise, 1x1, addition with itself shifted, max pooling, dense."""
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(FIRST.shape, "uint8"))
    with bb.function("main", [x]):
        with bb.dataflow():
            y = x
            for product in (FIRST, DEPTHWISE, POINTWISE):
                y = bb.emit(product.make(bb, y))
            wide = bb.emit(R.astype(y, "int32"))
            wide = bb.emit(R.add(wide, bb.emit(R.right_shift(wide, relax.const(np.int32(2))))))
            y = bb.emit(R.astype(bb.emit(R.clip(wide, 0, 255)), "uint8"))
            y = bb.emit(R.nn.max_pool2d(y, (2, 2), (2, 2), layout="NHWC"))
            flat = bb.emit(R.reshape(y, (1, -1)))
            out = bb.emit_output(relax.Tuple([DENSE.make(bb, flat)]))
        bb.emit_func_output(out)
    return bb.get()


def expected(x: np.ndarray) -> np.ndarray:
    """The same in NumPy's integers."""
    for product in (FIRST, DEPTHWISE, POINTWISE):
        x = product.expected(x)
    x = np.clip(x.astype(np.int32) + (x.astype(np.int32) >> 2), 0, 255)[:, :4, :6]
    x = x.reshape(1, 2, 2, 3, 2, -1).max(axis=(2, 4))
    return DENSE.expected(x.reshape(1, -1))


def test_the_dsp_and_the_host_agree_exactly() -> None:
    x = np.random.default_rng(3).integers(0, 256, FIRST.shape).astype(np.uint8)
    found = {}
    for name, address in (("host", "local"), ("hexagon", "emulator")):
        chip = find_chip(name)
        runtime = kind(name).run_by("")
        artifact = runtime.build(graph(), chip)
        with runtime.open_device(address, DeviceOptions()) as device:
            (found[name],) = device.load(artifact).run([x])
        if name == "hexagon":
            kernels = [k["name"] for k in json.loads(artifact.files["model.json"])["kernels"]]
    assert np.ptp(found["host"]) > 0
    np.testing.assert_array_equal(found["hexagon"], found["host"])
    np.testing.assert_array_equal(found["host"], expected(x))
    for product in ("conv2d8", "depthwise8", "conv2d8_1x1", "dense8"):
        assert any(product in kernel for kernel in kernels), (product, kernels)
