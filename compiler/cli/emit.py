"""What `dlcc compile` leaves: a file, or a listing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcc.compiler.container import Container
from dlcc.compiler.errors import UsageError
from dlcc.targets.registry import find_chip


@dataclass(frozen=True, slots=True)
class Written:
    """A container on disk."""

    path: str
    size_bytes: int
    targets: tuple[str, ...]


def written(container: Container, path: Path) -> Written:
    """What was written, for `--json`."""
    return Written(str(path), path.stat().st_size, tuple(t.chip for t in container.targets))


def listing(container: Container, form: str) -> str:
    """The graph as Relax script, or for each target its scheduled kernels or their assembly.

    form: "relax", "tir" or "asm". Raises UsageError for a kind without listings."""
    module = container.module()
    if form == "relax":
        return str(module.script())
    from dlcc.targets.cpu import build

    shown = {"tir": build.scheduled, "asm": build.assembly}[form]
    comment = {"tir": "#", "asm": "//"}[form]
    parts = []
    for target in container.targets:
        if target.kind not in ("host", "arm"):
            raise UsageError(f"--emit {form} is for CPUs; {target.name} is none")
        parts.append(f"{comment} {target.name}\n{shown(module, find_chip(target.chip))}")
    return "\n".join(parts)
