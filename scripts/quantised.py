"""The layers of well-known networks in 8 bits, as Relax graphs: what quantised models compute.

Data are uint8 with a zero point, weights int8, sums int32, which a bias, a shift and a clip bring
back to uint8. A layer that a network has several times is there once. What kernels cost depends on
shapes alone, so weights are random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import IRModule
from tvm.relax import op as R

from dlcc.targets.names import with_names

SHIFT = 9  # of sums of some hundred products -> 8 bits
RECTIFIED, LINEAR = 0, 128  # zero points: after a ReLU, and of data of both signs


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution in NHWC, or of 2-D data a product of matrices.

    pads: top, left, bottom, right.   zero: zero point of the data.
    requantised: the result is uint8; else it is the int32 sums."""

    shape: tuple[int, ...]
    channels: int
    kernel: int = 1
    stride: int = 1
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    depthwise: bool = False
    zero: int = RECTIFIED
    requantised: bool = True

    def __str__(self) -> str:
        """`3x3/2 112x112x64 -> 64 depthwise`"""
        if len(self.shape) == 2:
            return f"dense {'x'.join(map(str, self.shape))} -> {self.channels}"
        text = f"{self.kernel}x{self.kernel}/{self.stride} {'x'.join(map(str, self.shape[1:]))}"
        return f"{text} -> {self.channels}" + (" depthwise" if self.depthwise else "")

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those with the border included."""
        depth = 1 if self.depthwise else self.shape[-1]
        return int(np.prod(self.shape_out)) * depth * self.kernel**2

    @property
    def shape_out(self) -> tuple[int, ...]:
        """The shape of the result."""
        if len(self.shape) == 2:
            return self.shape[0], self.channels
        (n, *sides, _), (top, left, bottom, right) = self.shape, self.pads
        high, wide = sides[0] + top + bottom, sides[1] + left + right
        spans = high - self.kernel, wide - self.kernel
        return n, *(span // self.stride + 1 for span in spans), self.channels

    def emit(self, bb: relax.BlockBuilder, x: relax.Expr, rng: np.random.Generator) -> relax.Expr:
        """The graph, as front ends write it."""
        y = bb.emit(R.astype(x, "int32"))
        if self.zero:
            y = bb.emit(R.subtract(y, relax.const(np.int32(self.zero))))
        depth = 1 if self.depthwise else self.shape[-1]
        window = (self.kernel, self.kernel) if len(self.shape) == 4 else ()
        w = relax.const(rng.integers(-128, 128, (*window, depth, self.channels), np.int32))
        if window:
            groups = self.shape[-1] if self.depthwise else 1
            y = R.nn.conv2d(
                y, w, self.stride, self.pads, 1, groups, data_layout="NHWC", kernel_layout="HWIO"
            )
        else:
            y = R.matmul(y, w)
        return _narrow(bb, bb.emit(y), self.channels, rng) if self.requantised else bb.emit(y)


def _narrow(
    bb: relax.BlockBuilder, y: relax.Expr, channels: int, rng: np.random.Generator
) -> relax.Expr:
    """int32 sums -> uint8."""
    y = bb.emit(R.add(y, relax.const(rng.integers(-3000, 3000, channels, np.int32))))
    y = bb.emit(R.right_shift(y, relax.const(np.int32(SHIFT))))
    return bb.emit(R.astype(bb.emit(R.clip(y, 0, 255)), "uint8"))


def module_of(layers: Sequence[Layer]) -> IRModule:
    """A module whose `main` takes the data of each layer and returns the result of each."""
    bb, rng = relax.BlockBuilder(), np.random.default_rng(1)
    xs = [relax.Var(f"x{i}", relax.TensorType(a.shape, "uint8")) for i, a in enumerate(layers)]
    with bb.function("main", xs, attrs={"num_input": len(xs)}):
        with bb.dataflow():
            pairs = zip(layers, xs, strict=True)
            out = bb.emit_output(relax.Tuple([layer.emit(bb, x, rng) for layer, x in pairs]))
        bb.emit_func_output(out)
    return with_names(bb.get(), {}, list(map(str, layers)))


def data_of(layers: Sequence[Layer]) -> list[np.ndarray]:
    """Random data for `module_of`."""
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, layer.shape).astype(np.uint8) for layer in layers]


def same(side: int, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """TensorFlow's padding SAME of a square image."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total // 2, total - total // 2, total - total // 2


def _square(
    side: int,
    c: int,
    channels: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    depthwise: bool = False,
    zero: int = RECTIFIED,
) -> Layer:
    pads = same(side, kernel, stride)
    return Layer((1, side, side, c), channels, kernel, stride, pads, depthwise, zero)


def mobilenet_v1() -> Iterator[Layer]:
    yield _square(224, 3, 32, 3, 2, zero=LINEAR)
    side, c = 112, 32
    steps = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
    for channels, stride in [*steps, (1024, 2), (1024, 1)]:
        yield _square(side, c, c, 3, stride, depthwise=True)
        side, c, before = side // stride, channels, c
        yield _square(side, before, c)
    yield Layer((1, c), 1000, requantised=False)


def mobilenet_v2() -> Iterator[Layer]:
    yield _square(224, 3, 32, 3, 2, zero=LINEAR)
    side, c = 112, 32
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    for expansion, channels, count, first in [*rows, (6, 160, 3, 2), (6, 320, 1, 1)]:
        for stride in (first, *[1] * (count - 1)):
            wide = expansion * c
            if expansion > 1:
                yield _square(side, c, wide, zero=LINEAR)
            yield _square(side, wide, wide, 3, stride, depthwise=True)
            side, c = side // stride, channels
            yield _square(side, wide, c)
    yield _square(side, c, 1280, zero=LINEAR)
    yield Layer((1, 1280), 1000, requantised=False)


def resnet50() -> Iterator[Layer]:
    yield Layer((1, 224, 224, 3), 64, 7, 2, (3, 3, 3, 3), zero=LINEAR)
    side, c = 56, 64
    for width, count, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for stride in (first, *[1] * (count - 1)):
            if c != 4 * width:
                yield _square(side, c, 4 * width, 1, stride)
            yield _square(side, c, width, 1, stride)
            side, c = side // stride, 4 * width
            yield _square(side, width, width, 3)
            yield _square(side, width, c)
    yield Layer((1, c), 1000, requantised=False)


def single() -> Iterator[Layer]:
    """Those that docs/hexagon.md has figures of."""
    yield Layer((16, 256), 64)
    yield _square(14, 256, 256)
    yield _square(28, 64, 64, 3)
    for side, c in ((28, 64), (112, 32), (56, 128), (28, 256), (14, 512)):
        for stride in (1, 2):
            yield _square(side, c, c, 3, stride, depthwise=True)


NETWORKS = {
    "single": single,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
}


def layers_of(*names: str) -> list[Layer]:
    """The layers of networks, each once."""
    return list(dict.fromkeys(layer for name in names for layer in NETWORKS[name]()))
