"""Pools as kernels made for tiles, against NumPy, over awkward windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from tvm import relax
from tvm.relax.op import nn

from dlcc.targets.chips import Chip
from dlcc.targets.cpu import codegen
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.legalize import legalize
from dlcc.targets.cpu.schedule import schedule_with_reasons
from tests.test_cpu_kernels import HOST, OTHERS, module, random, run_scheduled_for

Pair = tuple[int, int]


@dataclass(frozen=True)
class Pool:
    """x: NHWC. pad: top, left, bottom, right. counted: whether a mean counts them."""

    x: tuple[int, int, int, int]
    window: Pair
    stride: Pair = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    counted: bool = False


POOLS = [
    Pool((1, 35, 35, 24), (3, 3), pad=(1, 1, 1, 1)),
    Pool((2, 9, 12, 20), (3, 3), (2, 2), (0, 0, 1, 1)),
    Pool((1, 17, 13, 7), (2, 3), (3, 1), (1, 0, 0, 2), counted=True),
    Pool((1, 12, 12, 3), (5, 5), (2, 2), (2, 2, 2, 2)),
    Pool((1, 13, 14, 40), (3, 2), (1, 1), (2, 1, 2, 1), dilation=(2, 3)),
    Pool((1, 8, 8, 1), (8, 8)),
    Pool((1, 19, 19, 65), (7, 7), (4, 4), (3, 3, 3, 3), counted=True),
    Pool((1, 5, 6, 33), (1, 1), (2, 2)),
]


def windows(x: np.ndarray, p: Pool, outside: float) -> np.ndarray:
    """[kh * kw, n, y, x, c]: the elements of each window."""
    t, le, b, r = p.pad
    x = np.pad(x, ((0, 0), (t, b), (le, r), (0, 0)), constant_values=outside)
    counts = [
        (x.shape[1 + a] - (p.window[a] - 1) * p.dilation[a] - 1) // p.stride[a] + 1 for a in (0, 1)
    ]
    return np.stack(
        [
            x[:, i * p.dilation[0] :: p.stride[0], j * p.dilation[1] :: p.stride[1]][
                :, : counts[0], : counts[1]
            ]
            for i in range(p.window[0])
            for j in range(p.window[1])
        ]
    )


def pools(x: relax.Expr, p: Pool) -> relax.Expr:
    """A maximum and a mean, each with something behind it to fuse."""
    bb = relax.BlockBuilder.current()
    how = {"layout": "NHWC", "dilation": p.dilation}
    most = bb.emit(nn.max_pool2d(x, p.window, p.stride, p.pad, **how))
    mean = nn.avg_pool2d(x, p.window, p.stride, p.pad, count_include_pad=p.counted, **how)
    return relax.op.concat([nn.relu(bb.emit(mean)), relax.op.negative(most)], 0)


def expected(x: np.ndarray, p: Pool) -> np.ndarray:
    inside = windows(np.ones_like(x), p, float(p.counted))
    mean = windows(x, p, 0.0).sum(0, dtype="float64") / inside.sum(0)
    return np.concatenate([np.maximum(mean, 0), -windows(x, p, -np.inf).max(0)])


@pytest.mark.parametrize("chip", [HOST, *OTHERS.values()], ids=["host", *OTHERS])
def test_pools(chip: Chip) -> None:
    bb = relax.BlockBuilder()
    args = [relax.Var(f"x{i}", relax.TensorType(p.x, "float32")) for i, p in enumerate(POOLS)]
    with bb.function("main", args):
        with bb.dataflow():
            made = [bb.emit(pools(x, p)) for x, p in zip(args, POOLS, strict=True)]
            out = bb.emit_output(relax.Tuple(made))
        bb.emit_func_output(out)
    inputs = [random(*p.x) for p in POOLS]
    for got, x, p in zip(run_scheduled_for(chip, bb.get(), inputs), inputs, POOLS, strict=True):
        np.testing.assert_allclose(got, expected(x, p), rtol=1e-5, atol=1e-5, err_msg=str(p))


def test_a_pool_that_no_tile_is_made_for_is_left_to_the_general_rule() -> None:
    target = codegen.tvm_target(dict(HOST.tvm))

    def rules(fn, *shape, dtype="float32"):
        mod = fuse(legalize(module(fn, shape, dtype=dtype), HOST, target), target)
        return [v.rule for v in schedule_with_reasons(mod, HOST)[1]]

    def mean(x):
        return nn.avg_pool2d(x, (2, 2), layout="NHWC")

    assert rules(mean, 1, 8, 8, 16) == ["pool"]
    assert rules(mean, 1, 8, 8, 16, dtype="float16") == ["stages"]
    assert rules(lambda x: nn.max_pool2d(x, (2, 2), ceil_mode=True), 1, 3, 5, 5) == ["stages"]
