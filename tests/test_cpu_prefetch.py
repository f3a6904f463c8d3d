"""The next panel of weights is asked for while tiles use up the one before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from dlcc.targets.cpu.build import scheduled
from dlcc.targets.registry import find_chip
from tests.test_cpu_kernels import module, random, run

R = relax.op
X86 = replace(find_chip("host"), vector_bits=256, vector_registers=16, l2_bytes=512 << 10, cores=2)


def product(rows: int, depth: int, columns: int, bias: bool = True):
    w = random(depth, columns, seed=1)

    def net(x):
        y = R.matmul(x, relax.const(w))
        return R.add(y, relax.const(random(columns, seed=2))) if bias else y

    return module(net, (rows, depth)), w


# rows, depth, columns, whether panels are asked for
CASES = [
    (49, 320, 256, True),
    (49, 24, 160, True),  # all steps at once
    (50, 33, 250, True),  # columns and rows are no whole tiles
    (49, 131, 160, False),  # a prime: all at once would be too many
    (4, 320, 256, False),  # one tile
    (3136, 64, 16, False),  # pixels are outside
]


@pytest.mark.parametrize(("rows", "depth", "columns", "asked"), CASES)
def test_panels_are_asked_for_ahead(rows: int, depth: int, columns: int, asked: bool) -> None:
    mod, _ = product(rows, depth, columns)
    assert ("llvm.prefetch" in scheduled(mod, X86)) == asked
    assert "llvm.prefetch" not in scheduled(mod, find_chip("cortex-a76"))


@pytest.mark.parametrize(("rows", "depth", "columns", "asked"), CASES)
def test_the_product_stays(rows, depth, columns, asked, tmp_path: Path) -> None:
    mod, w = product(rows, depth, columns, bias=False)
    x = random(rows, depth)
    np.testing.assert_allclose(run(mod, [x], tmp_path), x @ w, rtol=1e-4, atol=1e-4)
