"""Kinds of targets, one line each, and how a name given by a user finds its kind and chip."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from dlcc.targets.chips import Chip, chips
from dlcc.targets.errors import UnknownTarget, UsageError
from dlcc.targets.tuned import UNTUNED, Knobs, Tuned

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.targets.artifact import Artifact
    from dlcc.targets.device import Device

KINDS: dict[str, str] = {
    "host": "dlcc.targets.host",
    "arm": "dlcc.targets.arm",
    "opencl": "dlcc.targets.opencl",
    "hexagon": "dlcc.targets.hexagon",
}


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """threads: CPU threads of a run, None = all physical cores of the device.
    time_limit_s: how long one remote call may stay without an answer."""

    threads: int | None = None
    time_limit_s: float = 60.0


class Build(Protocol):
    """Optimised Relax module (`main` returns a tuple of tensors) and what tuning chose -> code."""

    def __call__(self, mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED, /) -> Artifact: ...


def no_space(_workload: str, _chip: Chip) -> Sequence[Knobs]:
    """The choices where rules have no knobs: the cost model's."""
    return [{}]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way to run models of a kind beside its own. The fields are those of `Kind`."""

    static_shapes: bool
    build: Build
    open_device: Callable[[str, DeviceOptions], Device]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of target. Each folder `targets/KIND/` has one, named `KIND`.

    chips: every chip of the kind, the default first.
    default_device: `local` or `emulator`, for sessions that name no device.
    further_devices: addresses to try then where that one cannot be opened, which is said.
    static_shapes: whether every dimension must be known at compile time.
    build: module -> artifact.
    open_device: address (`local`, `emulator`, `rpc://…`) -> device.
    kernels: optimised Relax module -> kernel -> the variables of `main` that it computes.
    unscheduled: optimised Relax module -> calls of kernels as schedules get them.
    schedules: version of its rules: what was tuned with another is stale.
    space: text of a workload -> the choices of knobs to try, the cost model's, {}, first.
    lacks: TensorFlow ops that cannot run there -> why, in a few words.
    runtime: name of its own way to run models, "tvm" or "aot".   others: further ones by name.
    """

    name: str
    summary: str
    chips: Callable[[], tuple[Chip, ...]]
    default_device: str
    static_shapes: bool
    build: Build
    open_device: Callable[[str, DeviceOptions], Device]
    kernels: Callable[[IRModule, Chip], Mapping[str, Sequence[str]]]
    unscheduled: Callable[[IRModule, Chip, Tuned], IRModule]
    lacks: Mapping[str, str] = field(default_factory=dict)
    runtime: str = "tvm"
    others: Mapping[str, Runtime] = field(default_factory=dict)
    further_devices: tuple[str, ...] = ()
    schedules: int = 1
    space: Callable[[str, Chip], Sequence[Knobs]] = no_space

    def run_by(self, name: str | None) -> Runtime:
        """How models are built and run by a runtime; None or "": its own. Raises UsageError."""
        if name and name in self.others:
            return self.others[name]
        if name and name != self.runtime:
            raise UsageError(
                f"the target {self.name} has no runtime {name!r}",
                hint=f"it has: {', '.join([self.runtime, *self.others])}",
            )
        return Runtime(self.static_shapes, self.build, self.open_device)


def kind(name: str) -> Kind:
    """The kind of that name; raises UnknownTarget."""
    if name not in KINDS:
        raise UnknownTarget(f"no kind of target named {name!r}", hint=f"kinds: {', '.join(KINDS)}")
    return cast(Kind, importlib.import_module(KINDS[name]).KIND)


def find_chip(name: str) -> Chip:
    """The chip meant by a kind (its default chip), a full chip name or a short one.

    Raises UnknownTarget with near names."""
    if name in KINDS:
        return kind(name).chips()[0]
    # What is read off a machine is named like its kind: no need to load a compiler or a driver to
    # describe a chip of the tables.
    rows = [chip for chip in chips().values() if chip.kind in KINDS]
    known = {alias: chip for chip in rows for alias in (chip.name, *chip.short_names)}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, [*KINDS, *known], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise UnknownTarget(
        f"no target named {name!r}", hint=hint + "`dlcc target list` shows every kind and chip"
    )
