"""The whole tree of errors; the part about targets and devices stands in `dlcc.targets.errors`.

DlccError
├── UsageError              2   (UnknownTarget, BadFeed)
│   └── UnknownName         2   an input or output that the model does not have
├── Mismatch                1
├── CheckFailed             1   an Assert or CheckNumerics of the model, kept with checks="keep"
├── ModelError              3   a model that cannot be read or converted
│   ├── UnreadableModel     3   no such file, or not a model
│   ├── UnsupportedOps      3   all ops that have no converter, at once
│   ├── BadNode             3   a node that cannot be converted
│   │   └── BadAttr         3   an attribute with a value that has no meaning here
│   └── ShapeNeeded         3   an input whose shape must be given
├── BadContainer            3   a container that is damaged, foreign or hostile
├── BadRecords              3
├── NoFormForTarget         3   an op of the user's that a kind of target cannot run
├── ToolchainError          4
└── DeviceError             5   (DeviceTimeout)
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

from dlcc.targets.errors import (
    BadFeed,
    BadRecords,
    DeviceError,
    DeviceTimeout,
    DlccError,
    Mismatch,
    NoFormForTarget,
    ToolchainError,
    UnknownTarget,
    UsageError,
)

__all__ = [
    "BadAttr",
    "BadContainer",
    "BadFeed",
    "BadNode",
    "BadRecords",
    "CheckFailed",
    "DeviceError",
    "DeviceTimeout",
    "DlccError",
    "Mismatch",
    "ModelError",
    "NoFormForTarget",
    "ShapeNeeded",
    "ToolchainError",
    "UnknownName",
    "UnknownTarget",
    "UnreadableModel",
    "UnsupportedOps",
    "UsageError",
    "did_you_mean",
]


class NodeLike(Protocol):
    """What an error needs to know of a node."""

    @property
    def name(self) -> str: ...

    @property
    def op(self) -> str: ...


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'?" with up to three near names, or ""."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


class UnknownName(UsageError):
    """An input or output that the model does not have."""

    def __init__(self, role: str, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
        hint = did_you_mean(name, known) or f"the model has: {listed}"
        super().__init__(f"the model has no {role} named {name!r}", hint=hint)


class ModelError(DlccError):
    """A model that cannot be read or converted."""

    exit_code = 3


class UnreadableModel(ModelError):
    """No such file, or not a model."""


class UnsupportedOps(ModelError):
    """All ops of a graph that have no converter, with their nodes; `ops` maps op to node names."""

    def __init__(self, missing: Iterable[NodeLike], hint: str = "") -> None:
        self.ops: dict[str, list[str]] = defaultdict(list)
        for node in missing:
            self.ops[node.op].append(node.name)
        lines = []
        for op, names in sorted(self.ops.items(), key=lambda kv: (-len(kv[1]), kv[0])):
            shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            lines.append(f"{op} ({len(names)} node{'s'[: len(names) > 1]}: {shown})")
        super().__init__(
            f"no converter for {len(lines)} op{'s'[: len(lines) > 1]}: " + "; ".join(lines),
            hint=hint
            or "cut the graph before these nodes with --output, or add a converter "
            "(docs/user-ops.md; `dlcc ops new NAME`)",
        )


class BadNode(ModelError):
    """A node that cannot be converted: `node (op): why`."""

    def __init__(self, node: NodeLike, why: str, *, hint: str = "") -> None:
        super().__init__(f"{node.name} ({node.op}): {why}", hint=hint)
        self.node_name = node.name
        self.op = node.op


class BadAttr(BadNode):
    """An attribute with a value that has no meaning here."""

    def __init__(
        self,
        node: NodeLike,
        attr: str,
        *,
        found: object,
        expected: Sequence[object],
        hint: str = "",
    ) -> None:
        wanted = " or ".join(repr(e) for e in expected)
        super().__init__(node, f"attribute {attr} is {found!r}, expected {wanted}", hint=hint)


class ShapeNeeded(ModelError):
    """An input whose shape must be given before the model can be compiled."""


class CheckFailed(DlccError):
    """A check of the model itself that failed while it ran."""

    exit_code = 1


class BadContainer(DlccError):
    """A container that is damaged, foreign or hostile."""

    exit_code = 3
