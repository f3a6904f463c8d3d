"""Concatenations that nothing is copied for: what is called, and that numbers stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tvm import relax
from tvm.relax.op import nn

from dlcc.targets.cpu.build import unscheduled as before_schedules
from tests.test_cpu_kernels import HOST, module, random, run, unscheduled

R = relax.op


def emit(x: relax.Expr) -> relax.Var:
    return relax.BlockBuilder.current().emit(x)


def conv(x: relax.Expr, into: int, out: int, size: int = 1) -> relax.Var:
    w = relax.const(random(size, size, into, out, seed=out) / into)
    pad = size // 2
    return emit(nn.relu(emit(nn.conv2d(x, w, 1, pad, data_layout="NHWC", kernel_layout="HWIO"))))


def branches(x):
    """Of every kind of kernel, one that another reads too, and an argument."""
    wide = conv(x, 32, 20, size=3)
    pooled = emit(nn.relu(emit(nn.max_pool2d(x, (3, 3), (1, 1), 1, layout="NHWC"))))
    w = relax.const(random(3, 3, 1, 32, seed=9))
    deep = nn.conv2d(x, w, padding=1, groups=32, data_layout="NHWC", kernel_layout="HWIO")
    joined = R.concat([conv(x, 32, 24), wide, x, pooled, emit(nn.relu(emit(deep)))], -1)
    return R.multiply(conv(emit(joined), 140, 20), wide)


def dense(x):
    """Each layer reads all before it."""
    for into in (32, 44, 56):
        scaled = emit(R.multiply(x, relax.const(random(into))))
        new = conv(conv(emit(nn.relu(scaled)), into, 16), 16, 12, size=3)
        x = emit(R.concat([x, new], -1) if into > 32 else R.concat([conv(x, 32, 32), new], -1))
    return conv(x, 68, 8)


def rows(x):
    y = emit(R.concat([conv(x, 32, 16), conv(x, 32, 16, size=3)], 1))
    return R.concat([y, y], 0)


def vectors(x):
    """Of one dimension, and computed from the same."""
    flat = emit(R.reshape(emit(nn.relu(x)), (-1,)))
    return R.concat([emit(R.exp(flat)), emit(R.sqrt(flat))], 0)


NETWORKS = {
    "vectors": (vectors, 1, []),
    # three kernels write where they belong; what is an argument, or read by another, is copied
    "branches": (branches, 4, ["put"] * 2),
    # the tensor of all layers: the first writes it, and what a convolution reads is copied
    "dense": (dense, 3, []),
    "rows": (rows, 1, ["concatenate"]),
}


@pytest.mark.parametrize(("net", "chained", "copies"), NETWORKS.values(), ids=NETWORKS)
def test_parts_are_written_where_they_belong(net, chained, copies, tmp_path: Path) -> None:
    mod = module(net, (1, 9, 8, 32))
    bindings = [
        b for block in before_schedules(mod, HOST)["main"].body.blocks for b in block.bindings
    ]
    calls = [b.value for b in bindings if isinstance(b.value, relax.Call)]
    assert sum(c.op.name == "relax.call_tir_inplace" for c in calls) == chained
    names = [str(c.args[0].name_hint).rstrip("0123456789") for c in calls]
    assert [n for n in names if n in ("put", "concatenate")] == copies
    x = random(1, 9, 8, 32)
    want = unscheduled(mod, [x])
    np.testing.assert_allclose(run(mod, [x], tmp_path), want, rtol=1e-4, atol=1e-5)


def test_what_no_kernel_computes_is_concatenated_by_one(tmp_path: Path) -> None:
    mod = module(lambda x, y: R.concat([x, y, x], -1), (3, 5), (3, 4))
    main = before_schedules(mod, HOST)["main"]
    first = main.body.blocks[0].bindings[0].value
    assert str(first.args[0].name_hint) == "concatenate"
    x, y = random(3, 5), random(3, 4)
    np.testing.assert_array_equal(run(mod, [x, y], tmp_path), np.concatenate([x, y, x], -1))
