"""Small networks to tune, and sessions that tune them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.names import with_names
from dlcc.targets.registry import DeviceOptions, find_chip
from dlcc.tuning.database import read
from dlcc.tuning.record import Record
from dlcc.tuning.request import Budget, Request

R = relax.op
HOST = find_chip("host")
SHAPE = (1, 16, 16, 8)
FEED = np.random.default_rng(1).standard_normal(SHAPE, "float32")


def weights(*shape: int) -> relax.Expr:
    return relax.const(np.random.default_rng(list(shape)).standard_normal(shape, "float32") / 8)


def network() -> IRModule:
    """relu(conv3x3) -> depthwise -> conv1x1 -> mean -> matmul: four workloads."""
    nhwc = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
    bb, x = relax.BlockBuilder(), relax.Var("image", relax.TensorType(SHAPE, "float32"))
    with bb.function("main", [x], attrs={"num_input": 1}):
        with bb.dataflow():
            y = bb.emit(R.nn.conv2d(x, weights(3, 3, 8, 32), padding=1, **nhwc), "conv")
            y = bb.emit(R.nn.relu(y), "rectified")
            y = bb.emit(R.nn.conv2d(y, weights(3, 3, 1, 32), padding=1, groups=32, **nhwc), "depth")
            y = bb.emit(R.nn.conv2d(y, weights(1, 1, 32, 64), **nhwc), "point")
            y = bb.emit(R.mean(y, [1, 2]), "mean")
            y = bb.emit_output(R.matmul(y, weights(64, 40)), "logits")
        bb.emit_func_output(relax.Tuple([y]))
    return with_names(bb.get(), {"conv": "first/Conv2D"}, ["logits"])


def one_product() -> IRModule:
    """One matmul."""
    bb, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((32, 64), "float32"))
    with bb.function("main", [x], attrs={"num_input": 1}):
        with bb.dataflow():
            y = bb.emit_output(R.matmul(x, weights(64, 48)), "product")
        bb.emit_func_output(relax.Tuple([y]))
    return with_names(bb.get(), {}, ["product"])


def request(
    database: Path,
    module: IRModule | None = None,
    trials: int | None = None,
    kind: str = "dlcc.targets.host",
    job_limit_s: float | None = None,
) -> Request:
    return Request(
        module=network() if module is None else module,
        kind=kind,
        chip=HOST,
        addresses=["local"],
        options=DeviceOptions(threads=1),
        feeds=[FEED if module is None else np.ones((32, 64), "float32")],
        database=database,
        budget=Budget(trials),
        job_limit_s=job_limit_s,
    )


def trials_in(database: Path) -> list[Record]:
    """The trials, checked: none is there twice."""
    found = [r for r in read(database) if not r.final]
    pairs = [(r.workload, tuple(sorted(r.choice.items()))) for r in found]
    assert len(set(pairs)) == len(pairs), "a choice was measured twice"
    return found


@dataclass
class Heard:
    """What a session tells while it works."""

    restored: int = -1
    tasks: int = 0
    batches: list[int] = field(default_factory=list)
    said_all: list[str] = field(default_factory=list)

    def began(self, tasks, reward, trials, restored) -> None:
        self.tasks, self.restored = len(tasks), restored

    def batch(self, tasks, trials, budget) -> None:
        self.batches.append(trials)

    def said(self, message: str) -> None:
        self.said_all.append(message)
