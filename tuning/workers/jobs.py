"""What a session asks of its workers, and what they answer: plain values.

A session asks to measure, check or compare choices. A builder makes code of it, a file; a device
runs that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dlcc.targets.artifact import Artifact
from dlcc.targets.chips import Chip
from dlcc.targets.errors import DeviceError
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.tuned import Knobs

Choices = Mapping[str, Knobs]  # workload -> knobs, or key of a kernel -> {"trace": …}


@dataclass(frozen=True, slots=True)
class BuildSetup:
    """What all jobs of a builder share.

    module: file of the pickled Relax module.   kind: Python module of the kind of target.
    folder: where code is written to."""

    module: str
    kind: str
    chip: Chip
    folder: str


@dataclass(frozen=True, slots=True)
class DeviceSetup:
    """What all jobs of a device share.

    kind: Python module of the kind of target.   feeds: inputs of the model, in the order of `main`.
    default: file of the model's code without choices."""

    kind: str
    chip: Chip
    address: str
    options: DeviceOptions
    feeds: Sequence[np.ndarray]
    default: str


@dataclass(frozen=True, slots=True)
class Measure:
    """Measure each kernel of the model with these choices in place, beside the model without them.

    rounds: how often the two take turns."""

    choices: Choices
    rounds: int


@dataclass(frozen=True, slots=True)
class Found:
    """What of the model a workload is. label: nodes of the graph. calls: in one inference."""

    label: str
    calls: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Costs of one inference by workload, one for each round.

    Kernels without a workload are together under the name "".
    reward: "seconds", "instructions" or "packets".   error: how far the outputs are from those of
    the model without choices, relative to the largest.
    """

    reward: str
    default: Mapping[str, Sequence[float]]
    tuned: Mapping[str, Sequence[float]]
    error: float
    workloads: Mapping[str, Found] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """Compute each workload by itself on random values, with these choices and without."""

    choices: Choices


@dataclass(frozen=True, slots=True)
class Checked:
    """errors: workload -> how far the results are apart, relative to the largest."""

    errors: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Compare:
    """Time whole inferences with these choices and without, in turns."""

    choices: Choices
    rounds: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Costs of one inference, one for each round. error: see `Measured`."""

    reward: str
    default: Sequence[float]
    tuned: Sequence[float]
    error: float


Job = Measure | Check | Compare
Answer = Measured | Checked | Compared


@dataclass(frozen=True, slots=True)
class Build:
    """Make code of the model with these choices, or of each of their kernels by itself.

    name: of the file."""

    choices: Choices
    alone: bool
    name: str


@dataclass(frozen=True, slots=True)
class Built:
    """path: file of an `Artifact`, or of a list of `Pair` where kernels are built by themselves;
    pickled."""

    path: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A model of some kernels alone, without choices and with them.

    names: workload or key of each of its outputs.   feeds: random inputs."""

    names: Sequence[str]
    default: Artifact
    tuned: Artifact
    feeds: Sequence[np.ndarray]


@dataclass(frozen=True, slots=True)
class Run:
    """Do a job on a device. code: the file of `Built`."""

    job: Job
    code: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that ended with an error. exit_code: of the error where it is a DlccError."""

    what: str
    hint: str = ""
    exit_code: int = 70

    @property
    def lost(self) -> bool:
        """Whether the device was, so that the job itself may be right."""
        return self.exit_code == DeviceError.exit_code


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has started and takes jobs."""


Reply = Built | Answer | Failed
