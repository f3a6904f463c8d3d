"""The ops of users in force, as plain rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlcc.compiler.user_ops.declared import Kernel, Op
from dlcc.compiler.user_ops.table import OpsInForce
from dlcc.targets.user.kernel import KINDS


@dataclass(frozen=True, slots=True)
class OpRow:
    """One op of a set.

    file: the Python file of the set.   targets: kind -> what runs the op there: the name of a
    source, "schedule", "converter", "dlcc's own", or "-" for nothing.   replaces: whether it stands
    for one of dlcc's own."""

    op: str
    set: str
    version: str
    file: str
    targets: Mapping[str, str]
    replaces: bool


def op_rows(in_force: OpsInForce) -> list[OpRow]:
    """A row for each op, by set and name."""
    return [
        OpRow(op.name, own.name, own.version, str(own.file), _targets(in_force, op), op.replaces)
        for own in sorted(in_force.sets, key=lambda s: s.name)
        for op in sorted(own.ops.values(), key=lambda o: o.name)
    ]


def _targets(in_force: OpsInForce, op: Op) -> dict[str, str]:
    able = in_force.targets(op.name) or {}
    return {kind: _runs(op, kind) if able.get(kind) == "yes" else "-" for kind in KINDS}


def _runs(op: Op, kind: str) -> str:
    for kernel in op.kernels:
        if kind in kernel.targets:
            return kernel.path.name if kernel.path is not None else "schedule"
    if op.convert is not None:
        return "converter"
    return "dlcc's own" if op.replaces else _beside(op.kernels)


def _beside(kernels: Sequence[Kernel]) -> str:
    """What the CPU beside a GPU runs."""
    return next(k.path.name for k in kernels if "arm" in k.targets and k.path is not None)
