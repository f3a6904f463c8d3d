"""How many choices a second a tuning session tries for one small kernel: searched, built, measured.

    .venv/bin/python scripts/bench_tuning.py               # some small kernels, on this machine
    .venv/bin/python scripts/bench_tuning.py --trials 80 --json

A network of many kernels tries one choice of each in the time that is told here for one. What is
done once is told by itself: workers import TVM, and the default is built and measured. Exit code 1
when a kernel gets fewer than 3 trials a second, the bar for small kernels on two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tvm import relax
from tvm.ir import IRModule
from tvm.relax.op import nn

from dlcc.targets.names import with_names
from dlcc.targets.registry import KINDS, DeviceOptions, find_chip
from dlcc.tuning.request import Budget, Request
from dlcc.tuning.session import tune

BAR = 3.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """One kernel. search: over knobs, or over traces. first_s: until the default was measured.
    per_s: trials a second from then on. end_s: to verify what was found.
    default_us, best_us: its time with our rules and with the best choice."""

    kernel: str
    search: str
    trials: int
    failed: int
    first_s: float
    per_s: float
    end_s: float
    default_us: float
    best_us: float

    @property
    def passed(self) -> bool:
        return self.per_s >= BAR


@dataclass
class Clock:
    """Hears of a session: when it knew its tasks, and when each batch was recorded."""

    began_s: float = 0.0
    batches_s: list[float] = field(default_factory=list)

    def began(self, *_: object) -> None:
        self.began_s = time.perf_counter()

    def batch(self, *_: object) -> None:
        self.batches_s.append(time.perf_counter())

    def said(self, message: str) -> None:
        """Nothing that matters here."""


def model(shape: tuple[int, ...], make: Callable[[relax.Var], relax.Expr]) -> IRModule:
    """A network of one kernel, of one tensor."""
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    with bb.function("main", [x], attrs={"num_input": 1}):
        with bb.dataflow():
            y = bb.emit_output(make(x))
        bb.emit_func_output(relax.Tuple([y]))
    return with_names(bb.get(), {}, ["y"])


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


def measure(name: str, module: IRModule, trials: int) -> Throughput:
    """Tune one kernel."""
    chip, clock = find_chip("host"), Clock()
    shape = [int(extent) for extent in module["main"].params[0].ty.shape]
    with tempfile.TemporaryDirectory() as folder:
        started_s = time.perf_counter()
        outcome = tune(
            Request(
                module=module,
                kind=KINDS["host"],
                chip=chip,
                addresses=["local"],
                options=DeviceOptions(threads=1),
                feeds=[np.random.default_rng(0).standard_normal(shape, "float32")],
                database=Path(folder),
                budget=Budget(trials),
            ),
            clock,
        )
        ended_s = time.perf_counter()
    (row,) = outcome.tasks
    return Throughput(
        kernel=name,
        search="knobs" if " " in row.workload else "traces",
        trials=row.trials,
        failed=row.failed,
        first_s=clock.began_s - started_s,
        per_s=len(clock.batches_s) / (clock.batches_s[-1] - clock.began_s),
        end_s=ended_s - clock.batches_s[-1],
        default_us=(row.default_s or 0.0) * 1e6,
        best_us=(row.best_s or 0.0) * 1e6,
    )


def show(rows: list[Throughput]) -> None:
    table = Table()
    table.add_column("kernel")
    for heading in ("search", "trials", "failed", "first s", "trials/s", "end s", "default us"):
        table.add_column(heading, justify="right")
    table.add_column("best us", justify="right")
    for row in rows:
        colour = "green" if row.passed else "red"
        table.add_row(
            row.kernel,
            row.search,
            str(row.trials),
            str(row.failed),
            f"{row.first_s:.1f}",
            f"[{colour}]{row.per_s:.1f}[/{colour}]",
            f"{row.end_s:.1f}",
            f"{row.default_us:.1f}",
            f"{row.best_us:.1f}",
        )
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how fast kernels are tuned.")
    parser.add_argument("--trials", type=int, default=40, help="of each kernel (default 40)")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    args = parser.parse_args()
    if args.trials < 2:
        parser.error("the first trial is the default: at least 2")
    rows = [measure(name, module, args.trials) for name, module in KERNELS.items()]
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        show(rows)
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
