"""What a container or a model holds, as plain rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcc.compiler.container import Container, TensorSpec, open_container
from dlcc.compiler.container.manifest import TargetRow
from dlcc.compiler.container.tensors import DTYPES
from dlcc.compiler.errors import UsageError


@dataclass(frozen=True, slots=True)
class OpRow:
    """How often an operator stands in a graph."""

    op: str
    count: int


@dataclass(frozen=True, slots=True)
class TargetSize:
    """Code for one chip. runtime: what runs it, "tvm" or "aot".
    processor: what it was generated for, where that may be another than the chip's; else None.
    tensors, weights_bytes: of its weights, which targets may share."""

    kind: str
    chip: str
    runtime: str
    processor: str | None
    code_bytes: int
    tensors: int
    weights_bytes: int


@dataclass(frozen=True, slots=True)
class Info:
    """A container or a model file.

    form: "container" or "TensorFlow graph".   parameters: elements of all constants.
    signatures: those of a container; what follows is of the one asked for, or of the default.
    shape: a dimension that is not fixed has a symbol in a container and "?" in a model.
    """

    path: str
    form: str
    model: str
    size_bytes: int
    parameters: int
    options: Mapping[str, str]
    tools: Mapping[str, str]
    signatures: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    targets: tuple[TargetSize, ...]
    ops: tuple[OpRow, ...]


def info(path: str | Path, *, signature: str | None = None, tag: str | None = None) -> Info:
    """Read a container (each entry is checked) or a TensorFlow model.

    signature: which of a container's or SavedModel's.   tag: which of a SavedModel's graphs.
    Raises BadContainer for a damaged zip, UnreadableModel for what is neither, UsageError."""
    path = Path(path)
    if path.suffix == ".dlc" or (_is_zip(path) and path.suffix != ".keras"):
        if tag:
            raise UsageError(f"{path} is a container, which has no tags", hint="leave --tag out")
        return _container_info(path, signature)
    return _model_info(path, signature, tag)


def _is_zip(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _container_info(path: Path, signature: str | None) -> Info:
    container = open_container(path)
    row = container.signature(signature)
    container.verify()
    manifest = container.manifest
    return Info(
        path=str(path),
        form="container",
        model=manifest.model,
        size_bytes=container.size_bytes,
        parameters=row.parameters,
        options=manifest.options,
        tools=manifest.tools,
        signatures=tuple(filter(None, container.signatures)),
        inputs=row.inputs,
        outputs=row.outputs,
        targets=tuple(_target_size(container, t) for t in row.targets),
        ops=_op_rows(row.ops),
    )


def _target_size(container: Container, target: TargetRow) -> TargetSize:
    return TargetSize(
        kind=target.kind,
        chip=target.chip,
        runtime=target.runtime or "tvm",
        processor=target.processor or None,
        code_bytes=sum(len(container.read(entry)) for entry in target.files.values()),
        tensors=len(target.weights),
        weights_bytes=sum(
            int(np.prod(w.shape, dtype=np.int64)) * DTYPES[w.dtype].itemsize for w in target.weights
        ),
    )


def _model_info(path: Path, signature: str | None, tag: str | None) -> Info:
    from dlcc.compiler.frontend.load import load

    graph = load(path, signature=signature, tag=tag)
    constants = [n.attrs["value"] for n in graph.nodes if n.op == "Const" and "value" in n.attrs]
    return Info(
        path=str(path),
        form="TensorFlow graph",
        model=graph.name,
        size_bytes=_size_bytes(path),
        parameters=sum(int(c.size) for c in constants),
        options=dict(graph.options),
        tools={},
        signatures=tuple(filter(None, [graph.signature])),
        inputs=tuple(TensorSpec(i.name, i.dtype, _dims(i.shape)) for i in graph.inputs),
        outputs=tuple(TensorSpec(o.name, "", None) for o in graph.outputs),
        targets=(),
        ops=_op_rows(Counter(n.op for n in graph.nodes)),
    )


def _size_bytes(path: Path) -> int:
    """Of a file, of all files in a folder, or of those of a checkpoint whose prefix it is."""
    if path.is_dir():
        files = [p for p in path.rglob("*") if p.is_file()]
    else:
        stem = path.stem if path.suffix in (".meta", ".index") else path.name
        files = [path] if path.suffix not in (".meta", ".index") and path.is_file() else []
        files = files or [p for p in path.parent.iterdir() if p.name.startswith(stem + ".")]
    return sum(p.stat().st_size for p in files)


def _dims(shape: Sequence[int | str | None] | None) -> tuple[int | str, ...] | None:
    return None if shape is None else tuple("?" if d is None else d for d in shape)


def _op_rows(counts: Mapping[str, int]) -> tuple[OpRow, ...]:
    """The most frequent first."""
    rows = (OpRow(op, count) for op, count in counts.items())
    return tuple(sorted(rows, key=lambda row: (-row.count, row.op)))
