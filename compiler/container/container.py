"""A compiled model: the graph, the code for each target, and every weight once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dlcc.compiler.container.archive import Archive, write_archive
from dlcc.compiler.container.checked import MAX_JSON_BYTES, Malformed
from dlcc.compiler.container.manifest import (
    Manifest,
    Place,
    SignatureRow,
    TargetRow,
    TensorSpec,
    WeightRef,
    decode,
    default_name,
    encode,
)
from dlcc.compiler.container.pack import WEIGHTS, Compiled, pack
from dlcc.compiler.container.pieces import Buffer, Content, Pieces, cut, sha256
from dlcc.compiler.container.tensors import tensor_view
from dlcc.compiler.dlc.codes import MODEL
from dlcc.compiler.errors import BadContainer, UsageError, did_you_mean
from dlcc.compiler.network.network import Network
from dlcc.targets.artifact import Artifact
from dlcc.targets.atomic import written_whole
from dlcc.targets.tuned import Tuned

if TYPE_CHECKING:
    from tvm.ir import IRModule

    from dlcc.compiler.session import Session

MANIFEST = "dlcc/manifest.json"


class Store(Protocol):
    """Where the entries lie: in memory after a compilation, or in a file."""

    def read(self, name: str) -> Content: ...

    def sha256(self, name: str, start: int, size: int) -> str: ...

    def bad(self, what: str) -> BadContainer: ...


class _Memory:
    def __init__(self, entries: Mapping[str, Content]) -> None:
        self.entries = entries

    def read(self, name: str) -> Content:
        return self.entries[name]

    def sha256(self, name: str, start: int, size: int) -> str:
        content = self.entries[name]
        return sha256(content if size == len(content) else cut(content, start, size))

    def bad(self, what: str) -> BadContainer:
        return BadContainer(f"the container {what}")


class Container:
    """A compiled model, in memory or in a `.dlc` file.

    Made by `Container.of` or `open_container`. Entries of a file are mapped, and their hash is
    checked when they are first read; weights are never copied. A weight that lies within another
    entry is checked by its own hash, so that reading one does not mean reading all.
    """

    def __init__(self, manifest: Manifest, store: Store, size_bytes: int) -> None:
        self.manifest = manifest
        self.size_bytes = size_bytes
        # seconds that each part of the compilation took; empty for a container from a file
        self.times_s: dict[str, float] = {}
        # chip -> what tuning chose for its kernels; likewise
        self.tuned: dict[str, Tuned] = {}
        self._store = store
        self._checked: set[str] = set()  # names of entries, and hashes of weights within others
        self._networks: tuple[Network, ...] = ()

    @classmethod
    def of(
        cls,
        model: str,
        parts: Sequence[Compiled],
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> Container:
        """A container in memory.

        model: a name to show.   parts: a function for each signature, at least one.
        options: what the user asked of the compiler, to show; no paths and no times, since equal
        models must give equal files.   Raises ModelError for a dtype that has no fixed size.
        """
        packed = pack(model, parts, options)
        entries = packed.entries
        container = cls(packed.manifest, _Memory(entries), sum(map(len, entries.values())))
        container._networks = packed.networks
        container._checked.update(entries, packed.manifest.weights)  # just hashed
        return container

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.manifest.model

    @property
    def signatures(self) -> tuple[str, ...]:
        """Names of the signatures; ("",) for a model without."""
        return tuple(row.name for row in self.manifest.signatures)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of the default signature, in the order of the compiled `main`."""
        return self.signature().inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs of the default signature, in the order in which they were asked for."""
        return self.signature().outputs

    @property
    def targets(self) -> tuple[TargetRow, ...]:
        """Of the default signature one row for each chip that there is code for."""
        return self.signature().targets

    def signature(self, name: str | None = None) -> SignatureRow:
        """One signature; None: "serving_default", or the first. Raises UsageError."""
        rows = {row.name: row for row in self.manifest.signatures}
        if name is None:
            return rows[default_name(list(rows))]
        if name in rows:
            return rows[name]
        hint = did_you_mean(name, rows) or f"it has: {', '.join(filter(None, rows)) or 'none'}"
        raise UsageError(f"the container has no signature {name!r}", hint=hint)

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all; equal containers give equal bytes.

        Raises UsageError where it cannot be written, BadContainer where this container itself
        turns out to be damaged."""
        names = sorted(self.manifest.entries)
        entries = {name: self._content(name) for name in names}
        with written_whole(path) as file:
            write_archive(file, {MANIFEST: encode(self.manifest), **entries})
        return Path(path)

    def read(self, name: str) -> Buffer:
        """An entry's content; of one that was not yet saved, a copy, where it is made of pieces.
        Raises BadContainer where its hash is not the one promised."""
        content = self._content(name)
        return b"".join(content.buffers()) if isinstance(content, Pieces) else content

    def _content(self, name: str) -> Content:
        content = self._store.read(name)
        if name not in self._checked:
            if self._store.sha256(name, 0, len(content)) != self.manifest.entries[name]:
                raise self._store.bad(f"is damaged: the content of {name!r} has changed")
            self._checked.add(name)
        return content

    def verify(self) -> None:
        """Read and check every entry. Raises BadContainer."""
        for name in self.manifest.entries:
            self._content(name)

    def weight(self, ref: WeightRef) -> np.ndarray:
        """A constant tensor, read-only, on the memory of the file.
        Raises BadContainer where its hash is not the one promised."""
        place = place_of(self._store, self.manifest, ref)
        if ref.sha256 not in self._checked:
            if self._store.sha256(place.entry, place.offset, place.size) != ref.sha256:
                raise self._store.bad(f"is damaged: the weight {ref.sha256[:12]}… has changed")
            self._checked.add(ref.sha256)
        content = cut(self._store.read(place.entry), place.offset, place.size)
        return tensor_view(memoryview(content), ref.dtype, ref.shape)

    def network(self, signature: str | None = None) -> Network:
        """The layers of a signature; None: the default. Raises UsageError, BadContainer."""
        row = self.signature(signature)
        return self.networks()[self.manifest.signatures.index(row)]

    @property
    def has_tables(self) -> bool:
        """Whether `network` can tell the layers: not in files of before schema 3."""
        return MODEL in self.manifest.entries

    def networks(self) -> tuple[Network, ...]:
        """The layers of each signature, from the tables of the file; loads no compiler.

        Raises BadContainer where the tables are damaged, or the file is of a dlcc that wrote none.
        """
        if not self._networks:
            from dlcc.compiler.dlc.own import own_networks

            self._networks = own_networks(self.manifest, self.read, self._store.bad)
        return self._networks

    def artifact(self, target: TargetRow) -> Artifact:
        """The code of a target and its weights, ready for a device."""
        files = {name: bytes(self.read(entry)) for name, entry in target.files.items()}
        weights = [self.weight(ref) for ref in target.weights]
        how = target.runtime, target.processor
        return Artifact(target.kind, target.chip, files, weights, {}, *how)

    def module(self, signature: str | None = None) -> IRModule:
        """The optimised Relax module of a signature. Loads TVM, whose reader parses the graph.

        Raises BadContainer where the graph cannot be read by this TVM."""
        from dlcc.compiler.container.graph import decode_graph

        row = self.signature(signature)
        content = bytes(self.read(row.graph))
        weights = [self.weight(ref) for ref in row.graph_weights]
        try:
            return decode_graph(content, weights)
        except (ValueError, TypeError, RuntimeError, AttributeError, KeyError) as error:
            line = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise self._store.bad(f"has a graph that cannot be read: {line}") from error

    def session(
        self,
        device: str | None = None,
        target: str | None = None,
        threads: int | None = None,
        time_limit_s: float = 60.0,
        *,
        signature: str | None = None,
    ) -> Session:
        """Load the model on a device.

        device: an address (`local`, `emulator`, `rpc://…`); None: what each kind of target uses.
        target: a kind or chip, or several joined by commas in the order of preference; None: all
            of the container. The first whose device opens is taken.
        threads: CPU threads, None: all cores.   time_limit_s: of one remote call, seconds.
        signature: which of several; None: "serving_default", or the first.
        Raises UnknownTarget, UsageError, DeviceError, ToolchainError, BadContainer.
        """
        from dlcc.compiler.session import Session
        from dlcc.targets.registry import DeviceOptions

        options = DeviceOptions(threads, time_limit_s)
        return Session(self, self.signature(signature), device, target, options)


