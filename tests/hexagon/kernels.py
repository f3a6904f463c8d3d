"""Graphs of 8-bit operators for tests, what NumPy makes of them, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import IRModule
from tvm.relax import op as R

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.hexagon.legalize import legalize
from dlcc.targets.hexagon.schedule import schedule_with_reasons
from dlcc.targets.tuned import UNTUNED, Tuned
from tests.hexagon.measure import Measured, measure, target

Make = Callable[..., relax.Expr]  # block builder and inputs -> result
Inputs = Sequence[tuple[tuple[int, ...], str]]  # shapes and dtypes
SHIFT = 9  # of the requantisation: int32 sums of some hundred products -> 8 bits


def chip(profile: str = "hexagonv66") -> Chip:
    """A DSP of that version."""
    return Chip(
        "dsp", "hexagon", "", {"mcpu": profile}, 1, 1024, 32, 0, 0, "LLVM's name of the core"
    )


@dataclass(frozen=True, slots=True)
class Product:
    """A convolution (or, with a 2-D shape, a product of matrices) of 8-bit integers.

    low, high: range of its weights. zero: zero point of its data. requantised: int32 sums go
    through a bias and a shift to uint8."""

    shape: tuple[int, ...]
    channels: int
    kernel: int = 1
    stride: int = 1
    pad: int = 0
    dilation: int = 1
    depthwise: bool = False
    zero: int = 0
    low: int = -128
    high: int = 127
    dtype: str = "uint8"
    requantised: bool = False

    def __str__(self) -> str:
        text = "x".join(map(str, self.shape)) + f"->{self.channels}"
        text += f" {self.kernel}x{self.kernel}/{self.stride}"
        return text + (" depthwise" if self.depthwise else "") + f" {self.dtype} zero {self.zero}"

    def weights(self) -> np.ndarray:
        """[k, c] or [kh, kw, c / groups, c] as int32."""
        depth = 1 if self.depthwise else self.shape[-1]
        window = (self.kernel, self.kernel) if len(self.shape) == 4 else ()
        shape = (*window, depth, self.channels)
        return np.random.default_rng(1).integers(self.low, self.high + 1, shape, np.int32)

    def bias(self) -> np.ndarray:
        return np.random.default_rng(2).integers(-3000, 3000, self.channels, np.int32)

    def make(self, bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
        """The graph, as a front end writes it."""
        y = bb.emit(R.astype(x, "int32"))
        if self.zero:
            y = bb.emit(R.subtract(y, relax.const(np.int32(self.zero))))
        w = relax.const(self.weights())
        if len(self.shape) == 2:
            y = bb.emit(R.matmul(y, w))
        else:
            y = bb.emit(
                R.nn.conv2d(
                    y, w, strides=self.stride, padding=self.pad, dilation=self.dilation,
                    groups=self.shape[-1] if self.depthwise else 1,
                    data_layout="NHWC", kernel_layout="HWIO",
                )
            )  # fmt: skip
        return self._requantise(bb, y) if self.requantised else y

    def _requantise(self, bb: relax.BlockBuilder, y: relax.Expr) -> relax.Expr:
        y = bb.emit(R.add(y, relax.const(self.bias())))
        y = bb.emit(R.right_shift(y, relax.const(np.int32(SHIFT))))
        return bb.emit(R.astype(bb.emit(R.clip(y, 0, 255)), "uint8"))

    def expected(self, x: np.ndarray) -> np.ndarray:
        """The same in NumPy's int64."""
        w, values = self.weights().astype(np.int64), x.astype(np.int64) - self.zero
        sums = values @ w if len(self.shape) == 2 else convolved(values, w, self)
        if not self.requantised:
            return sums.astype(np.int32)
        return np.clip((sums + self.bias()) >> SHIFT, 0, 255).astype(np.uint8)

    @property
    def macs(self) -> int:
        """Multiplications that the definition asks for, those with the border included."""
        if len(self.shape) == 2:
            return self.shape[0] * self.shape[1] * self.channels
        depth = 1 if self.depthwise else self.shape[-1]
        side = [_out(extent, self) for extent in self.shape[1:3]]
        return self.shape[0] * side[0] * side[1] * self.channels * depth * self.kernel**2


