"""What `dlcc compile` leaves: a file, or a listing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlcc.compiler.container import Container, SignatureRow, TargetRow
from dlcc.compiler.driver import in_half
from dlcc.compiler.errors import UsageError
from dlcc.targets.artifact import HALF
from dlcc.targets.chips import Chip
from dlcc.targets.registry import find_chip
from dlcc.targets.tuned import UNTUNED, Tuned

if TYPE_CHECKING:
    from tvm.ir import IRModule


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

    form: "relax", "tir" or "asm"."""
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
    comment = {"tir": "#", "asm": "//"}[form]
    parts = []
    for target in row.targets:
        shown = _shown(target, form)
        tuned = container.tuned.get(target.chip, UNTUNED)
        parts.append(f"{comment} {target.name}\n{shown(module, _chip_of(target), tuned)}")
    return "\n".join(parts)


# kind, or kind and runtime -> the module that builds for it
BUILDERS = {
    "hexagon": "dlcc.targets.hexagon.build",
    "opencl": "dlcc.targets.opencl.build",
    "host": "dlcc.targets.cpu.build",
    "arm": "dlcc.targets.cpu.build",
}
AHEAD = "dlcc.targets.cpu.ahead"


def _shown(target: TargetRow, form: str) -> Callable[[IRModule, Chip, Tuned], str]:
    """What makes a listing for a target."""
    ahead = target.runtime == "aot" and target.kind in ("host", "arm")
    build = importlib.import_module(AHEAD if ahead else BUILDERS[target.kind])
    forms: dict[str, Callable[[IRModule, Chip, Tuned], str]]
    forms = {"tir": build.scheduled, "asm": build.assembly}
    return forms[form]


def _chip_of(target: TargetRow) -> Chip:
    chip = find_chip(target.chip)
    return in_half([chip])[0] if target.processor == HALF else chip


def _sources_of(kind: str) -> Callable[[IRModule, Chip, Tuned], dict[str, bytes]]:
    if kind == "hexagon":
        from dlcc.targets.hexagon import build as hexagon

        return hexagon.sources
    from dlcc.targets.cpu import ahead

    return ahead.sources


def write_sources(container: Container, folder: Path) -> Path:
    """Write the C sources of the container's one graph for its one target.

    Returns the folder.
    Raises UsageError for anything else, or where the folder cannot be written."""
    rows = [(row, target) for row in container.manifest.signatures for target in row.targets]
    if len(rows) != 1 or rows[0][1].runtime != "aot":
        raise UsageError(
            "--emit c writes one graph for one target, with the runtime aot",
            hint="compile for one target, and one `--signature`",
        )
    row, target = rows[0]
    tuned = container.tuned.get(target.chip, UNTUNED)
    files = _sources_of(target.kind)(container.module(row.name), find_chip(target.chip), tuned)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    return folder
