"""What a target's build leaves behind: the files to deploy and the weights they are called with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dlcc.targets.errors import DeviceError

HALF = "float16"  # Artifact.processor of code in half precision
PLACEMENT = "placement.json"  # of code for two engines: which runs and holds what


@dataclass(frozen=True, slots=True)
class Artifact:
    """Code for one chip, in the order of `main(inputs…, weights…)`.

    files: name -> content, for instance {"module.so": …}; the entry point is the Relax VM's `main`.
    weights: constant tensors that `main` takes after the model's inputs (kept out of the code, so
        that they are stored once and mapped rather than copied).
    runtime: what the code runs on: "tvm", or "aot" for code that needs nothing but itself.
    processor: what the code was generated for, in LLVM's words, or the precision that was asked
        for; "" for the chip itself.
    times_s: seconds that each step took, for `-v` and the compile-time benchmark.
    """

    kind: str
    chip: str
    files: Mapping[str, bytes]
    weights: Sequence[np.ndarray]
    times_s: Mapping[str, float] = field(default_factory=dict)
    runtime: str = "tvm"
    processor: str = ""

    def accelerated(self) -> list[bool]:
        """Whether each weight lies on the accelerator; of code for one engine none does.

        Raises DeviceError for a placement that does not fit the weights."""
        if PLACEMENT not in self.files:
            return [False] * len(self.weights)
        try:
            found = list(json.loads(self.files[PLACEMENT])["weights_on_gpu"])
        except (KeyError, ValueError, TypeError) as error:
            raise self._misplaced(str(error)) from error
        if len(found) != len(self.weights) or not all(isinstance(on, bool) for on in found):
            raise self._misplaced(f"it is not for {len(self.weights)} weights")
        return found

    def _misplaced(self, why: str) -> DeviceError:
        return DeviceError(
            f"the placement of weights for {self.chip} is damaged: {why}",
            hint="compile the model again",
        )
