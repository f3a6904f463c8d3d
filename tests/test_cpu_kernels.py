"""Scheduled kernels against numpy, or against the same kernel without a schedule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax, tirx
from tvm.ir import IRModule
from tvm.relax.op import nn

from dlcc.targets.chips import Chip
from dlcc.targets.cpu import codegen
from dlcc.targets.cpu.build import build
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.legalize import legalize
from dlcc.targets.cpu.schedule import schedule, schedule_with_reasons
from dlcc.targets.registry import find_chip

R = relax.op
HOST = find_chip("host")


def module(fn, *shapes, dtype="float32") -> IRModule:
    """A module whose `main` takes tensors of the given shapes and returns (fn(…),)."""
    bb = relax.BlockBuilder()
    args = [relax.Var(f"x{i}", relax.TensorType(s, dtype)) for i, s in enumerate(shapes)]
    with bb.function("main", args):
        with bb.dataflow():
            out = bb.emit_output(relax.Tuple([bb.emit(fn(*args))]))
        bb.emit_func_output(out)
    return bb.get()


def run(mod: IRModule, inputs: list[np.ndarray], folder: Path) -> np.ndarray:
    made = build(mod, HOST)
    path = folder / "module.so"
    path.write_bytes(made.files["module.so"])
    vm = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
    return vm["main"](*map(tvm.runtime.tensor, [*inputs, *made.weights]))[0].numpy()


def run_scheduled_for(chip: Chip, mod: IRModule, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The kernels of another chip, as code for this machine."""
    target = codegen.tvm_target(dict(HOST.tvm))
    lowered = codegen.lower(schedule(fuse(legalize(mod, chip, target), target), chip), target)
    vm = relax.VirtualMachine(codegen.compile_lowered(lowered, target), tvm.cpu())
    return [y.numpy() for y in vm["main"](*map(tvm.runtime.tensor, inputs))]


def unscheduled(mod: IRModule, inputs: list[np.ndarray]) -> np.ndarray:
    vm = relax.VirtualMachine(tvm.compile(mod, target="llvm"), tvm.cpu())
    return vm["main"](*map(tvm.runtime.tensor, inputs))[0].numpy()


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def rules(mod: IRModule) -> list[str]:
    target = tvm.target.Target(dict(HOST.tvm))
    verdicts = schedule_with_reasons(fuse(legalize(mod, HOST, target), target), HOST)[1]
    return [v.rule for v in verdicts]


@dataclass(frozen=True)
class Conv:
    """x: NHWC; w: HWIO; pad: top, left, bottom, right."""

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    stride: int = 1
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: int = 1
    groups: int = 1
    rule: str = "conv2d"
    constant: bool = True

    def __str__(self) -> str:
        x, w = ("x".join(map(str, s)) for s in (self.x, self.w))
        return f"{x}-{w}-s{self.stride}-p{self.pad}-d{self.dilation}-g{self.groups}-{self.constant}"


def conv_reference(x: np.ndarray, w: np.ndarray, c: Conv) -> np.ndarray:
    t, le, b, r = c.pad
    x = np.pad(x, ((0, 0), (t, b), (le, r), (0, 0))).astype("float64")
    kh, kw, depth, oc = w.shape
    oh = (x.shape[1] - (kh - 1) * c.dilation - 1) // c.stride + 1
    ow = (x.shape[2] - (kw - 1) * c.dilation - 1) // c.stride + 1
    out = np.zeros((x.shape[0], oh, ow, oc))
    per = oc // c.groups
    for i in range(kh):
        for j in range(kw):
            y0, x0 = i * c.dilation, j * c.dilation
            seen = x[:, y0 : y0 + oh * c.stride : c.stride, x0 : x0 + ow * c.stride : c.stride]
            seen = seen[:, :oh, :ow]
            for g in range(c.groups):
                part = seen[..., g * depth : (g + 1) * depth] @ w[i, j, :, g * per : (g + 1) * per]
                out[..., g * per : (g + 1) * per] += part
    return out


