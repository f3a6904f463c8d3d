"""The memory that a model takes while it runs: `dlcc info --memory`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcc.compiler.container import Container, TargetRow
from dlcc.compiler.container.tensors import DTYPES
from dlcc.compiler.inspect.kernels import MEMORY, PROGRAM, damaged, kernels_of, table
from dlcc.compiler.inspect.layer_table import item
from dlcc.compiler.inspect.source import open_source
from dlcc.compiler.network.memory import MemoryRow, timeline

if TYPE_CHECKING:
    from dlcc.compiler.user_ops.load import OpsGiven


@dataclass(frozen=True, slots=True)
class TargetMemory:
    """What one target takes.

    plan: "one arena": in the code; "storages": which TVM's runtime allocates and frees while it
    runs, results of the model among them; "not told": the container was written before it was.
    arena_bytes: of all that the target planned.   peak_bytes: the most that is alive at one call.
    open: how many sizes are known only when it runs; they are in no sum.
    weights_bytes: mapped from the file, or part of the program.
    """

    target: str
    runtime: str
    plan: str
    arena_bytes: int | None
    peak_bytes: int | None
    open: int
    weights_bytes: int


@dataclass(frozen=True, slots=True)
class CallMemory:
    """A call of a kernel in a target's own plan. live_bytes: of all that is alive then, in the
    arena.   nodes: what of the graph it computes."""

    target: str
    call: int
    kernel: str
    live_bytes: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """Memory of intermediate tensors; inputs and outputs are the caller's, constants the file's.

    plan: who made the timeline of the layers and its arena: not the target, but dlcc here, before
    layers are fused, so that a target takes less.   unknown: tensors whose size is open.
    of: "one item" where the batch is open, else "one inference".
    """

    path: str
    plan: str
    of: str
    arena_bytes: int
    peak_bytes: int
    peak_layer: str
    unknown: tuple[str, ...]
    targets: tuple[TargetMemory, ...]
    layers: tuple[MemoryRow, ...]
    calls: tuple[CallMemory, ...]


def memory(
    path: str | Path,
    *,
    signature: str | None = None,
    tag: str | None = None,
    ops: OpsGiven = (),
) -> MemoryInfo:
    """The arena of the layers and what is alive at each, and the arenas of a container's targets
    where their code tells them. Arguments and errors are those of `layers`."""
    source = open_source(path, signature, tag, ops=ops)
    network = source.network()
    one = item(network)
    plan = timeline(one)
    targets = [] if source.container is None else [(source.container, t) for t in source.targets]
    return MemoryInfo(
        path=str(path),
        plan=plan.plan,
        of="one inference" if one is network else "one item",
        arena_bytes=plan.arena_bytes,
        peak_bytes=plan.peak_bytes,
        peak_layer=plan.peak_layer,
        unknown=plan.unknown,
        targets=tuple(_target(*target) for target in targets),
        layers=plan.rows,
        calls=tuple(call for target in targets for call in _calls(*target)),
    )


def _target(container: Container, target: TargetRow) -> TargetMemory:
    told = _told(container, target)
    mapped = sum(math.prod(w.shape) * DTYPES[w.dtype].itemsize for w in target.weights)
    plan = "one arena" if PROGRAM in target.files else "storages" if told else "not told"
    return TargetMemory(
        target=target.name,
        runtime=target.runtime or "tvm",
        plan=plan,
        arena_bytes=told.get("arena_bytes", told.get("planned_bytes")),
        peak_bytes=max((call.live_bytes for call in _calls(container, target)), default=None),
        open=int(told.get("open", 0)),
        weights_bytes=int(told.get("parameter_bytes", mapped)),
    )


def _calls(container: Container, target: TargetRow) -> list[CallMemory]:
    """What is alive at each call; [] where the program does not say it."""
    told = _told(container, target)
    nodes = {k.name: k.nodes for k in kernels_of(container, target)}
    return [
        CallMemory(
            target.name, number, row["name"], int(row["live_bytes"]), nodes.get(row["name"], ())
        )
        for number, row in enumerate(told.get("kernels", ()), 1)
        if "live_bytes" in row
    ]


def _told(container: Container, target: TargetRow) -> dict[str, Any]:
    """What code says of its memory, checked as far as it is shown; {} where it says nothing."""
    try:
        found = table(container, target, PROGRAM if PROGRAM in target.files else MEMORY)
        for row in found.get("kernels", ()):
            str(row["name"]), int(row.get("live_bytes", 0))
        if not all(isinstance(found.get(k, 0), int) for k in ("arena_bytes", "planned_bytes")):
            raise ValueError("its memory has no size")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise damaged(target, "description", error) from error
    return found
