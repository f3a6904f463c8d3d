"""A model as tools look at it: imported and optimised as for compiling, before any target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvm.ir import IRModule

from dlcc.compiler.frontend.graph import Graph
from dlcc.compiler.frontend.load import load
from dlcc.compiler.frontend.translate import Model, translate
from dlcc.compiler.passes.pipeline import optimize
from dlcc.compiler.user_ops.load import OpsGiven
from dlcc.compiler.user_ops.table import OpsInForce, ops_in_force


@dataclass(frozen=True, slots=True)
class Imported:
    """module: `translated`'s, optimised.   in_force: the ops that it was translated by."""

    graph: Graph
    translated: Model
    module: IRModule
    in_force: OpsInForce


def imported(
    path: str | Path,
    signature: str | None,
    tag: str | None,
    inputs: Mapping[str, Sequence[int | str | None] | None] | None,
    outputs: Sequence[str] | None,
    ops: OpsGiven,
) -> Imported:
    """A TensorFlow model; the arguments are those of `compile`.

    Raises UnreadableModel, UnsupportedOps, BadNode, UsageError."""
    in_force = ops_in_force(ops)
    graph = load(
        path,
        inputs or None,
        outputs or None,
        signature=signature,
        tag=tag,
        op_outputs=in_force.outputs,
    )
    translated = translate(graph, table=in_force.table)
    return Imported(graph, translated, optimize(translated.module), in_force)
