"""Expansions and the depthwise convolutions behind them: one kernel by blocks, the same numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import relax, tirx
from tvm.relax.op import nn

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.legalize import legalize
from dlcc.targets.cpu.schedule import schedule_with_reasons
from dlcc.targets.registry import find_chip
from dlcc.targets.tuned import UNTUNED, Tuned
from dlcc.targets.workload import Conv2d
from tests.test_cpu_kernels import HOST, Conv, conv_reference, module, random, run_scheduled_for

R = relax.op
NHWC = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
X86 = {**HOST.tvm, "mtriple": "x86_64-linux-gnu"}
AVX2 = replace(
    HOST, tvm=X86, vector_bits=256, vector_registers=16, l2_bytes=1 << 16, cores=2, gpu=None
)
AVX512 = replace(AVX2, vector_bits=512, vector_registers=32)


@dataclass(frozen=True)
class Pair:
    """x: NHWC. k: window. blocks: of an image, one above the other."""

    x: tuple[int, int, int, int]
    channels: int
    k: tuple[int, int] = (3, 3)
    stride: int = 1
    pad: tuple[int, int, int, int] = (1, 1, 1, 1)
    dilation: int = 1
    activation: str = "relu6"
    blocks: int = 1

    @property
    def weights(self) -> tuple[np.ndarray, ...]:
        c, oc = self.x[3], self.channels
        bias = random(oc, seed=3)
        return random(1, 1, c, oc, seed=1) / 3, bias, random(*self.k, 1, oc, seed=2) / 3, bias / 2

    def net(self, x: relax.Expr) -> relax.Expr:
        emit = relax.BlockBuilder.current().emit
        w, b, wd, bd = map(relax.const, self.weights)
        y = self.activated(emit(R.add(emit(nn.conv2d(x, w, **NHWC)), b)))
        y = emit(
            nn.conv2d(y, wd, self.stride, self.pad, self.dilation, groups=self.channels, **NHWC)
        )
        return self.activated(emit(R.add(y, bd)))

    def activated(self, y: relax.Expr) -> relax.Expr:
        emit = relax.BlockBuilder.current().emit
        if self.activation == "none":
            return y
        if self.activation == "silu":
            return emit(R.multiply(y, emit(R.sigmoid(y))))
        return emit(R.minimum(emit(R.maximum(y, relax.const(0.0))), relax.const(6.0)))

    def exact(self, x: np.ndarray) -> np.ndarray:
        w, b, wd, bd = self.weights
        act = {
            "none": lambda y: y,
            "silu": lambda y: y / (1 + np.exp(-y)),
            "relu6": lambda y: np.clip(y, 0, 6),
        }[self.activation]
        y = act(x.astype("float64") @ w[0, 0] + b)
        layer = Conv(y.shape, wd.shape, self.stride, self.pad, self.dilation, self.channels)
        return act(conv_reference(y, wd, layer) + bd)


PAIRS = [
    Pair((1, 28, 28, 4), 48, blocks=4),
    Pair((1, 28, 28, 8), 48, stride=2, pad=(0, 0, 1, 1), activation="silu", blocks=7),
    Pair((1, 27, 20, 8), 48, k=(3, 5), pad=(0, 3, 2, 1), blocks=3),  # odd, and each pad another
    Pair((2, 14, 14, 8), 96, pad=(2, 2, 2, 2), dilation=2, activation="silu"),
    Pair((1, 24, 24, 8), 48, pad=(0, 0, 0, 0), dilation=2, activation="none", blocks=2),
    Pair((1, 25, 22, 8), 48, stride=2, pad=(0, 0, 0, 0), blocks=2),  # the last tile is cut off
    Pair((2, 28, 28, 4), 48, k=(5, 5), stride=2, pad=(1, 1, 2, 2), blocks=7),
    Pair((1, 13, 13, 20), 144),  # an odd image as one block
]


def names(mod, chip: Chip, tuned: Tuned = UNTUNED) -> dict[str, str]:
    """Kernel -> the rule that scheduled it."""
    target = tvm.target.Target(dict(HOST.tvm))
    made = fuse(legalize(mod, chip, target, tuned), target)
    return {v.kernel: v.rule for v in schedule_with_reasons(made, chip)[1]}


def blocks_of(mod, chip: Chip) -> int:
    """Blocks of an image, read off the only kernel."""
    target = tvm.target.Target(dict(HOST.tvm))
    made = fuse(legalize(mod, chip, target), target)
    (kernel,) = (f for f in made.functions.values() if isinstance(f, tirx.PrimFunc))
    found = []

    def visit(node: object) -> None:
        if isinstance(node, tvm.s_tir.SBlock) and "dlcc.blocks" in node.annotations:
            rows, _ = node.annotations["dlcc.blocks"]
            found.append(int(node.iter_vars[1].dom.extent) // int(rows))

    tvm_ffi.structural_walk(kernel.body, visit)
    return found[0]


@pytest.mark.parametrize("chip", [AVX2, AVX512], ids=["256 bits", "512 bits"])
def test_pairs(chip: Chip) -> None:
    """All in one module, which is what compiling costs."""
    bb = relax.BlockBuilder()
    args = [relax.Var(f"x{i}", relax.TensorType(p.x, "float32")) for i, p in enumerate(PAIRS)]
    with bb.function("main", args):
        with bb.dataflow():
            out = bb.emit_output(
                relax.Tuple([bb.emit(p.net(x)) for x, p in zip(args, PAIRS, strict=True)])
            )
        bb.emit_func_output(out)
    inputs = [random(*p.x, seed=4) for p in PAIRS]
    for got, x, pair in zip(run_scheduled_for(chip, bb.get(), inputs), inputs, PAIRS, strict=True):
        np.testing.assert_allclose(got, pair.exact(x), rtol=1e-4, atol=1e-4, err_msg=str(pair))


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_a_pair_becomes_one_kernel(pair: Pair) -> None:
    mod = module(pair.net, pair.x)
    assert list(names(mod, AVX2).values()) == ["row_blocks"]
    assert blocks_of(mod, AVX2) == pair.blocks


APART = ["depthwise", "matmul"]


@pytest.mark.parametrize(
    "chip",
    [find_chip("cortex-a76"), replace(AVX2, l2_bytes=1 << 20)],
    ids=["Arm", "an L2 that holds it"],
)
def test_chips_on_which_pairs_stay_apart(chip: Chip) -> None:
    pair = PAIRS[0]
    assert sorted(names(module(pair.net, pair.x), chip).values()) == APART


def test_a_record_keeps_a_pair_apart() -> None:
    """It was measured so."""
    pair = PAIRS[0]
    work = Conv2d(
        *(1, 28, 28, 48, 48, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 48), "float32", "packed"
    )
    tuned = Tuned({str(work): {"rows": 2}})
    assert sorted(names(module(pair.net, pair.x), AVX2, tuned).values()) == APART


def test_an_expansion_that_others_read_stays() -> None:
    pair = replace(PAIRS[0], stride=1)
    w, _, wd, _ = map(relax.const, pair.weights)

    def both(x):
        emit = relax.BlockBuilder.current().emit
        y = emit(nn.conv2d(x, w, **NHWC))
        return R.add(y, emit(nn.conv2d(y, wd, 1, 1, groups=48, **NHWC)))

    assert "row_blocks" not in names(module(both, pair.x), AVX2).values()


def test_what_differs_from_pixel_to_pixel_stays() -> None:
    pair = PAIRS[0]
    w, _, wd, _ = map(relax.const, pair.weights)
    pixels = relax.const(random(1, 28, 28, 1))

    def scaled(x):
        emit = relax.BlockBuilder.current().emit
        y = emit(R.multiply(emit(nn.conv2d(x, w, **NHWC)), pixels))
        return nn.conv2d(y, wd, 1, 1, groups=48, **NHWC)

    assert "row_blocks" not in names(module(scaled, pair.x), AVX2).values()


def test_sums_of_two_expansions_stay() -> None:
    pair = PAIRS[0]
    w, _, wd, _ = map(relax.const, pair.weights)

    def two(x):
        emit = relax.BlockBuilder.current().emit
        y = emit(R.add(emit(nn.conv2d(x, w, **NHWC)), emit(nn.conv2d(emit(R.abs(x)), w, **NHWC))))
        return nn.conv2d(y, wd, 1, 1, groups=48, **NHWC)

    assert "row_blocks" not in names(module(two, pair.x), AVX2).values()
