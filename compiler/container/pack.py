"""Compiled functions as the entries and the manifest of a container."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dlcc.compiler.container.manifest import (
    Manifest,
    Place,
    SignatureRow,
    TargetRow,
    TensorSpec,
    WeightRef,
    default_name,
)
from dlcc.compiler.container.pieces import Content, Pieces, sha256
from dlcc.compiler.container.tensors import DTYPES, tensor_bytes
from dlcc.compiler.dlc.codes import METADATA, MODEL, PARAMETERS
from dlcc.compiler.network.network import Network
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


@dataclass(frozen=True, slots=True)
class Packed:
    """What a container is made of. networks: one for each signature."""

    manifest: Manifest
    entries: Mapping[str, Content]
    networks: tuple[Network, ...]


def pack(model: str, parts: Sequence[Compiled], options: Mapping[str, str]) -> Packed:
    """The manifest and the entries of a container; raises ModelError for a dtype without size."""
    from dlcc.compiler.container.tools import tool_versions
    from dlcc.compiler.dlc.metadata import encode_metadata

    tools = tool_versions()
    store = _Store()
    names = [part.signature for part in parts]
    networks = networks_of(model, parts, options)
    store.add_tables(networks, names.index(default_name(names)))
    store.entries[METADATA] = encode_metadata(tools["dlcc"], options)
    folders = _folders(names)
    rows = tuple(store.add(p, f) for p, f in zip(parts, folders, strict=True))
    hashes = {name: sha256(content) for name, content in sorted(store.entries.items())}
    used = {ref.sha256 for row in rows for ref in row.weights}
    places = {digest: place for digest, place in store.places.items() if digest in used}
    manifest = Manifest(model, rows, tools, dict(options), hashes, places)
    return Packed(manifest, store.entries, networks)


def networks_of(
    model: str, parts: Sequence[Compiled], options: Mapping[str, str]
) -> tuple[Network, ...]:
    """The layers of each function."""
    from dlcc.compiler.network.from_module import network_of

    return tuple(
        network_of(
            part.module,
            name=part.signature or model,
            inputs=part.inputs,
            outputs=part.outputs,
            metadata=options,
        )
        for part in parts
    )


def _folders(signatures: Sequence[str]) -> list[str]:
    """Where the entries of each signature lie; an only one has no folder of its own."""
    if len(signatures) == 1:
        return ["dlcc/"]
    return [f"dlcc/signatures/{i}-{_plain(name)}/" for i, name in enumerate(signatures)]


class _Store:
    """The entries of a container as they are made.

    places: sha256 of a tensor that an entry holds beside others -> where.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Content] = {}
        self.places: dict[str, Place] = {}

    def add_tables(self, networks: Sequence[Network], shown: int) -> None:
        """The tables of a DLC, and the constants of the graphs within."""
        from dlcc.compiler.dlc.notes import NOTES, encode_notes
        from dlcc.compiler.dlc.write import write_tables

        tables = write_tables(networks, shown)
        self.entries[MODEL] = tables.model
        self.entries[PARAMETERS] = tables.params
        self.entries[NOTES] = encode_notes(tables.notes)
        self.places = {d: Place(PARAMETERS, *place) for d, place in tables.places.items()}

    def add(self, part: Compiled, folder: str) -> SignatureRow:
        """Graph and code of a signature."""
        from dlcc.compiler.container import graph

        ops, parameters = graph.count_ops(part.module)
        lifted, constants = graph.lift_constants(part.module)
        self.entries[f"{folder}graph.relax"] = graph.encode_graph(lifted)
        return SignatureRow(
            name=part.signature,
            graph=f"{folder}graph.relax",
            inputs=tuple(TensorSpec(i.name, i.dtype, i.shape) for i in part.inputs),
            outputs=tuple(TensorSpec(o.name, o.dtype, o.shape) for o in part.outputs),
            targets=self._add_artifacts(part.artifacts, folder),
            graph_weights=tuple(map(self._add_weight, constants)),
            ops=ops,
            parameters=parameters,
        )

    def _add_artifacts(self, artifacts: Iterable[Artifact], folder: str) -> tuple[TargetRow, ...]:
        rows: list[TargetRow] = []
        for artifact in artifacts:
            taken = {
                e.removeprefix(folder).split("/")[0] for e in self.entries if e.startswith(folder)
            }
            key = _target_key(artifact, taken)
            files = {name: f"{folder}{key}/{name}" for name in sorted(artifact.files)}
            for name, entry in files.items():
                self.entries[entry] = bytes(artifact.files[name])
            weights = tuple(map(self._add_weight, artifact.weights))
            how = artifact.runtime, artifact.processor
            rows.append(TargetRow(artifact.kind, artifact.chip, files, weights, *how))
        return tuple(rows)

    def _add_weight(self, tensor: np.ndarray) -> WeightRef:
        """A tensor, which becomes an entry of its own unless its bytes lie in one already."""
        digest = sha256(tensor_bytes(tensor))
        if digest not in self.places:
            self.entries.setdefault(WEIGHTS + digest, Pieces([tensor]))
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
