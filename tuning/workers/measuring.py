"""A model with and without choices, side by side on a device: what a worker that measures does."""

from __future__ import annotations

import importlib
import pickle
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcc.targets.artifact import Artifact
from dlcc.targets.closing import Closing
from dlcc.targets.device import CallCost, CallTime, Device
from dlcc.targets.errors import DeviceError, UsageError
from dlcc.targets.kernels import Kernel, kernels_in
from dlcc.targets.registry import Kind
from dlcc.tuning.checks import distance
from dlcc.tuning.workers.child import Do
from dlcc.tuning.workers.jobs import (
    Answer,
    Check,
    Checked,
    Compare,
    Compared,
    DeviceSetup,
    Found,
    Measure,
    Measured,
    Pair,
    Run,
)

BENCH_REPEAT = 5  # inferences of a round


@contextmanager
def measuring(setup: DeviceSetup) -> Iterator[Do]:
    """A worker that measures."""
    with Bench(setup) as bench:
        yield bench.do


@dataclass(frozen=True, slots=True)
class Loaded:
    """A build of the model on the device. kernels: kernel -> workload and nodes."""

    program: Any
    kernels: Mapping[str, tuple[str, str]]
    outputs: Sequence[np.ndarray]


@dataclass(frozen=True, slots=True)
class Known:
    """What the model costs as the compiler makes it, where that is counted: the same every time.

    found: see `Measured`.   costs: of each workload; None where they are times."""

    reward: str
    found: Mapping[str, Found]
    costs: Mapping[str, float] | None


class Bench(Closing):
    """The model on a device, once as the compiler makes it and once as a job wants it."""

    def __init__(self, setup: DeviceSetup) -> None:
        self._setup = setup
        kind = importlib.import_module(setup.kind).KIND
        assert isinstance(kind, Kind)
        self._kind = kind
        self._device: Device | None = None
        self._default: Loaded | None = None
        self._known: Known | None = None

    def do(self, run: Run) -> Answer:
        """Raises DlccError, and whatever a candidate raises."""
        code, job = pickle.loads(Path(run.code).read_bytes()), run.job
        try:
            if isinstance(job, Check):
                return self._check(code)
            if isinstance(job, Measure):
                return self._measure(code, job.rounds)
            return self._compare(code, job)
        except DeviceError:
            self.close()  # the next job finds out whether it is back
            raise

    def close(self) -> None:
        """Release the device."""
        device, self._device, self._default, self._known = self._device, None, None, None
        if device is not None:
            device.close()

    def _measure(self, code: Artifact, rounds: int) -> Measured:
        default, tuned = self._as_made(), self._load(code)
        known = self._known = self._known or self._learn(default)
        try:
            error = distance(tuned.outputs, default.outputs)
            costs: tuple[dict[str, list[float]], ...] = (defaultdict(list), defaultdict(list))
            for _ in range(rounds if known.costs is None else 1):  # counts do not change
                one = self._profile(default) if known.costs is None else known.costs
                for sums, found in zip((one, self._profile(tuned)), costs, strict=True):
                    for workload, cost in sums.items():
                        found[workload].append(cost)
        finally:
            tuned.program.drop()
        return Measured(known.reward, dict(costs[0]), dict(costs[1]), error, dict(known.found))

    def _compare(self, code: Artifact, job: Compare) -> Compared:
        default, tuned = self._as_made(), self._load(code)
        try:
            error = distance(tuned.outputs, default.outputs)
            costs: tuple[list[float], list[float]] = ([], [])
            reward = "seconds"
            for _ in range(job.rounds):
                for loaded, found in zip((default, tuned), costs, strict=True):
                    bench = loaded.program.bench(self._setup.feeds, BENCH_REPEAT)
                    if bench.counts:
                        reward = "packets" if "packets" in bench.counts else "instructions"
                        found.append(float(bench.counts[reward]))
                    else:
                        found.append(float(np.median(bench.times_s)))
                if reward != "seconds":
                    break
        finally:
            tuned.program.drop()
        return Compared(reward, *costs, error)

    def _check(self, pairs: Sequence[Pair]) -> Checked:
        errors: dict[str, float] = defaultdict(float)
        for pair in pairs:
            results = []
            for code in (pair.default, pair.tuned):
                program: Any = self._opened().load(code)
                try:
                    results.append(program.run(pair.feeds))
                finally:
                    program.drop()
            for name, default, tuned in zip(pair.names, *results, strict=True):
                errors[name] = max(errors[name], distance([tuned], [default]))
        return Checked(dict(errors))

    def _opened(self) -> Device:
        if self._device is None:
            self._device = self._kind.open_device(self._setup.address, self._setup.options)
        return self._device

    def _as_made(self) -> Loaded:
        if self._default is None:
            self._default = self._load(pickle.loads(Path(self._setup.default).read_bytes()))
        return self._default

    def _load(self, artifact: Artifact) -> Loaded:
        kernels = {
            name: (self._named(kernel), _label(kernel.nodes))
            for name, kernel in kernels_in(artifact).items()
        }
        program = self._opened().load(artifact)
        return Loaded(program, kernels, program.run(self._setup.feeds))

    def _named(self, kernel: Kernel) -> str:
        """What choices for a kernel go by: its workload if that has knobs, else its key."""
        chip = self._setup.chip
        if kernel.workload and len(self._kind.space(kernel.workload, chip)) > 1:
            return kernel.workload
        return kernel.key

    def _profile(self, loaded: Loaded) -> dict[str, float]:
        """The cost of one inference by workload."""
        sums: dict[str, float] = defaultdict(float)
        for workload, _, _, cost in self._calls(loaded):
            sums[workload] += cost
        return sums

    def _learn(self, default: Loaded) -> Known:
        calls = list(self._calls(default))
        costs: dict[str, float] = defaultdict(float)
        found: dict[str, Found] = {}
        for workload, label, _, cost in calls:
            costs[workload] += cost
            if workload:
                before = found.get(workload, Found(label, 0))
                found[workload] = Found(before.label, before.calls + 1)
        reward = calls[-1][2] if calls else "seconds"
        return Known(reward, found, None if reward == "seconds" else dict(costs))

    def _calls(self, loaded: Loaded) -> Iterator[tuple[str, str, str, float]]:
        """Workload, label, reward and cost of each call of a kernel."""
        for call in loaded.program.profile(self._setup.feeds):
            yield *loaded.kernels.get(call.name, ("", "")), *_cost(call)


def _label(nodes: Sequence[str]) -> str:
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return nodes[0] + more if nodes else ""


def _cost(call: CallCost | CallTime) -> tuple[str, float]:
    if isinstance(call, CallCost):
        return "packets", float(call.packets)
    if call.time_s is not None:
        return "seconds", call.time_s
    if "instructions" not in call.counts:
        raise UsageError("the device tells neither times nor counts of kernels")
    return "instructions", float(call.counts["instructions"])
