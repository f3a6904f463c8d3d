"""A model on a device: feed it by name, get its outputs by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dlcc.compiler.container.manifest import SignatureRow
from dlcc.compiler.errors import UsageError
from dlcc.compiler.feeds import as_complex, as_pairs, check_feeds
from dlcc.compiler.places import choose_targets, naming, open_first
from dlcc.targets import registry
from dlcc.targets.closing import Closing
from dlcc.targets.device import Bench, CallCost, CallTime, Profiled, Program

if TYPE_CHECKING:
    from dlcc.compiler.container.container import Container


class Session(Closing):
    """A loaded model. Use it in a `with` block: closing releases the device.

    target: the kind and chip that it runs on.   device: the address.
    passed_over: of each target and device that was preferred, why it was not taken.
    signature: the function of the model that it runs.
    threads: CPU threads that were asked for, None: all cores.
    """

    def __init__(
        self,
        container: Container,
        signature: SignatureRow,
        device: str | None = None,
        target: str | None = None,
        options: registry.DeviceOptions | None = None,
    ) -> None:
        """Raises UnknownTarget, UsageError, DeviceError, ToolchainError, BadContainer."""
        self.signature = signature
        choice = choose_targets(signature.targets, target)
        options = options or registry.DeviceOptions()
        opened = open_first(container, choice, device, options)
        self.threads = options.threads
        self._program: Program | None = opened.program
        self._stack = opened.stack
        self.target = opened.target
        self.device = opened.address
        self.passed_over = opened.passed_over

    def run(self, inputs: Mapping[str, object]) -> dict[str, np.ndarray]:
        """One inference.

        inputs: {name, with or without ":0": array of the input's dtype and shape}.
        Returns {output name as asked: array}, in the order asked for.
        Raises BadFeed, DeviceError; CheckFailed where the model was compiled to keep its checks.
        """
        program = self._loaded()
        tensors = as_pairs(check_feeds(self.signature.inputs, inputs))
        with naming(self.target, self.device):
            results = program.run(tensors)
        outputs = self.signature.outputs
        return {o.name: as_complex(o, r) for o, r in zip(outputs, results, strict=True)}

    def bench(self, inputs: Mapping[str, object], repeat: int = 20) -> Bench:
        """Cost of one inference: `repeat` times in seconds, or counts on an emulated device.

        Raises BadFeed, UsageError for a repeat below 1, DeviceError."""
        if repeat < 1:
            raise UsageError(f"repeat is {repeat}; at least one inference is needed")
        program = self._loaded()
        tensors = as_pairs(check_feeds(self.signature.inputs, inputs))
        with naming(self.target, self.device):
            return program.bench(tensors, repeat)

    def profile(self, inputs: Mapping[str, object]) -> list[CallCost] | list[CallTime]:
        """Cost of each call of a kernel in one inference, in order.

        Raises UsageError where the device cannot tell that, BadFeed, DeviceError."""
        program = self._loaded()
        if not isinstance(program, Profiled):
            raise UsageError(
                f"{self.target} on {self.device} cannot tell what each kernel costs",
                hint="compile without `--runtime aot`; `dlcc bench` gives the total",
            )
        tensors = as_pairs(check_feeds(self.signature.inputs, inputs))
        with naming(self.target, self.device):
            return program.profile(tensors)

    def close(self) -> None:
        """Release the device. Closing twice is fine."""
        self._program = None
        self._stack.close()

    def _loaded(self) -> Program:
        if self._program is None:
            raise UsageError("the session is closed", hint="open another with container.session()")
        return self._program
