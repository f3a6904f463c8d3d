"""Reads a DLC: Qualcomm's of versions 3 and 4, and dlcc's own from its tables. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dlcc.compiler.container.archive import Archive
from dlcc.compiler.dlc import v3, v4
from dlcc.compiler.dlc.codes import METADATA, MODEL, PARAMETERS
from dlcc.compiler.dlc.flat import Flat, behind_prefix
from dlcc.compiler.dlc.metadata import decode_metadata
from dlcc.compiler.errors import BadContainer
from dlcc.compiler.network.network import Network


class Source(Protocol):
    """Where the entries lie."""

    path: str
    names: tuple[str, ...]

    def read_foreign(self, name: str) -> memoryview: ...


def read_dlc(path: str | Path) -> tuple[Network, ...]:
    """The graphs of a DLC, of dlcc's own the default signature first.

    Values of constants are views of the file where it stores them as they are.
    Raises BadContainer for whatever is not a sound DLC, and for a file of a dlcc that wrote no
    tables yet."""
    from dlcc.compiler.container.container import MANIFEST, open_container

    archive = Archive(path)
    if MANIFEST in archive.names:
        container = open_container(path)
        shown = container.network()
        return shown, *(n for n in container.networks() if n is not shown)
    if MODEL not in archive.names:
        raise BadContainer(
            f"{path} is a zip file but not a DLC: it has no {MODEL!r}",
            hint="`dlcc compile MODEL -o model.dlc` makes one",
        )
    return _foreign(archive, Path(path).stem)


def is_foreign(path: str | Path) -> bool:
    """Whether a file is a DLC of Qualcomm's tools. Raises BadContainer for what is no zip."""
    from dlcc.compiler.container.container import MANIFEST

    names = Archive(path).names
    return MODEL in names and MANIFEST not in names


def _foreign(archive: Source, stem: str) -> tuple[Network, ...]:
    """The graphs of a file of Qualcomm's tools."""
    metadata = {}
    if METADATA in archive.names:
        metadata = decode_metadata(bytes(archive.read_foreign(METADATA)))
    model, version = _flat(archive, MODEL)
    params = None
    if PARAMETERS in archive.names:
        params, found = _flat(archive, PARAMETERS)
        if found != version:
            raise _bad(archive)(f"has a {MODEL!r} of version {version} and parameters of {found}")
    networks = v4.networks(model, params) if version == 4 else [v3.network(model, params, stem)]
    if not networks:
        raise _bad(archive)(f"has no graph in its {MODEL!r}")
    return tuple(replace(network, metadata=metadata) for network in networks)


def _bad(archive: Source) -> Callable[[str], BadContainer]:
    return lambda what: BadContainer(
        f"{archive.path} {what}", hint="the file is damaged; copy or download it again"
    )


def _flat(archive: Source, name: str) -> tuple[Flat, int]:
    """The flatbuffer of an entry, and the version that stands before it."""
    return behind_prefix(archive.read_foreign(name), name, _bad(archive))
