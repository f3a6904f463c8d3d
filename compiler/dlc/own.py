"""Reads the tables that dlcc wrote into a container, with what it noted beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dlcc.compiler.container.checked import Malformed
from dlcc.compiler.container.manifest import Manifest
from dlcc.compiler.container.pieces import Buffer
from dlcc.compiler.dlc import v4
from dlcc.compiler.dlc.codes import MODEL, PARAMETERS
from dlcc.compiler.dlc.flat import Bad, Flat, behind_prefix
from dlcc.compiler.dlc.notes import NOTES, decode_notes
from dlcc.compiler.errors import BadContainer
from dlcc.compiler.network.network import Network

FORM = "container"


def own_networks(
    manifest: Manifest, read: Callable[[str], Buffer], bad: Bad
) -> tuple[Network, ...]:
    """One network for each signature, in their order. read: the content of an entry.

    Raises BadContainer."""
    if not all(name in manifest.entries for name in (MODEL, PARAMETERS, NOTES)):
        raise BadContainer(
            bad("has no tables: it was written by an older dlcc").what,
            hint="compile the model again",
        )
    model, params = (_flat(read, name, bad) for name in (MODEL, PARAMETERS))
    try:
        notes = decode_notes(bytes(read(NOTES)))
        graphs = v4.networks(model, params, {note.graph: note for note in notes})
    except Malformed as error:
        raise bad(f"has a damaged {NOTES!r}: {error.what}") from error
    if len(graphs) != len(manifest.signatures):
        found = f"{len(graphs)} graphs in its {MODEL!r}"
        raise bad(f"has {found} for {len(manifest.signatures)} signatures")
    return tuple(replace(graph, form=FORM, metadata=manifest.options) for graph in graphs)


def _flat(read: Callable[[str], Buffer], name: str, bad: Bad) -> Flat:
    flat, version = behind_prefix(memoryview(read(name)), name, bad)
    if version != 4:
        raise bad(f"has a {name!r} of version {version}")
    return flat
