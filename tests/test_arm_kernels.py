"""Kernels on the emulated Arm device: that they are right, and how many instructions they take.

Counts are the same at every run, so that a kernel which gets worse is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule
from tvm.relax.op import nn

from dlcc.targets.arm.device import open_device
from dlcc.targets.cpu.build import build
from dlcc.targets.registry import DeviceOptions, find_chip

R = relax.op
pytestmark = pytest.mark.device("arm")


@dataclass(frozen=True)
class Layer:
    """x: NHWC; w: HWIO. most: instructions for each four multiply-adds of the sum."""

    name: str
    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    most: float
    stride: int = 1
    groups: int = 1

    @property
    def pad(self) -> int:
        return self.w[0] // 2

    def __str__(self) -> str:
        return self.name


LAYERS = [
    Layer("product", (1, 14, 14, 192), (1, 1, 192, 96), 1.3),
    Layer("product of odd rows", (1, 5, 11, 40), (1, 1, 40, 24), 1.55),
    Layer("window", (1, 14, 14, 32), (5, 5, 32, 48), 1.4),
    Layer("window that is filtered", (1, 14, 14, 32), (3, 3, 32, 48), 0.75),  # Winograd's way
    Layer("window with a stride", (1, 15, 15, 32), (3, 3, 32, 48), 1.4, stride=2),
    Layer("depthwise", (1, 28, 28, 64), (3, 3, 1, 64), 2.3, groups=64),
    Layer("depthwise with a stride", (1, 29, 29, 64), (5, 5, 1, 64), 2.9, stride=2, groups=64),
]


def module(layer: Layer, w: np.ndarray, bias: np.ndarray) -> IRModule:
    """min(6, max(0, convolution + bias))."""
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(layer.x, "float32"))
    zero, six = (relax.const(np.float32(v)) for v in (0, 6))
    with bb.function("main", [x]):
        with bb.dataflow():
            y = nn.conv2d(
                x, relax.const(w), layer.stride, layer.pad, 1, layer.groups,
                data_layout="NHWC", kernel_layout="HWIO",
            )  # fmt: skip
            y = bb.emit(R.add(bb.emit(y), relax.const(bias)))
            y = bb.emit(R.minimum(six, bb.emit(R.maximum(zero, y))))
            out = bb.emit_output(relax.Tuple([y]))
        bb.emit_func_output(out)
    return bb.get()


def reference(layer: Layer, x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    p, s, k = layer.pad, layer.stride, layer.w[0]
    x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0))).astype("float64")
    side = [(e - k) // s + 1 for e in x.shape[1:3]]
    out = np.zeros((x.shape[0], *side, w.shape[3]))
    for i in range(k):
        for j in range(k):
            seen = x[:, i : i + s * side[0] : s, j : j + s * side[1] : s]
            out += seen * w[i, j, 0] if layer.groups > 1 else seen @ w[i, j]
    return np.clip(out + bias, 0, 6)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layer(layer: Layer, arm_address: str) -> None:
    rng = np.random.default_rng(0)
    x, w, bias = (rng.normal(size=s).astype("float32") for s in (layer.x, layer.w, layer.w[3]))
    artifact = build(module(layer, w, bias), find_chip("cortex-a76"))
    with open_device(arm_address, DeviceOptions(threads=1)) as device:
        program = device.load(artifact)
        (got,) = program.run([x])
        calls = program.profile([x])
    want = reference(layer, x, w, bias)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    instructions = sum(call.counts["instructions"] for call in calls)
    least = want.size * layer.w[0] * layer.w[1] * layer.w[2] / 4
    assert 0 < instructions < layer.most * least
