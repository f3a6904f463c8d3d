"""A model on a device: feed it by name, get its outputs by name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlcc.compiler.container.manifest import SignatureRow, TargetRow
from dlcc.compiler.errors import (
    CheckFailed,
    DeviceError,
    ToolchainError,
    UnknownTarget,
    UsageError,
    did_you_mean,
)
from dlcc.compiler.feeds import as_complex, as_pairs, check_feeds
from dlcc.targets import registry
from dlcc.targets.closing import Closing
from dlcc.targets.device import Bench, CallCost, Profiled, Program
from dlcc.targets.stops import reason_of

if TYPE_CHECKING:
    from dlcc.compiler.container.container import Container

log = logging.getLogger("dlcc")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A device with the model on it; `stack` closes it."""

    target: str
    address: str
    program: Program
    stack: ExitStack


class Session(Closing):
    """A loaded model. Use it in a `with` block: closing releases the device.

    target: the kind and chip that it runs on.   device: the address.
    signature: the function of the model that it runs.
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
        rows = choose_targets(signature.targets, target)
        opened = _open_first(container, rows, device, options or registry.DeviceOptions())
        self._program: Program | None = opened.program
        self._stack = opened.stack
        self.target = opened.target
        self.device = opened.address

    def run(self, inputs: Mapping[str, object]) -> dict[str, np.ndarray]:
        """One inference.

        inputs: {name, with or without ":0": array of the input's dtype and shape}.
        Returns {output name as asked: array}, in the order asked for.
        Raises BadFeed, DeviceError; CheckFailed where the model was compiled to keep its checks.
        """
        program = self._loaded()
        tensors = as_pairs(check_feeds(self.signature.inputs, inputs))
        with _naming(self.target, self.device):
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
        with _naming(self.target, self.device):
            return program.bench(tensors, repeat)

    def profile(self, inputs: Mapping[str, object]) -> list[CallCost]:
        """Cost of each call of a kernel in one inference, in order.

        Raises UsageError where the device does not count for each, BadFeed, DeviceError."""
        program = self._loaded()
        if not isinstance(program, Profiled):
            raise UsageError(
                f"{self.target} on {self.device} cannot yet tell what each kernel costs",
                hint="kernels are counted on the DSP: `-t hexagon`; `dlcc bench` gives the total",
            )
        tensors = as_pairs(check_feeds(self.signature.inputs, inputs))
        with _naming(self.target, self.device):
            return program.profile(tensors)

    def close(self) -> None:
        """Release the device. Closing twice is fine."""
        self._program = None
        self._stack.close()

    def _loaded(self) -> Program:
        if self._program is None:
            raise UsageError("the session is closed", hint="open another with container.session()")
        return self._program


def choose_targets(rows: Sequence[TargetRow], wanted: str | None) -> list[TargetRow]:
    """The targets of a container that a name means: a kind, a chip, or None for all of them.

    Raises UnknownTarget."""
    if not rows:
        raise UnknownTarget("the container holds code for no target", hint="compile it again")
    if wanted is None:
        return list(rows)
    if found := [row for row in rows if wanted in (row.kind, row.chip)]:
        return found
    chip = _chip_named(wanted)
    if found := [row for row in rows if chip == row.chip]:
        return found
    names = [row.chip for row in rows]
    held = f"it holds code for: {', '.join(row.name for row in rows)}"
    hint = "; ".join(filter(None, [did_you_mean(wanted, names), held]))
    raise UnknownTarget(f"the container has no code for {wanted!r}", hint=hint)


def _chip_named(name: str) -> str | None:
    """Full name of a chip that has a short one; None where no chip is called so."""
    try:
        return registry.find_chip(name).name
    except UnknownTarget:
        return None


def _open_first(
    container: Container,
    rows: Sequence[TargetRow],
    device: str | None,
    options: registry.DeviceOptions,
) -> _Opened:
    """The first target whose device opens and takes the code.

    Raises the error of the only target, or one error that tells those of all."""
    failures: list[DeviceError | ToolchainError] = []
    for row in rows:
        try:
            return _open(container, row, device, options)
        except (DeviceError, ToolchainError) as error:
            if len(rows) == 1:
                raise
            log.warning("%s", error.what)
            failures.append(error)
    told = "; ".join(error.what for error in failures)
    raise DeviceError(f"no target can run: {told}", hint=failures[0].hint) from failures[0]


def _open(
    container: Container, row: TargetRow, device: str | None, options: registry.DeviceOptions
) -> _Opened:
    kind = registry.kind(row.kind)
    address = device or kind.default_device
    with _naming(row.name, address), ExitStack() as stack:
        opened = stack.enter_context(kind.run_by(row.runtime).open_device(address, options))
        program = opened.load(container.artifact(row))
        return _Opened(row.name, opened.address, program, stack.pop_all())


@contextmanager
def _naming(target: str, device: str) -> Iterator[None]:
    """Say in every error of a device which target and which device it is about."""
    try:
        yield
    except (DeviceError, ToolchainError) as error:
        if (reason := reason_of(error.what)) is not None:
            hint = "a check of the model itself; --checks drop leaves it out"
            raise CheckFailed(reason, hint=hint) from error
        place = f"{target} on {device}: "
        if not error.what.startswith(place):
            error.what = place + error.what
            error.args = (error.what,)
        raise
