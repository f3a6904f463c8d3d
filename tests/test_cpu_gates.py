"""Gates of channels: weights are multiplied where they are fewer, and no product swallows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.ir import IRModule
from tvm.relax.op import nn

from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.legalize import legalize
from tests.test_cpu_kernels import HOST, module, random, run

R = relax.op
NHWC = {"data_layout": "NHWC", "kernel_layout": "HWIO"}


def squeeze_and_excite(channels: int, outputs: int, swapped: bool = False, kept: bool = False):
    """gate = sigmoid(conv(mean(x))); conv1x1(x * gate) + b, and x * gate too if it is kept."""
    g, w, b = random(1, 1, channels, channels, seed=1), random(1, 1, channels, outputs), random(1)

    def net(x):
        emit = relax.BlockBuilder.current().emit
        gate = R.sigmoid(emit(nn.conv2d(emit(R.mean(x, [1, 2], True)), relax.const(g), **NHWC)))
        gated = emit(R.multiply(emit(gate), x) if swapped else R.multiply(x, emit(gate)))
        y = emit(R.add(nn.conv2d(gated, relax.const(w), **NHWC), relax.const(b)))
        return R.concat([y, gated], 3) if kept else y

    def exact(x: np.ndarray) -> np.ndarray:
        gate = 1 / (1 + np.exp(-(x.astype("float64").mean((1, 2), keepdims=True) @ g[0, 0])))
        y = (x * gate) @ w[0, 0] + b
        return np.concatenate([y, x * gate], 3) if kept else y

    return net, exact


def kernels(mod: IRModule) -> list[str]:
    """Names of the kernels, without numbers."""
    target = tvm.target.Target(dict(HOST.tvm))
    made = fuse(legalize(mod, HOST, target), target)
    return [str(v.name_hint).rstrip("0123456789") for v in made.get_global_vars()]


# x, outputs, swapped, kept, whether the weights are multiplied
CASES = [
    ((1, 14, 14, 24), 16, False, False, True),
    ((1, 9, 7, 33), 19, True, False, True),
    ((1, 5, 5, 40), 48, False, False, False),  # more outputs than pixels
    ((2, 9, 9, 16), 8, True, False, False),  # each image has a gate of its own
    ((1, 14, 14, 16), 8, False, True, False),  # computed anyway
]


@pytest.mark.parametrize(("shape", "outputs", "swapped", "kept", "scaled"), CASES)
def test_gates(shape, outputs, swapped, kept, scaled, tmp_path: Path) -> None:
    net, exact = squeeze_and_excite(shape[3], outputs, swapped, kept)
    mod = module(net, shape)
    names = kernels(mod)
    assert ("gate_weights" in names, "gate" in names) == (scaled, not scaled)
    x = random(*shape, seed=2)
    np.testing.assert_allclose(run(mod, [x], tmp_path), exact(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 6, 6, 16), (1, 1, 1, 16)])
def test_products_that_are_no_gates_stay(shape) -> None:
    """By an image of the same size, and by what no product computes."""

    def net(x):
        emit = relax.BlockBuilder.current().emit
        y = emit(nn.conv2d(x, relax.const(random(1, 1, 16, 16)), **NHWC))
        return R.multiply(R.multiply(y, emit(R.sigmoid(y))), emit(R.max(x, [1, 2], True)))

    assert not any(name.startswith("gate") for name in kernels(module(net, shape)))
