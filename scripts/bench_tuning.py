"""How many schedules of a kernel are tried in a second: searched, built and measured.

    .venv/bin/python scripts/bench_tuning.py               # some small kernels, on this machine
    .venv/bin/python scripts/bench_tuning.py --batches 6 --json

The first batch starts with what is done once: workers import TVM, the kernel's results are
computed without a schedule. It is told by itself. Exit code 1 when the other batches of a kernel
try fewer than 3 schedules a second, the bar for small kernels on two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from tvm import relax
from tvm.ir import IRModule
from tvm.relax.op import nn

from dlcc.targets.cpu.build import unscheduled
from dlcc.targets.registry import find_chip
from dlcc.tuning.kernels import Kernel, kernels_of
from dlcc.tuning.trials import KernelTrials, Place
from dlcc.tuning.workers.pool import Workers

BAR = 3.0
BUILDERS = 2


@dataclass(frozen=True, slots=True)
class Throughput:
    """One kernel. first_s: of the first batch. per_s: trials a second of the others.
    default_us, best_us: its time with our rules and with the best schedule found."""

    kernel: str
    trials: int
    failed: int
    first_s: float
    per_s: float
    default_us: float
    best_us: float

    @property
    def passed(self) -> bool:
        return self.per_s >= BAR


def model(shape: tuple[int, ...], make: Callable[[relax.Var], relax.Expr]) -> IRModule:
    """A module whose `main` takes one tensor and returns (make(…),)."""
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    with bb.function("main", [x]):
        with bb.dataflow():
            out = bb.emit_output(relax.Tuple([bb.emit(make(x))]))
        bb.emit_func_output(out)
    return bb.get()


def weight(*shape: int) -> relax.Expr:
    return relax.const(np.random.default_rng(1).normal(size=shape).astype("float32"))


def conv(x: relax.Var) -> relax.Expr:
    layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
    return nn.relu(nn.conv2d(x, weight(3, 3, 32, 32), padding=1, **layouts))


KERNELS = {
    "convolution 14x14x32, 3x3": model((1, 14, 14, 32), conv),
    "softmax 64x100": model((64, 100), nn.softmax),
    "product 16x128x128": model((16, 128), lambda x: relax.op.matmul(x, weight(128, 128))),
}


def measure(name: str, kernel: Kernel, batches: int, size: int) -> Throughput:
    """Tune one kernel for a few batches."""
    with Workers(BUILDERS) as builders, Workers(1) as runners:
        trials = KernelTrials(kernel, find_chip("host"), Place("local"), builders, runners)
        started = time.perf_counter()
        rows = trials.batch(size)
        first_s = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(batches - 1):
            rows += trials.batch(size)
        rest_s = time.perf_counter() - started
    default, best = rows[0].cost or 0.0, trials.best or 0.0
    failed = sum(row.cost is None for row in rows)
    per_s = (len(rows) - size) / rest_s
    return Throughput(name, len(rows), failed, first_s, per_s, default * 1e6, best * 1e6)


def show(rows: list[Throughput]) -> None:
    table = Table()
    table.add_column("kernel")
    for heading in ("trials", "failed", "first batch s", "trials/s", "default us", "best us"):
        table.add_column(heading, justify="right")
    for row in rows:
        colour = "green" if row.passed else "red"
        table.add_row(
            row.kernel,
            str(row.trials),
            str(row.failed),
            f"{row.first_s:.1f}",
            f"[{colour}]{row.per_s:.1f}[/{colour}]",
            f"{row.default_us:.1f}",
            f"{row.best_us:.1f}",
        )
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how fast kernels are tuned.")
    parser.add_argument("--batches", type=int, default=4, help="of each kernel (default 4)")
    parser.add_argument("--size", type=int, default=16, help="schedules of a batch (default 16)")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    args = parser.parse_args()
    if args.batches < 2:
        parser.error("the first batch is told by itself: at least 2")
    chip = find_chip("host")
    rows = [
        measure(name, kernels_of(unscheduled(mod, chip))[0], args.batches, args.size)
        for name, mod in KERNELS.items()
    ]
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        show(rows)
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