def _out(extent: int, case: Product) -> int:
    return (extent + 2 * case.pad - (case.kernel - 1) * case.dilation - 1) // case.stride + 1


def convolved(x: np.ndarray, w: np.ndarray, case: Product) -> np.ndarray:
    """x[n, h, w, c] with w[kh, kw, c or 1, oc], padded by zeros."""
    x = np.pad(x, [(0, 0), (case.pad,) * 2, (case.pad,) * 2, (0, 0)])
    height, width = _out(case.shape[1], case), _out(case.shape[2], case)
    sums = np.zeros((x.shape[0], height, width, w.shape[3]), np.int64)
    for i in range(case.kernel):
        for j in range(case.kernel):
            rows = slice(i * case.dilation, None, case.stride)
            columns = slice(j * case.dilation, None, case.stride)
            part = x[:, rows, columns][:, :height, :width]
            sums += part * w[i, j, 0] if case.depthwise else part @ w[i, j]
    return sums


def module(make: Make, inputs: Inputs) -> IRModule:
    """A Relax module of one function, as the passes leave it."""
    bb = relax.BlockBuilder()
    xs = [relax.Var(f"x{i}", relax.TensorType(s, d)) for i, (s, d) in enumerate(inputs)]
    with bb.function("main", xs):
        with bb.dataflow():
            out = bb.emit_output(make(bb, *xs))
        bb.emit_func_output(out)
    return bb.get()


def legal(mod: IRModule, profile: str = "hexagonv66", tuned: Tuned = UNTUNED) -> IRModule:
    """Calls of kernels, not scheduled yet."""
    goal = target(profile)
    return fuse(legalize(mod, chip(profile), goal, tuned), goal)


def scheduled(
    mod: IRModule, profile: str = "hexagonv66", tuned: Tuned = UNTUNED
) -> tuple[IRModule, dict[str, str]]:
    """Kernels as the build makes them, and kernel -> rule that scheduled it."""
    out, verdicts = schedule_with_reasons(legal(mod, profile, tuned), chip(profile), tuned)
    return out, {v.kernel: v.rule for v in verdicts}


def plain(mod: IRModule) -> IRModule:
    """The same as TVM's own kernels, without a schedule."""
    goal = target()
    with goal:
        return fuse(relax.transform.LegalizeOps()(mod), goal)


def run(mod: IRModule, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, list[Measured]]:
    """Call the kernels of `main` one after another under the emulator."""
    main = mod["main"]
    values = dict(zip(main.params, arrays, strict=True))
    measured: list[Measured] = []
    for block in main.body.blocks:
        for binding in block.bindings:
            call, var = binding.value, binding.var
            if isinstance(call, relax.Var):
                values[var] = values[call]
                continue
            kernel, args = call.args[0], call.args[1]
            given = [values[a] if isinstance(a, relax.Var) else a.value.numpy() for a in args]
            out = np.zeros([int(d) for d in var.ty.shape], str(var.ty.dtype))
            measured.append(measure(mod[kernel], [*given, out]))
            values[var] = measured[-1].buffers[-1]
    return values[main.body.body], measured


def random_inputs(inputs: Inputs, seed: int = 0) -> list[np.ndarray]:
    """Any numbers of 8 bits; of wider integers those that products of them reach."""
    rng = np.random.default_rng(seed)

    def one(shape: tuple[int, ...], dtype: str) -> np.ndarray:
        if dtype.startswith("float"):
            return rng.standard_normal(shape).astype(dtype)
        ends = np.iinfo(dtype) if dtype.endswith("int8") else np.iinfo(np.int16)
        return rng.integers(ends.min, ends.max + 1, shape).astype(dtype)

    return [one(shape, dtype) for shape, dtype in inputs]


def packets(measured: Sequence[Measured]) -> int:
    return sum(m.packets for m in measured)
