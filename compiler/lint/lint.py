"""Reads a model and lets the rules speak: `dlcc lint`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlcc.compiler.errors import BadContainer, Mismatch, UsageError
from dlcc.compiler.inspect.layer_table import item
from dlcc.compiler.inspect.source import open_source
from dlcc.compiler.lint.rules import Finding, findings
from dlcc.compiler.lint.subject import Model, Subject
from dlcc.compiler.network.network import Dim
from dlcc.targets.registry import KINDS, find_chip

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.compiler.network.from_module import Spec
    from dlcc.compiler.user_ops.load import OpsGiven

Shapes = Mapping[str, Sequence[Dim | None] | None]


def lint(
    path: str | Path,
    target: str | None = None,
    *,
    signature: str | None = None,
    tag: str | None = None,
    inputs: Shapes | None = None,
    outputs: Sequence[str] | None = None,
    ops: OpsGiven = (),
) -> tuple[Finding, ...]:
    """What could be better in a model, or a container of dlcc's, for each target.

    target: kinds or chips, joined by commas; default: the container's, or every kind.
    The other arguments are those of `compile`. Nothing is built and nothing runs.
    Raises UnknownTarget, UsageError, UnreadableModel, ModelError, BadContainer."""
    model, own = read(path, signature, tag, inputs, outputs, ops)
    names = target or ",".join(own) or ",".join(KINDS)
    chips = {chip.name: chip for chip in map(find_chip, filter(None, names.split(",")))}
    return tuple(f for chip in chips.values() for f in findings(Subject(model, chip)))


def require_none(found: Sequence[Finding]) -> None:
    """Raises Mismatch (exit code 1) where there is advice."""
    if found:
        fixable = sum(bool(f.fix) for f in found)
        many = "" if len(found) == 1 else "s"
        hint = f"--fix rewrites what {fixable} of {len(found)} is about" if fixable else ""
        raise Mismatch(
            f"{len(found)} piece{many} of advice",
            hint=hint or "--exit-zero makes advice no failure",
        )


def require_fixable(fixes: bool, output: Path | None, target: str | None) -> tuple[Path, str]:
    """Where to write a rewritten model, and for which target; raises UsageError."""
    if not fixes or output is None:
        raise UsageError("--fix and -o belong together", hint="--fix -o fixed.pb")
    if target is None or "," in target:
        raise UsageError(
            "--fix is for one target: what suits one may cost another", hint="choose it with -t"
        )
    return output, target


def read(
    path: str | Path,
    signature: str | None,
    tag: str | None,
    inputs: Shapes | None,
    outputs: Sequence[str] | None,
    ops: OpsGiven = (),
) -> tuple[Model, tuple[str, ...]]:
    """A model, and the chips of a container."""
    source = open_source(path, signature, tag, inputs, outputs, ops)
    if source.foreign:
        raise BadContainer(
            f"{path} is a container of Qualcomm's tools, whose layers have other kernels",
            hint="give the TensorFlow model that it was made of",
        )
    if source.container is None:
        return _of_model(path, signature, tag, inputs, outputs, ops), ()
    row = source.container.signature(signature)
    module = source.container.module(signature)
    chips = tuple(target.chip for target in row.targets)
    return model_of(source.container.model, module, row.inputs, row.outputs, {}), chips


def _of_model(
    path: str | Path,
    signature: str | None,
    tag: str | None,
    inputs: Shapes | None,
    outputs: Sequence[str] | None,
    ops: OpsGiven,
) -> Model:
    from dlcc.compiler.imported import imported

    made = imported(path, signature, tag, inputs, outputs, ops)
    used = {node.name: node.op for node in made.graph.nodes}
    results = made.translated
    model = model_of(made.graph.name, made.module, results.inputs, results.outputs, used)
    targets = made.in_force.targets
    own = {op: able for op in used.values() if (able := targets(op)) is not None}
    return replace(model, users=own)


def model_of(
    name: str,
    module: IRModule,
    inputs: Sequence[Spec],
    outputs: Sequence[Spec],
    ops: Mapping[str, str],
) -> Model:
    """The module, and its layers in the layout that every target computes in."""
    from tvm import relax

    from dlcc.compiler.network.from_module import network_of
    from dlcc.targets.cpu.fold import fold_layouts
    from dlcc.targets.cpu.layout import to_nhwc

    shown = relax.transform.DeadCodeElimination(["main"])(fold_layouts(to_nhwc(module)))
    network = network_of(shown, name=name, inputs=inputs, outputs=outputs)
    return Model(network, item(network), module, ops)
