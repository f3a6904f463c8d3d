"""Products whose pixels are shared out among the threads, each with all panels of weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tvm import relax

from dlcc.targets.cpu.build import build, scheduled
from dlcc.targets.cpu.plan import PRODUCT_ORDER
from dlcc.targets.cpu.schedule.matmul import product_order
from dlcc.targets.cpu.tiles import Cpu, Tile
from dlcc.targets.local import LocalDevice
from dlcc.targets.registry import DeviceOptions, find_chip
from dlcc.targets.tuned import Tuned
from tests.test_cpu_kernels import HOST, module, random

R = relax.op
X86 = replace(find_chip("host"), vector_bits=256, vector_registers=16, l2_bytes=512 << 10, cores=2)


def cpu(threads: int) -> Cpu:
    return replace(Cpu.of(X86), threads=threads)


@pytest.mark.parametrize(
    ("rows", "depth", "columns", "threads", "order"),
    [
        (196, 512, 512, 2, "shares"),
        (49, 1024, 1024, 2, "shares"),
        (196, 512, 512, 1, "panels"),  # there is nothing to share
        (49, 1024, 1024, 8, "panels"),  # too few pixels for each thread to read all weights
        (8, 2048, 1000, 2, "panels"),
        (54, 512, 512, 2, "panels"),  # eleven tiles are not even
        (None, 512, 512, 2, "panels"),
        (12544, 32, 64, 2, "pixels"),
    ],
)
def test_what_the_outermost_loop_runs_over(rows, depth, columns, threads, order) -> None:
    assert product_order(rows, columns, depth, Tile(5, 16), cpu(threads)) == order


@pytest.mark.parametrize(
    ("rows", "depth", "columns"),
    [(60, 70, 64), (53, 33, 250)],  # whole tiles and even shares; neither
)
def test_every_order_computes_the_product(rows: int, depth: int, columns: int) -> None:
    x, w, bias = random(rows, depth), random(depth, columns, seed=1), random(columns, seed=2)
    mod = module(lambda x: R.add(R.matmul(x, relax.const(w)), relax.const(bias)), (rows, depth))
    workload = f"matmul m{rows} k{depth} n{columns} float32 packed"
    code = set()
    for order in PRODUCT_ORDER:
        made = build(mod, replace(HOST, cores=2), Tuned({workload: {"order": order}}))
        code.add(made.files["module.so"])
        for threads in (1, 2, 3):
            with LocalDevice(DeviceOptions(threads)) as device:
                (result,) = device.load(made).run([x])
            np.testing.assert_allclose(result, x @ w + bias, rtol=1e-4, atol=1e-4, err_msg=order)
    assert len(code) == len(PRODUCT_ORDER)


def test_a_share_asks_for_its_next_panel() -> None:
    w = random(512, 256, seed=1)
    mod = module(lambda x: R.matmul(x, relax.const(w)), (196, 512))
    text = scheduled(mod, X86)
    (parallel,) = [line for line in text.splitlines() if "T.parallel(" in line]
    assert "T.parallel(T.int64(2))" in parallel
    assert "llvm.prefetch" in text
