"""A model with and without choices, built and measured side by side: what a worker does."""

from __future__ import annotations

import importlib
import pickle
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tvm.ir import IRModule

from dlcc.targets.artifact import Artifact
from dlcc.targets.closing import Closing
from dlcc.targets.device import CallCost, CallTime, Device
from dlcc.targets.errors import DeviceError, UsageError
from dlcc.targets.kernels import Kernel, kernels_in
from dlcc.targets.registry import Kind
from dlcc.targets.tuned import UNTUNED, Tuned
from dlcc.tuning.checks import distance, module_of, random_inputs
from dlcc.tuning.jobs import (
    Answer,
    Check,
    Checked,
    Compare,
    Compared,
    Found,
    Job,
    Measure,
    Measured,
    Setup,
)
from dlcc.tuning.kernels import kernels_of
from dlcc.tuning.kernels import random_inputs as kernel_inputs
from dlcc.tuning.tracing import tuned_of

BENCH_REPEAT = 5  # inferences of a round


@dataclass(frozen=True, slots=True)
class Loaded:
    """A build of the model on the device. kernels: kernel -> workload and nodes."""

    program: Any
    kernels: Mapping[str, tuple[str, str]]
    outputs: Sequence[np.ndarray]


class Variants(Closing):
    """The model on a device, once as the compiler makes it and once as a job wants it."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        kind = importlib.import_module(setup.kind).KIND
        assert isinstance(kind, Kind)
        self._kind = kind
        self._module = pickle.loads(Path(setup.module).read_bytes())
        self._default_code: Artifact | None = None
        self._device: Device | None = None
        self._default: Loaded | None = None

    def do(self, job: Job) -> Answer:
        """Raises DlccError, and whatever a candidate raises."""
        try:
            if isinstance(job, Check):
                return self._check(job)
            return self._measure(job) if isinstance(job, Measure) else self._compare(job)
        except DeviceError:
            self.close()  # the next job finds out whether it is back
            raise

    def close(self) -> None:
        """Release the device."""
        device, self._device, self._default = self._device, None, None
        if device is not None:
            device.close()

    def _measure(self, job: Measure) -> Measured:
        default = self._as_made()
        tuned = self._load(self._build(tuned_of(job.choices)))
        try:
            error = distance(tuned.outputs, default.outputs)
            reward = ""
            costs: tuple[dict[str, list[float]], ...] = (defaultdict(list), defaultdict(list))
            for number in range(job.rounds):
                if number and reward != "seconds":
                    break  # counts are the same every time
                for loaded, found in zip((default, tuned), costs, strict=True):
                    reward, sums = self._profile(loaded)
                    for workload, cost in sums.items():
                        found[workload].append(cost)
        finally:
            tuned.program.drop()
        return Measured(reward, dict(costs[0]), dict(costs[1]), error, self._found(default))

    def _compare(self, job: Compare) -> Compared:
        default = self._as_made()
        tuned = self._load(self._build(tuned_of(job.choices)))
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

    def _check(self, job: Check) -> Checked:
        """Workloads in one model, kernels that have a trace each in one of its own."""
        tuned = tuned_of(job.choices)
        errors: dict[str, float] = {}
        if workloads := list(tuned.by_workload):
            made = module_of(workloads), random_inputs(workloads)
            errors |= zip(workloads, self._distances(*made, tuned), strict=True)
        if tuned.by_kernel:
            known = kernels_of(self._kind.unscheduled(self._module, self._setup.chip, UNTUNED))
            for kernel in (k for k in known if k.key in tuned.by_kernel):
                feeds = kernel_inputs(kernel.inputs, seed=1)
                errors[kernel.key] = max(self._distances(kernel.alone(), feeds, tuned))
        return Checked(errors)

    def _distances(
        self, module: IRModule, feeds: Sequence[np.ndarray], choices: Tuned
    ) -> list[float]:
        """How far each output of a model is from what it is without choices."""
        results = []
        for tuned in (UNTUNED, choices):
            program = self._opened().load(self._build(tuned, module))
            try:
                results.append(program.run(feeds))
            finally:
                program.drop()  # type: ignore[attr-defined]
        return [distance([b], [a]) for a, b in zip(*results, strict=True)]

    def _opened(self) -> Device:
        if self._device is None:
            self._device = self._kind.open_device(self._setup.address, self._setup.options)
        return self._device

    def _build(self, tuned: Tuned, module: Any = None) -> Artifact:
        module = self._module if module is None else module
        return self._kind.build(module, self._setup.chip, tuned)

    def _as_made(self) -> Loaded:
        if self._default_code is None:
            self._default_code = self._build(UNTUNED)
        if self._default is None:
            self._default = self._load(self._default_code)
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

    def _profile(self, loaded: Loaded) -> tuple[str, dict[str, float]]:
        """The reward, and the cost of one inference by workload."""
        sums: dict[str, float] = defaultdict(float)
        reward = "seconds"
        for call in loaded.program.profile(self._setup.feeds):
            workload, _ = loaded.kernels.get(call.name, ("", ""))
            reward, cost = _cost(call)
            sums[workload] += cost
        return reward, sums

    def _found(self, loaded: Loaded) -> dict[str, Found]:
        found: dict[str, Found] = {}
        for call in loaded.program.profile(self._setup.feeds):
            workload, label = loaded.kernels.get(call.name, ("", ""))
            if workload:
                known = found.get(workload, Found(label, 0))
                found[workload] = Found(known.label, known.calls + 1)
        return found


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
