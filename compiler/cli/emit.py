"""What `dlcc compile` leaves: a file, or a listing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcc.compiler.container import Container, SignatureRow
from dlcc.compiler.errors import UsageError
from dlcc.targets.registry import find_chip


@dataclass(frozen=True, slots=True)
class Written:
    """A container on disk."""

    path: str
    size_bytes: int
    targets: tuple[str, ...]
    signatures: tuple[str, ...]


def written(container: Container, path: Path) -> Written:
    """What was written, for `--json`."""
    chips = tuple(t.chip for t in container.targets)
    signatures = tuple(filter(None, container.signatures))
    return Written(str(path), path.stat().st_size, chips, signatures)


def listing(container: Container, form: str) -> str:
    """The graph as Relax script, or for each target its scheduled kernels or their assembly.

    form: "relax", "tir" or "asm". Raises UsageError for a kind without listings."""
    several = len(container.signatures) > 1
    parts = [
        (f"# signature {row.name}\n" if several else "") + _signature_listing(container, row, form)
        for row in container.manifest.signatures
    ]
    return "\n".join(parts)


def _signature_listing(container: Container, row: SignatureRow, form: str) -> str:
    module = container.module(row.name)
    if form == "relax":
        return str(module.script())
    from dlcc.targets.cpu import build

    shown = {"tir": build.scheduled, "asm": build.assembly}[form]
    comment = {"tir": "#", "asm": "//"}[form]
    parts = []
    for target in row.targets:
        if target.kind not in ("host", "arm"):
            raise UsageError(f"--emit {form} is for CPUs; {target.name} is none")
        parts.append(f"{comment} {target.name}\n{shown(module, find_chip(target.chip))}")
    return "\n".join(parts)