def open_container(path: str | Path) -> Container:
    """Open a `.dlc` file: its directory and manifest are read and checked, nothing is executed.

    Raises BadContainer, with one line that says what is wrong, for whatever is not a sound
    container.
    """
    archive = Archive(path)
    if MANIFEST not in archive.names:
        raise _foreign(archive)
    archive.check()
    content = archive.read(MANIFEST)
    try:
        if len(content) > MAX_JSON_BYTES:
            raise Malformed(f"has a manifest of {len(content)} bytes")
        manifest = decode(archive.read_checked(MANIFEST))
    except Malformed as error:
        hint = error.hint or "the file is damaged or was not written by dlcc"
        raise BadContainer(f"{archive.path}: {error.what}", hint=hint) from error
    _check_entries(archive, manifest)
    return Container(manifest, archive, Path(path).stat().st_size)


def _foreign(archive: Archive) -> BadContainer:
    """The error for a zip that is none of ours."""
    if {"model", "model.params", "dlc.metadata"} & set(archive.names):
        return BadContainer(
            f"{archive.path} is a container of Qualcomm's tools, not of dlcc",
            hint="compile the TensorFlow model with `dlcc compile`",
        )
    listed = ", ".join(map(repr, archive.names[:3])) + (", …" if len(archive.names) > 3 else "")
    return BadContainer(
        f"{archive.path} is a zip file but not a container: it has no {MANIFEST} "
        f"(it holds {listed or 'nothing'})",
        hint="`dlcc compile MODEL -o model.dlc` makes a container",
    )


