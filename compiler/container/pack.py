"""Compiled functions as the entries and the manifest of a container."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dlcc.compiler.container.archive import Buffer, sha256
from dlcc.compiler.container.manifest import (
    Manifest,
    SignatureRow,
    TargetRow,
    TensorSpec,
    WeightRef,
)
from dlcc.compiler.container.tensors import DTYPES, tensor_bytes
from dlcc.targets.artifact import Artifact

if TYPE_CHECKING:
    from tvm.ir import IRModule

WEIGHTS = "dlcc/weights/"


class SpecLike(Protocol):
    """An input or output, as the front end or `TensorSpec` describes it."""

    @property
    def name(self) -> str: ...

    @property
    def dtype(self) -> str: ...

    @property
    def shape(self) -> tuple[int | str, ...] | None: ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """One compiled function of a model.

    module: the optimised Relax module; its `main` takes the inputs and returns a tuple of the
        outputs.   inputs, outputs: their names, as the user asked for them, with dtype and shape.
    signature: its name in the model, "" for none.
    """

    module: IRModule
    inputs: Sequence[SpecLike]
    outputs: Sequence[SpecLike]
    artifacts: Sequence[Artifact]
    signature: str = ""


def pack(
    model: str, parts: Sequence[Compiled], options: Mapping[str, str]
) -> tuple[Manifest, dict[str, Buffer]]:
    """The manifest and the entries of a container; raises ModelError for a dtype without size."""
    from dlcc.compiler.container.tools import tool_versions

    entries: dict[str, Buffer] = {}
    folders = _folders([part.signature for part in parts])
    rows = tuple(_store(p, f, entries) for p, f in zip(parts, folders, strict=True))
    hashes = {name: sha256(content) for name, content in sorted(entries.items())}
    return Manifest(model, rows, tool_versions(), dict(options), hashes), entries


def _folders(signatures: Sequence[str]) -> list[str]:
    """Where the entries of each signature lie; an only one has no folder of its own."""
    if len(signatures) == 1:
        return ["dlcc/"]
    return [f"dlcc/signatures/{i}-{_plain(name)}/" for i, name in enumerate(signatures)]


def _store(part: Compiled, folder: str, entries: dict[str, Buffer]) -> SignatureRow:
    from dlcc.compiler.container import graph

    ops, parameters = graph.count_ops(part.module)
    lifted, constants = graph.lift_constants(part.module)
    entries[f"{folder}graph.relax"] = graph.encode_graph(lifted)
    return SignatureRow(
        name=part.signature,
        graph=f"{folder}graph.relax",
        inputs=tuple(TensorSpec(i.name, i.dtype, i.shape) for i in part.inputs),
        outputs=tuple(TensorSpec(o.name, o.dtype, o.shape) for o in part.outputs),
        targets=_store_artifacts(part.artifacts, folder, entries),
        graph_weights=tuple(_store_weight(c, entries) for c in constants),
        ops=ops,
        parameters=parameters,
    )


def _store_artifacts(
    artifacts: Iterable[Artifact], folder: str, entries: dict[str, Buffer]
) -> tuple[TargetRow, ...]:
    rows: list[TargetRow] = []
    for artifact in artifacts:
        taken = {e.removeprefix(folder).split("/")[0] for e in entries if e.startswith(folder)}
        files = {
            name: f"{folder}{_target_key(artifact, taken)}/{name}"
            for name in sorted(artifact.files)
        }
        for name, entry in files.items():
            entries[entry] = bytes(artifact.files[name])
        weights = tuple(_store_weight(w, entries) for w in artifact.weights)
        how = artifact.runtime, artifact.processor
        rows.append(TargetRow(artifact.kind, artifact.chip, files, weights, *how))
    return tuple(rows)


def _store_weight(tensor: np.ndarray, entries: dict[str, Buffer]) -> WeightRef:
    content = tensor_bytes(tensor)
    digest = sha256(content)
    entries.setdefault(WEIGHTS + digest, content)
    dtype = tensor.dtype.newbyteorder("=").name
    assert dtype in DTYPES
    return WeightRef(digest, dtype, tuple(int(d) for d in tensor.shape))


def _target_key(artifact: Artifact, taken: set[str]) -> str:
    """A folder name for a chip that is not taken."""
    key = stem = f"{artifact.kind}-{_plain(artifact.chip)}"
    again = 1
    while key in taken:
        again += 1
        key = f"{stem}-{again}"
    return key


def _plain(name: str) -> str:
    """A name with what is no plain letter replaced."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", name)