CONVS = [
    Conv((1, 14, 14, 64), (3, 3, 64, 64), pad=(1, 1, 1, 1), rule="winograd"),
    Conv((2, 31, 29, 32), (3, 3, 32, 48), pad=(1, 1, 1, 1), rule="winograd"),
    Conv((1, 18, 50, 64), (3, 3, 64, 32), rule="winograd"),
    Conv((1, 14, 14, 256), (3, 3, 256, 256), pad=(1, 1, 1, 1), rule="winograd"),
    Conv((1, 13, 21, 40), (3, 3, 40, 56), pad=(0, 2, 1, 0), rule="winograd"),
    Conv((1, 14, 14, 64), (3, 3, 64, 63), pad=(1, 1, 1, 1)),
    Conv((2, 35, 35, 12), (3, 3, 12, 20), pad=(0, 1, 1, 2)),
    Conv((1, 17, 17, 33), (1, 7, 33, 40), pad=(0, 3, 0, 3)),
    Conv((1, 19, 71, 5), (3, 3, 5, 16), stride=2),
    Conv((1, 37, 37, 3), (3, 3, 3, 24), stride=2, pad=(0, 0, 1, 1)),
    Conv((1, 29, 29, 3), (7, 7, 3, 64), stride=2, pad=(3, 3, 3, 3)),
    Conv((2, 11, 13, 16), (3, 3, 16, 17), dilation=2, pad=(2, 2, 2, 2)),
    Conv((1, 15, 15, 32), (1, 1, 32, 48), stride=2),
    Conv((1, 7, 7, 512), (3, 3, 512, 64), pad=(1, 1, 1, 1)),
    Conv((1, 6, 6, 64), (3, 3, 16, 64), pad=(1, 1, 1, 1), groups=4),
    Conv((1, 6, 6, 12), (3, 3, 4, 15), pad=(1, 1, 1, 1), groups=3, rule="stages"),
    Conv((1, 9, 9, 8), (3, 3, 8, 32), pad=(1, 1, 1, 1), constant=False),
    Conv((1, 9, 9, 8), (3, 3, 8, 31), pad=(1, 1, 1, 1), constant=False, rule="stages"),
    Conv((1, 7, 7, 40), (1, 1, 40, 24), rule="matmul"),
    Conv((3, 5, 7, 33), (1, 1, 33, 19), rule="matmul"),
    Conv((1, 14, 14, 96), (1, 1, 96, 32), rule="matmul", constant=False),
    Conv((1, 1, 1, 96), (1, 1, 96, 1001), rule="matmul"),
    Conv((1, 28, 28, 32), (3, 3, 1, 32), pad=(1, 1, 1, 1), groups=32, rule="depthwise"),
    Conv((2, 17, 13, 24), (5, 5, 1, 24), 2, (1, 2, 2, 2), groups=24, rule="depthwise"),
    Conv((1, 12, 12, 7), (3, 3, 1, 7), groups=7, rule="depthwise"),
    Conv((1, 12, 12, 7), (3, 3, 1, 21), pad=(1, 1, 1, 1), groups=7, rule="depthwise"),
    Conv((1, 13, 13, 16), (3, 3, 1, 16), 1, (2, 2, 2, 2), 2, 16, rule="depthwise"),
    Conv((1, 13, 13, 16), (7, 7, 1, 16), pad=(3, 3, 3, 3), groups=16, rule="depthwise"),
    Conv((1, 9, 9, 16), (3, 3, 1, 16), groups=16, rule="depthwise", constant=False),
    Conv((1, 5, 11, 40), (1, 1, 40, 24), rule="matmul"),
    Conv((1, 9, 13, 12), (3, 3, 12, 20)),
]


@pytest.mark.parametrize("c", CONVS, ids=str)
def test_convolution_with_bias_residual_and_relu(c: Conv, tmp_path: Path) -> None:
    x, w, bias = random(*c.x), random(*c.w, seed=1) / 9, random(c.w[3], seed=2)
    want = conv_reference(x, w, c)
    rest = random(*want.shape, seed=3)

    def net(x, rest, w=None):
        w = relax.const(w_value) if w is None else w
        y = nn.conv2d(
            x, w, c.stride, c.pad, c.dilation, c.groups, data_layout="NHWC", kernel_layout="HWIO"
        )
        return nn.relu(R.add(R.add(y, relax.const(bias)), rest))

    w_value = w
    shapes, inputs = [c.x, want.shape], [x, rest]
    if not c.constant:
        shapes.append(c.w)
        inputs.append(w)
    mod = module(net, *shapes)
    assert c.rule in rules(mod)
    got = run(mod, inputs, tmp_path)
    np.testing.assert_allclose(got, np.maximum(want + bias + rest, 0), rtol=1e-4, atol=1e-4)


