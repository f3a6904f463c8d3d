"""A model built with choices: what a worker that builds does."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tvm.ir import IRModule

from dlcc.targets.artifact import Artifact
from dlcc.targets.registry import Kind
from dlcc.targets.tuned import UNTUNED, Tuned
from dlcc.tuning.checks import module_of, random_inputs
from dlcc.tuning.kernels import kernels_of
from dlcc.tuning.kernels import random_inputs as kernel_inputs
from dlcc.tuning.tracing import tuned_of
from dlcc.tuning.workers.child import Do
from dlcc.tuning.workers.jobs import Build, BuildSetup, Built, Choices, Pair


@contextmanager
def building(setup: BuildSetup) -> Iterator[Do]:
    """A worker that builds."""
    yield Builder(setup).do


class Builder:
    """The model, and the rules of its kind of target."""

    def __init__(self, setup: BuildSetup) -> None:
        kind = importlib.import_module(setup.kind).KIND
        assert isinstance(kind, Kind)
        self._setup, self._kind = setup, kind
        self._module: IRModule = pickle.loads(Path(setup.module).read_bytes())

    def do(self, job: Build) -> Built:
        """Raises DlccError, and whatever a candidate raises."""
        path = Path(self._setup.folder) / job.name
        made: Artifact | list[Pair]
        made = self._alone(job.choices) if job.alone else self._build(tuned_of(job.choices))
        path.write_bytes(pickle.dumps(made))
        return Built(str(path))

    def _build(self, tuned: Tuned, module: IRModule | None = None) -> Artifact:
        return self._kind.build(module or self._module, self._setup.chip, tuned)

    def _alone(self, choices: Choices) -> list[Pair]:
        """Workloads in one model, kernels that have a trace each in one of its own."""
        tuned, pairs = tuned_of(choices), []
        if workloads := list(tuned.by_workload):
            feeds = random_inputs(workloads)
            pairs.append(self._pair(workloads, module_of(workloads), feeds, tuned))
        if tuned.by_kernel:
            known = kernels_of(self._kind.unscheduled(self._module, self._setup.chip, UNTUNED))
            for kernel in (k for k in known if k.key in tuned.by_kernel):
                feeds = kernel_inputs(kernel.inputs, seed=1)
                names = [kernel.key] * kernel.outputs
                pairs.append(self._pair(names, kernel.alone(), feeds, tuned))
        return pairs

    def _pair(
        self, names: Sequence[str], module: IRModule, feeds: Sequence[np.ndarray], tuned: Tuned
    ) -> Pair:
        return Pair(names, self._build(UNTUNED, module), self._build(tuned, module), feeds)
