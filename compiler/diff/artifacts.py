"""Differences between the code and the manifests of two containers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dlcc.compiler.container import Container, TargetRow
from dlcc.compiler.diff.rows import Change, DiffRow, Section
from dlcc.compiler.inspect.kernels import TargetKernel, kernels_of
from dlcc.compiler.inspect.source import Source
from dlcc.compiler.network.network import Network

HASH_DIGITS = 12
LONG = 80  # characters of a text that is told by its differences alone


def artifact_rows(a: Source, b: Source) -> Iterator[DiffRow]:
    """Targets, sizes and hashes of their code, and their kernels. What only one form of file can
    have does not count."""
    if a.container is None or b.container is None:
        for target in a.targets:
            yield DiffRow("artifacts", "removed", target.name, "code", target.chip, counts=False)
        for target in b.targets:
            yield DiffRow("artifacts", "added", target.name, "code", "", target.chip, counts=False)
        return
    ours = {t.name: t for t in a.targets}
    theirs = {t.name: t for t in b.targets}
    for name in dict.fromkeys((*ours, *theirs)):
        if name not in theirs:
            yield DiffRow("artifacts", "removed", name, "code", ours[name].chip)
        elif name not in ours:
            yield DiffRow("artifacts", "added", name, "code", "", theirs[name].chip)
        else:
            yield from _target(name, (a.container, ours[name]), (b.container, theirs[name]))


def metadata_rows(a: Source, b: Source, networks: tuple[Network, Network]) -> Iterator[DiffRow]:
    """What the files say of their making; it counts where both are of one form. The name, which
    is the model file's, never does."""
    same = (a.container is None) == (b.container is None) and a.foreign == b.foreign
    yield from _table(
        "metadata", "file", {"model": networks[0].name}, {"model": networks[1].name}, False
    )
    yield from _table(
        "metadata", "file", _metadata(a, networks[0]), _metadata(b, networks[1]), same
    )


def _metadata(source: Source, network: Network) -> dict[str, str]:
    if source.container is None:
        return dict(network.metadata)
    manifest = source.container.manifest
    return {**manifest.options, **{f"{tool} version": v for tool, v in manifest.tools.items()}}


def _table(
    section: Section, name: str, a: Mapping[str, str], b: Mapping[str, str], counts: bool = True
) -> Iterator[DiffRow]:
    """Rows for the keys whose values differ."""
    for key in dict.fromkeys((*a, *b)):
        ours, theirs = a.get(key, ""), b.get(key, "")
        if ours != theirs:
            change: Change = "changed" if key in a and key in b else "added"
            change = "removed" if key not in b else change
            told = _apart(ours, theirs)
            yield DiffRow(section, change, name, key, *told, counts=counts)


def _apart(a: str, b: str) -> tuple[str, str]:
    """Both texts; of long ones the words that only one of them has."""
    if min(len(a), len(b)) <= LONG:
        return a, b
    ours, theirs = set(a.split()), set(b.split())
    only = [" ".join(w for w in text.split() if w not in ours & theirs) for text in (a, b)]
    return f"… {only[0]}", f"… {only[1]}"


Side = tuple[Container, TargetRow]


def _target(name: str, a: Side, b: Side) -> Iterator[DiffRow]:
    facts = [
        {"runtime": target.runtime or "tvm", "processor": target.processor}
        | {file: _content(container, entry) for file, entry in sorted(target.files.items())}
        for container, target in (a, b)
    ]
    yield from _table("artifacts", name, facts[0], facts[1])
    ours, theirs = ({f"kernel {k.name}": _kernel(k) for k in kernels_of(*s)} for s in (a, b))
    yield from _table("artifacts", name, ours, theirs)


def _content(container: Container, entry: str) -> str:
    size = len(container.read(entry))
    return f"{size} bytes, {container.manifest.entries[entry][:HASH_DIGITS]}"


def _kernel(kernel: TargetKernel) -> str:
    """What is to be known of a kernel, in a line."""
    words = [kernel.placement or "somewhere"]
    words += [f"{kernel.macs} MACs"] if kernel.macs else []
    words += [kernel.workload] if kernel.workload else []
    return ", ".join(words + (["tuned"] if kernel.tuned else []))
