"""Where a container runs: which of its targets, on which device, in which order of preference."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dlcc.compiler.container.manifest import TargetRow
from dlcc.compiler.errors import (
    CheckFailed,
    DeviceError,
    ToolchainError,
    UnknownTarget,
    did_you_mean,
)
from dlcc.targets import registry
from dlcc.targets.device import Program
from dlcc.targets.stops import reason_of

if TYPE_CHECKING:
    from dlcc.compiler.container.container import Container

log = logging.getLogger("dlcc")

Unfit = DeviceError | ToolchainError  # what another target or device may do without


@dataclass(frozen=True, slots=True)
class Choice:
    """The targets to try, the preferred first. absent: why others that were named are not tried."""

    rows: list[TargetRow]
    absent: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Opened:
    """A device with the model on it; `stack` closes it.

    passed_over: of each target and device that was preferred, why it was not taken."""

    target: str
    address: str
    program: Program
    stack: ExitStack
    passed_over: tuple[str, ...] = ()


def choose_targets(rows: Sequence[TargetRow], wanted: str | None) -> Choice:
    """The targets of a container that names mean: kinds or chips, joined by commas in the order
    of preference, or None for all as they stand.

    One name must be there; of several those without code are absent.   Raises UnknownTarget."""
    if not rows:
        raise UnknownTarget("the container holds code for no target", hint="compile it again")
    if wanted is None:
        return Choice(list(rows))
    names = [name.strip() for name in wanted.split(",")]
    found: list[TargetRow] = []
    absent = []
    for name in names:
        meant = _meant(rows, name)
        found += [row for row in meant if row not in found]
        if not meant:
            if len(names) == 1 or not _is_known(name):
                raise _nothing_for(rows, name)
            absent.append(f"{name}: the container has no code for it")
    if not found:
        raise _nothing_for(rows, wanted)
    return Choice(found, absent)


def _meant(rows: Sequence[TargetRow], name: str) -> list[TargetRow]:
    if found := [row for row in rows if name in (row.kind, row.chip)]:
        return found
    chip = registry.find_chip(name).name if _is_known(name) else None
    return [row for row in rows if chip == row.chip]


def _is_known(name: str) -> bool:
    """Whether any kind or chip is called so."""
    try:
        registry.find_chip(name)
    except UnknownTarget:
        return False
    return True


def _nothing_for(rows: Sequence[TargetRow], wanted: str) -> UnknownTarget:
    held = f"it holds code for: {', '.join(row.name for row in rows)}"
    hint = "; ".join(filter(None, [did_you_mean(wanted, [row.chip for row in rows]), held]))
    return UnknownTarget(f"the container has no code for {wanted!r}", hint=hint)


def open_first(
    container: Container,
    choice: Choice,
    device: str | None,
    options: registry.DeviceOptions,
) -> Opened:
    """The first target with a device that opens and takes the code.

    device: the address to try each on; None: what the kind of each uses.
    Raises the error of the only place, or one error that tells those of all."""
    places = [(row, address) for row in choice.rows for address in _addresses(row, device)]
    failures: list[Unfit] = []
    for reason in choice.absent:
        log.warning("%s", reason)
    for row, address in places:
        try:
            opened = _open(container, row, address, options)
        except (DeviceError, ToolchainError) as error:
            if len(places) > 1:
                log.warning("%s", error.what)
            failures.append(error)
        else:
            if len(places) > 1 or choice.absent:
                log.info("%s on %s was chosen", opened.target, opened.address)
            return replace(opened, passed_over=(*choice.absent, *(e.what for e in failures)))
    if len(failures) == 1 and not choice.absent:
        raise failures[0]
    told = "; ".join([*choice.absent, *(error.what for error in failures)])
    raise DeviceError(f"no target can run: {told}", hint=failures[0].hint) from failures[0]


def _addresses(row: TargetRow, device: str | None) -> tuple[str, ...]:
    kind = registry.kind(row.kind)
    return (kind.default_device, *kind.further_devices) if device is None else (device,)


def _open(
    container: Container, row: TargetRow, address: str, options: registry.DeviceOptions
) -> Opened:
    runtime = registry.kind(row.kind).run_by(row.runtime)
    with naming(row.name, address), ExitStack() as stack:
        opened = stack.enter_context(runtime.open_device(address, options))
        program = opened.load(container.artifact(row))
        return Opened(row.name, opened.address, program, stack.pop_all())


@contextmanager
def naming(target: str, device: str) -> Iterator[None]:
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