def _check_entries(archive: Archive, manifest: Manifest) -> None:
    """Directory, list of hashes and references must speak of the same entries and sizes."""
    present, promised = set(archive.names) - {MANIFEST}, set(manifest.entries)
    if missing := sorted(promised - present):
        raise archive.bad(f"lacks its entry {missing[0]!r}")
    if unknown := sorted(present - promised):
        raise archive.bad(f"has an entry that its manifest does not list: {unknown[0]!r}")
    used = (name for row in manifest.signatures for name in row.files)
    if dangling := [name for name in used if name not in promised]:
        raise archive.bad(f"lacks its entry {dangling[0]!r}")
    for place in manifest.weights.values():
        if place.entry not in promised:
            raise archive.bad(f"lacks its entry {place.entry!r}")
        if place.offset + place.size > len(archive.read(place.entry)):
            raise archive.bad(f"places a weight outside of its entry {place.entry!r}")
    for ref in (weight for row in manifest.signatures for weight in row.weights):
        place = place_of(archive, manifest, ref)
        content = archive.read(place.entry)[place.offset : place.offset + place.size]
        try:
            tensor_view(content, ref.dtype, ref.shape)
        except ValueError as error:
            raise archive.bad(f"has a weight of the wrong size: {error}") from error


def place_of(store: Store, manifest: Manifest, ref: WeightRef) -> Place:
    """Where the bytes of a weight lie. Raises BadContainer where there are none."""
    if place := manifest.weights.get(ref.sha256):
        return place
    name = WEIGHTS + ref.sha256
    if manifest.entries.get(name) != ref.sha256:
        raise store.bad(f"lacks its weight {ref.sha256[:12]}…")
    return Place(name, 0, len(store.read(name)))
