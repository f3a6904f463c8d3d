"""The table of ops with those of users in it, and which of them a model uses."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlcc.compiler.errors import UsageError
from dlcc.compiler.frontend.graph import Graph, Node
from dlcc.compiler.frontend.op_outputs import OUTPUTS
from dlcc.compiler.frontend.ops import TF_OPS
from dlcc.compiler.frontend.ops.table import OpTable, Row
from dlcc.compiler.user_ops.convert import converter
from dlcc.compiler.user_ops.declared import Op, UserOps, recorded
from dlcc.compiler.user_ops.load import load_sets
from dlcc.targets.user.kernel import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger("dlcc")


@dataclass(frozen=True, slots=True)
class OpsInForce:
    """The table that models are translated by. sets: of users; without any it is dlcc's own."""

    table: OpTable
    sets: tuple[UserOps, ...] = ()

    @property
    def outputs(self) -> dict[str, tuple[str, ...]]:
        """Op of a user, which TensorFlow need not have -> names of its outputs."""
        ops = (op for own in self.sets for op in own.ops.values())
        return {op.name: op.outputs for op in ops if op.outputs or op.name not in OUTPUTS}

    def of(self, op: str) -> tuple[UserOps, Op] | None:
        """The set that an op is from, with what it says of it; None for one of dlcc's own."""
        return next(((own, own.ops[op]) for own in self.sets if op in own.ops), None)

    def targets(self, op: str) -> Mapping[str, str] | None:
        """Kind of target -> "yes", or why an op of a user cannot run there; None for dlcc's own."""
        found = self.of(op)
        if found is None:
            return None
        general = found[1].convert is not None or op in TF_OPS
        with_kernel = {t for k in found[1].kernels for t in k.targets}
        lacking = "neither a converter nor a kernel"
        if "arm" in with_kernel:  # the CPU beside a GPU
            with_kernel.add("opencl")
        return {kind: "yes" if general or kind in with_kernel else lacking for kind in KINDS}

    def used(self, graphs: Sequence[Graph]) -> dict[str, str]:
        """What a container records: of each set with ops in the graphs its version and files."""
        used: dict[str, set[str]] = {}
        for node in (n for graph in graphs for n in _nodes(graph)):
            if (found := self.of(node.op)) is not None:
                used.setdefault(found[0].name, set()).add(node.op)
        return recorded({name: sorted(ops) for name, ops in used.items()}, self.sets)


def ops_in_force(given: Sequence[str | os.PathLike[str] | UserOps] = ()) -> OpsInForce:
    """dlcc's ops, those of installed packages and those given; raises UsageError."""
    sets = load_sets(given)
    if not sets:
        return OpsInForce(TF_OPS)
    rows = {}
    for own in sets:
        for op in own.ops.values():
            rows[op.name] = _row(own, op)
    return OpsInForce(TF_OPS.overlaid(rows), sets)


def _row(own: UserOps, op: Op) -> Row:
    base = TF_OPS.get(op.name)
    if base is not None and not op.replaces:
        raise UsageError(
            f"{own} has the op {op.name}, which dlcc has, too",
            hint="say replaces=True where it is to be used instead",
        )
    if base is not None:
        log.info("%s replaces dlcc's own %s", own, op.name)
    general = op.convert or (base.convert if base is not None else None)
    # what dlcc computes while compiling stays right where only kernels are new
    fold = base.fold if base is not None and op.convert is None else None
    symbolic = base.symbolic if base is not None and fold is not None else False
    return Row(converter(own, op, general), fold, symbolic, f"{own} ({own.file.name})")


def _nodes(graph: Graph) -> Iterable[Node]:
    """The nodes of a graph and of its functions."""
    yield from graph.nodes
    for name in graph.functions:
        yield from graph.functions[name].nodes
