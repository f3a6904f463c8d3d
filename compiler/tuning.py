"""A model file as a tuning session takes it, and what records do to a build."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dlcc.compiler.container.manifest import TensorSpec
from dlcc.compiler.errors import ShapeNeeded, UsageError
from dlcc.targets.chips import Chip
from dlcc.targets.kernels import kernels_in
from dlcc.targets.registry import find_chip
from dlcc.targets.tuned import UNTUNED, Tuned

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.compiler.frontend.graph import Graph
    from dlcc.compiler.user_ops import UserOps
    from dlcc.targets.artifact import Artifact
    from dlcc.tuning.best import Best

NONE = "none"  # in place of a folder of records: not even those that come with dlcc

log = logging.getLogger("dlcc")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that can be tuned: name: of the model. inputs: in the order of `main`."""

    name: str
    module: IRModule
    chip: Chip
    inputs: tuple[TensorSpec, ...]


def prepare(
    model: str | os.PathLike[str],
    target: str,
    *,
    inputs: Mapping[str, Sequence[int | str | None] | None] | None = None,
    outputs: Sequence[str] | None = None,
    signature: str | None = None,
    tag: str | None = None,
    ops: Sequence[str | os.PathLike[str] | UserOps] = (),
) -> Prepared:
    """Read and optimise a model for one target, as `compile` does.

    Raises DlccError: UnknownTarget, UsageError for several targets or signatures, ShapeNeeded, and
    what reading a model raises."""
    chip = _one_chip(target)
    from dlcc.compiler.frontend.load import load_all
    from dlcc.compiler.frontend.translate import translate
    from dlcc.compiler.passes.pipeline import optimize
    from dlcc.compiler.user_ops.table import ops_in_force

    in_force = ops_in_force(ops)
    which: Any = {"signature": signature, "tag": tag, "op_outputs": in_force.outputs}
    graphs = load_all(model, inputs, outputs, checks="drop", **which)
    if len(graphs) > 1:
        raise UsageError(
            "one signature is tuned at a time", hint=f"--signature {graphs[0].signature}"
        )
    _require_shapes(graphs[0])
    translated = translate(graphs[0], table=in_force.table)
    specs = tuple(TensorSpec(s.name, s.dtype, s.shape) for s in translated.inputs)
    module = optimize(translated.module)
    _say_untuned(module, chip)
    return Prepared(graphs[0].name, module, chip, specs)


def _say_untuned(module: IRModule, chip: Chip) -> None:
    """Kernels of users have no knobs; where they have a form besides, other targets tune that."""
    from dlcc.targets.user.kernel import user_kernels

    own = {k.op: k for _, k in user_kernels(module) if chip.kind in k.targets}
    for op, kernel in sorted(own.items()):
        what = kernel.file or "a schedule"
        log.info("%s: %s of %s is not tuned: %s makes it", chip.name, op, kernel.by, what)


def _one_chip(target: str) -> Chip:
    if "," in target:
        raise UsageError(
            f"{target} names several targets", hint="tune one after another, into one database"
        )
    return find_chip(target.strip())


def _require_shapes(graph: Graph) -> None:
    open_ = [i for i in graph.inputs if i.is_open]
    if open_:
        options = " ".join(
            f"--input {i.name}=" + ",".join("N" if d is None else str(d) for d in i.shape)
            for i in open_
        )
        raise ShapeNeeded(
            f"tuning needs fixed shapes; open: {', '.join(i.name for i in open_)}",
            hint=f"give them: {options}, and the same to `dlcc compile`",
        )


@dataclass(frozen=True, slots=True)
class Choices:
    """What records say for a chip.   shipped: names of the kernels whose choice came with dlcc."""

    tuned: Tuned = UNTUNED
    shipped: frozenset[str] = frozenset()

    def used(self, artifact: Artifact) -> Used:
        """How many kernels of a build are made by choices."""
        kernels = kernels_in(artifact).values()
        names = [k.workload if k.knobs else k.key for k in kernels]
        chosen = [n for n in names if n in self.tuned.by_workload or n in self.tuned.by_kernel]
        return Used(len(chosen), sum(n in self.shipped for n in chosen), len(kernels))


class Used(NamedTuple):
    """Kernels of a model: those made by choices of records, those of them whose choice came with
    dlcc, and all."""

    chosen: int
    shipped: int
    kernels: int


def choices_for(chip: Chip, database: str | os.PathLike[str] | None) -> Choices:
    """What records say for a chip: those of a folder, then those that come with dlcc; of "none",
    nothing.

    The log says how many count, and why others do not. Raises UsageError, BadRecords."""
    if database == NONE:
        return Choices()
    from dlcc.tuning import shipped as given
    from dlcc.tuning.best import best
    from dlcc.tuning.target import key_of

    place = None if database is None else Path(database)
    found = best(place, key_of(chip), shipped=given.FOLDER)
    if database is not None:
        _tell(chip, str(database), found)
    for why, count in found.shipped_stale.items():  # nothing that a user could mend
        log.debug("%s: %d records that come with dlcc do not count, %s", chip.name, count, why)
    applied = {w: knobs for w, knobs in found.knobs.items() if knobs}
    shipped = frozenset(w for w, winner in found.winners.items() if winner.shipped)
    return Choices(Tuned(applied, found.traces), shipped)


def _tell(chip: Chip, database: str, found: Best) -> None:
    """What became of the records of a folder."""
    own = sum(bool(w.record.choice) for w in found.winners.values() if not w.shipped)
    log.info("%s: %d records apply, with choices for %d kernels", chip.name, found.counted, own)
    for told, rows in (("stale", found.stale), ("foreign", found.foreign)):
        for why, count in rows.items():
            log.info("%s: %d %s records, %s", chip.name, count, told, why)
    if not found.counted:
        log.warning(
            "no record of %s is about %s: `dlcc tune` with `-t %s` makes some",
            database,
            chip.name,
            chip.name,
        )
