"""Any model or container as a network: what the tools that look into files begin with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlcc.compiler.container import open_container
from dlcc.compiler.errors import UsageError, did_you_mean
from dlcc.compiler.network.network import Dim, Network

if TYPE_CHECKING:
    from dlcc.compiler.user_ops import UserOps

ZIP = b"PK\x03\x04"


def is_container(path: Path) -> bool:
    """Whether a path is to be read as a `.dlc`: by its name, or as a zip that is no Keras model."""
    if path.suffix == ".dlc":
        return True
    if path.suffix == ".keras" or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(ZIP)) == ZIP


def read_network(
    path: str | Path,
    *,
    signature: str | None = None,
    tag: str | None = None,
    inputs: Mapping[str, Sequence[Dim | None] | None] | None = None,
    outputs: Sequence[str] | None = None,
    ops: Sequence[str | os.PathLike[str] | UserOps] = (),
) -> Network:
    """The layers of a TensorFlow model, of a container, or of a DLC of Qualcomm's tools.

    A model is imported and optimised as for compiling, so that it and its container show the same
    layers; the values of a container's constants are mapped from the file. Nothing is executed.
    signature: which of several.   tag, inputs, outputs, ops: of a model, as for `compile`.
    Raises BadContainer, UnreadableModel, UnsupportedOps, BadNode, UsageError.
    """
    path = Path(path)
    if not is_container(path):
        return _of_model(path, signature, tag, inputs, outputs, ops)
    refuse_choices(path, tag, inputs, outputs, ops)
    return _of_container(path, signature)


def refuse_choices(
    path: Path,
    tag: str | None,
    inputs: Mapping[str, Sequence[Dim | None] | None] | None,
    outputs: Sequence[str] | None,
    ops: Sequence[str | os.PathLike[str] | UserOps],
) -> None:
    """Raises UsageError where a container is given what only a model takes."""
    if tag:
        raise UsageError(f"{path} is a container, which has no tags", hint="leave --tag out")
    if inputs or outputs:
        raise UsageError(
            f"{path} is a container, whose inputs and outputs are what they are",
            hint="leave --input and --output out",
        )
    if ops:
        raise UsageError(
            f"{path} is a container, whose ops are compiled already", hint="leave --ops out"
        )


def _of_model(
    path: Path,
    signature: str | None,
    tag: str | None,
    inputs: Mapping[str, Sequence[Dim | None] | None] | None,
    outputs: Sequence[str] | None,
    ops: Sequence[str | os.PathLike[str] | UserOps],
) -> Network:
    from dlcc.compiler.imported import imported
    from dlcc.compiler.network.from_module import network_of

    made = imported(path, signature, tag, inputs, outputs, ops)
    return network_of(
        made.module,
        name=made.graph.name,
        inputs=made.translated.inputs,
        outputs=made.translated.outputs,
        form="TensorFlow graph",
        metadata=dict(made.graph.options),
    )


def _of_container(path: Path, signature: str | None) -> Network:
    from dlcc.compiler.dlc.read import is_foreign, read_dlc

    if is_foreign(path):
        return _of_foreign(path, read_dlc(path), signature)
    container = open_container(path)
    if container.has_tables:
        return container.network(signature)
    from dlcc.compiler.network.from_module import network_of

    row = container.signature(signature)
    return network_of(
        container.module(signature),
        name=container.model,
        inputs=row.inputs,
        outputs=row.outputs,
        metadata=container.manifest.options,
    )


def _of_foreign(path: Path, graphs: Sequence[Network], signature: str | None) -> Network:
    """A graph of Qualcomm's tools, by its name; by default the first."""
    names = [graph.name for graph in graphs]
    if signature is None:
        return graphs[0]
    if signature not in names:
        hint = did_you_mean(signature, names) or f"it has: {', '.join(names)}"
        raise UsageError(f"{path} has no graph {signature!r}", hint=hint)
    return graphs[names.index(signature)]