OTHERS = {
    "128 bits": replace(HOST, vector_bits=128, vector_registers=32, l2_bytes=1 << 15, cores=4),
    "512 bits": replace(HOST, vector_bits=512, vector_registers=32, l2_bytes=1 << 15, cores=4),
    "Arm": replace(find_chip("cortex-a76"), l2_bytes=1 << 15),
}


@pytest.mark.parametrize("chip", OTHERS.values(), ids=OTHERS)
def test_schedules_of_other_chips(chip: Chip) -> None:
    """LLVM makes of their vectors what this machine has."""
    cases = [c for c in CONVS if c.constant and c.rule != "stages"]
    cases = [*cases[::2], *CONVS[-2:]]
    xs = [random(*c.x) for c in cases]
    ws = [random(*c.w, seed=1) / 9 for c in cases]
    bb = relax.BlockBuilder()
    args = [relax.Var(f"x{i}", relax.TensorType(c.x, "float32")) for i, c in enumerate(cases)]
    with bb.function("main", args):
        with bb.dataflow():
            ys = []
            for x, w, c in zip(args, ws, cases, strict=True):
                y = nn.conv2d(
                    x, relax.const(w), c.stride, c.pad, c.dilation, c.groups,
                    data_layout="NHWC", kernel_layout="HWIO",
                )  # fmt: skip
                ys.append(bb.emit(nn.silu(bb.emit(y))))
            out = bb.emit_output(relax.Tuple(ys))
        bb.emit_func_output(out)
    for got, x, w, c in zip(run_scheduled_for(chip, bb.get(), xs), xs, ws, cases, strict=True):
        want = conv_reference(x, w, c)
        np.testing.assert_allclose(got, want / (1 + np.exp(-want)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("chip", OTHERS.values(), ids=OTHERS)
def test_extremes_keep_a_nan(chip: Chip) -> None:
    """As TensorFlow's do: also of vectors, and of what is left over of them."""
    x = np.linspace(-3, 9, 37, dtype="float32")
    x[[0, 5, 36]] = np.nan
    zero, six = (relax.const(np.float32(v)) for v in (0, 6))
    mod = module(lambda x: R.minimum(six, R.maximum(zero, x)), x.shape)
    (got,) = run_scheduled_for(chip, mod, [x])
    np.testing.assert_array_equal(got, np.clip(x, 0, 6))


MATMULS = [
    ((1, 64), (64, 1000), True, "matmul"),
    ((5, 33), (33, 17), True, "matmul"),
    ((100, 70), (70, 64), True, "matmul"),
    ((2, 3, 20), (20, 24), True, "matmul"),
    ((64, 70), (70, 64), False, "matmul"),
    ((3, 33), (33, 17), False, "stages"),
    ((5, 33), (33, 17), False, "batch_matmul"),
    ((2, 5, 33), (33, 19), False, "batch_matmul"),
    ((2, 5, 33), (2, 33, 16), False, "batch_matmul"),
    ((3, 2, 37, 20), (3, 2, 20, 37), False, "batch_matmul"),
    ((3, 1, 6, 20), (2, 20, 24), False, "batch_matmul"),
    ((9, 20), (2, 3, 20, 31), False, "batch_matmul"),
    ((2, 7, 64), (2, 64, 16), True, "batch_matmul"),
]


TRANSPOSED = [
    ((384, 1024), (1, 0), "float32"), ((1, 56, 56, 64), (0, 3, 1, 2), "float32"),
    ((2, 64, 19, 23), (0, 2, 3, 1), "float32"), ((33, 47), (1, 0), "int8"),
    ((17, 3, 70), (2, 1, 0), "int64"), ((3, 40, 24), (0, 2, 1), "bool"),
    ((16, 1, 20), (2, 1, 0), "float16"), ((7, 5, 3, 2), (3, 1, 0, 2), "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "axes", "dtype"), TRANSPOSED)
def test_transposition(shape, axes, dtype, tmp_path: Path) -> None:
    """By squares where both axes are long, with and without a remainder."""
    x = (random(*shape) * 50).astype(dtype)
    got = run(module(lambda x: R.permute_dims(x, axes), shape, dtype=dtype), [x], tmp_path)
    np.testing.assert_array_equal(got, x.transpose(axes))


@pytest.mark.parametrize(("a", "b", "constant", "rule"), MATMULS)
def test_matmul_with_bias(a, b, constant, rule, tmp_path: Path) -> None:
    x, w, bias = random(*a), random(*b, seed=1), random(b[-1], seed=2)

    def net(x, y=None):
        y = relax.const(w) if y is None else y
        return R.add(R.matmul(x, y), relax.const(bias))

    mod = module(net, a) if constant else module(net, a, b)
    assert rule in rules(mod)
    got = run(mod, [x] if constant else [x, w], tmp_path)
    np.testing.assert_allclose(got, x.astype("float64") @ w + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_symbolic_batch(batch: int, tmp_path: Path) -> None:
    n = tirx.Var("n", "int64")
    w, k = random(3, 3, 5, 16, seed=1), random(16, 10, seed=2)
    d, p = random(3, 3, 1, 16, seed=3), random(1, 1, 16, 16, seed=4)

    def net(x):
        nhwc = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
        y = nn.relu(nn.conv2d(x, relax.const(w), padding=1, **nhwc))
        y = nn.conv2d(y, relax.const(d), padding=1, groups=16, **nhwc)
        y = nn.relu(nn.conv2d(y, relax.const(p), **nhwc))
        return nn.softmax(R.matmul(R.mean(y, [1, 2]), relax.const(k)))

    x = random(batch, 9, 9, 5)
    got = run(module(net, (n, 9, 9, 5)), [x], tmp_path)
    y = np.maximum(conv_reference(x, w, Conv(x.shape, w.shape, pad=(1, 1, 1, 1))), 0)
    y = conv_reference(y, d, Conv(y.shape, d.shape, pad=(1, 1, 1, 1), groups=16))
    y = np.maximum(conv_reference(y, p, Conv(y.shape, p.shape)), 0).mean((1, 2)) @ k
    e = np.exp(y - y.max(-1, keepdims=True))
    np.testing.assert_allclose(got, e / e.sum(-1, keepdims=True), rtol=1e-3, atol=1e-5)


def _max_pool(x):
    return nn.max_pool2d(x, (3, 3), (2, 2), (0, 0, 1, 1), layout="NHWC")


def _avg_pool(x):
    return nn.avg_pool2d(x, (3, 3), (1, 1), (1, 1, 1, 1), layout="NHWC", count_include_pad=False)


def _nchw(x):
    bb = relax.BlockBuilder.current()
    y = bb.emit(nn.conv2d(x, relax.const(random(16, 8, 3, 3, seed=1)), padding=1))
    y = bb.emit(nn.relu(R.add(y, relax.const(random(1, 16, 1, 1)))))
    z = bb.emit(nn.conv2d(y, relax.const(random(16, 4, 3, 3, seed=2)), padding=1, groups=4))
    y = bb.emit(nn.avg_pool2d(R.add(z, y), (3, 3), (2, 2), (1, 1), count_include_pad=True))
    return nn.conv2d(y, relax.const(random(7, 16, 1, 1, seed=2)), strides=2)


def _sqrt_of_variance(x):
    return R.sqrt(R.variance(x, [-1], keepdims=True))


STAGES = [
    ("max pool", _max_pool, (2, 15, 17, 24)),
    ("average pool", _avg_pool, (1, 14, 14, 20)),
    ("mean of rows", lambda x: R.mean(x, [1, 2]), (2, 7, 7, 65)),
    ("sum of all", lambda x: R.sum(x), (3, 50)),
    ("sum of the last", lambda x: R.sum(x, [-1], keepdims=True), (30, 40, 50)),
    ("max of the last", lambda x: R.max(x, [-1]), (30, 40, 64)),
    ("least of squares of vectors", lambda x: R.min(R.multiply(x, x), [-1]), (3, 5, 96)),
    ("sum of rows of vectors", lambda x: R.sum(x, [1, 2]), (6, 7, 64)),
    ("product of the last", lambda x: R.prod(x, [-1]), (9, 16)),
    ("argmax", lambda x: R.argmax(x, 1), (30, 40)),
    ("variance", _sqrt_of_variance, (6, 129)),
    ("softmax", lambda x: nn.softmax(x), (12, 1001)),
    ("softmax of an inner axis", lambda x: nn.softmax(x, 1), (3, 20, 16)),
    ("log softmax", lambda x: nn.log_softmax(x), (12, 64)),
    ("concat", lambda x: R.concat([x, R.negative(x), x], 1), (5, 7, 33)),
    ("strided slice", lambda x: R.strided_slice(x, [1, 2], [1, 2], [9, 20], [2, 3]), (4, 12, 20)),
    ("transpose", lambda x: R.permute_dims(x, [2, 0, 1]), (9, 16, 33)),
    ("odd shape", lambda x: R.multiply(R.sigmoid(x), R.tanh(R.exp(x))), (3, 5, 7, 11)),
    ("large", lambda x: R.add(x, relax.const(np.ones(96, "float32"))), (40, 50, 96)),
    ("reshape", lambda x: R.add(R.reshape(x, (60, 30)), R.reshape(x, (60, 30))), (3, 20, 30)),
    ("pad", lambda x: nn.pad(x, (0, 0, 1, 2, 3, 4)), (3, 20, 30)),
    ("cumsum", lambda x: R.cumsum(x, 1), (3, 20)),
    ("sort", lambda x: R.sort(x, 1), (3, 20)),
    ("NCHW convolution", _nchw, (1, 8, 13, 13)),
    ("scalar", lambda x: R.exp(x), ()),
    ("empty", lambda x: R.exp(x), (0, 3)),
    (
        "gather",
        lambda x: R.take(x, relax.const(np.array([4, 0, 2], "int32")), 0, mode="clip"),
        (5, 16),
    ),
]


@pytest.mark.parametrize(("fn", "shape"), [c[1:] for c in STAGES], ids=[c[0] for c in STAGES])
def test_matches_unscheduled_kernel(fn, shape, tmp_path: Path) -> None:
    x = random(*shape)
    mod = module(fn, shape)
    np.testing.assert_allclose(run(mod, [x], tmp_path), unscheduled(mod, [x]), rtol=2e-5, atol=2e-5)


def test_nchw_is_transposed_only_at_the_ends() -> None:
    target = tvm.target.Target(dict(HOST.tvm))
    mod = legalize(module(_nchw, (1, 8, 13, 13)), HOST, target)
    assert len([v for v in mod.get_global_vars() if "transpose" in v.name_hint]) == 2


@pytest.mark.parametrize("fn", ["sigmoid", "exp", "tanh"])
@pytest.mark.parametrize(("dtype", "rtol"), [("float16", 1e-3), ("float64", 1e-12)])
def test_mathematics_of_other_dtypes(fn: str, dtype: str, rtol: float, tmp_path: Path) -> None:
    x = random(3, 40).astype(dtype)
    exact = {"sigmoid": lambda y: 1 / (1 + np.exp(-y)), "exp": np.exp, "tanh": np.tanh}[fn]
    got = run(module(getattr(R, fn), x.shape, dtype=dtype), [x], tmp_path)
    np.testing.assert_allclose(got, exact(x.astype("float64")), rtol=rtol)


@pytest.mark.parametrize("dtype", ["int32", "int8", "float16", "uint8", "int64"])
def test_other_dtypes(dtype: str, tmp_path: Path) -> None:
    def net(x):
        y = nn.max_pool2d(x, (2, 2), (2, 2), layout="NHWC")
        return R.add(R.maximum(y, y), R.sum(y, [3], keepdims=True))

    x = np.arange(1 * 8 * 8 * 20).reshape(1, 8, 8, 20) % 7
    got = run(module(net, x.shape, dtype=dtype), [x.astype(dtype)], tmp_path)
    y = x.reshape(1, 4, 2, 4, 2, 20).max((2, 4))
    np.testing.assert_array_equal(got, (y + y.sum(3, keepdims=True)).astype(dtype))
