"""What a container or a model holds, as plain rows."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlcc.compiler.container import Container, TargetRow, TensorSpec
from dlcc.compiler.container.tensors import DTYPES
from dlcc.compiler.errors import DlccError
from dlcc.compiler.inspect.kernels import kernels_of
from dlcc.compiler.inspect.layer_table import total_macs
from dlcc.compiler.inspect.source import Source, open_source
from dlcc.compiler.network.costs import elements
from dlcc.compiler.network.network import Network

if TYPE_CHECKING:
    from dlcc.compiler.user_ops.load import OpsGiven

log = logging.getLogger("dlcc")
NONE = "N/A"  # how Qualcomm's tools say that there is no value


@dataclass(frozen=True, slots=True)
class OpRow:
    """How often an operator stands in a graph."""

    op: str
    count: int


@dataclass(frozen=True, slots=True)
class TargetSize:
    """Code for one chip. runtime: what runs it, "tvm" or "aot".
    processor: what it was generated for, where that may be another than the chip's; else None.
    tensors, weights_bytes: of its weights, which targets may share.
    kernels: how many; tunable: those that have knobs; tuned: those whose knobs a record chose.
    None where the artifact does not tell them."""

    kind: str
    chip: str
    runtime: str
    processor: str | None
    code_bytes: int
    tensors: int
    weights_bytes: int
    kernels: int | None = None
    tunable: int | None = None
    tuned: int | None = None


@dataclass(frozen=True, slots=True)
class Info:
    """A container, a model file, or a DLC of Qualcomm's tools.

    form: "container", "TensorFlow graph", "Qualcomm DLC 3" or 4.
    parameters: elements of all constants.   macs: multiply-accumulates of one inference, of one
    item where the batch is open; None where another size is open, where the model has ops that
    dlcc lacks, and of a container that was written before it held tables.
    command: one that compiles a model to such a container; of Qualcomm's tools, the one they noted.
    options: what else was asked of the compiler, or what the file says of its making.
    signatures: those of a container; what follows is of the one asked for, or of the default.
    shape: a dimension that is not fixed has a symbol in a container and "?" in a model.
    ops: TensorFlow's of a model; of the layers of a container, as `layers` names them, or Relax's
    where it holds no tables.
    """

    path: str
    form: str
    model: str
    size_bytes: int
    parameters: int
    macs: int | None
    command: str
    options: Mapping[str, str]
    tools: Mapping[str, str]
    signatures: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    targets: tuple[TargetSize, ...]
    ops: tuple[OpRow, ...]


def info(
    path: str | Path,
    *,
    signature: str | None = None,
    tag: str | None = None,
    ops: OpsGiven = (),
) -> Info:
    """Read a container (each entry is checked), a TensorFlow model, or a DLC of Qualcomm's.

    signature: which of a container's or SavedModel's.   tag: which of a SavedModel's graphs.
    ops: of a model, as for `compile`.
    Raises BadContainer for a damaged zip, UnreadableModel for what is neither, UsageError."""
    source = open_source(path, signature, tag, ops=ops)
    if source.container is not None:
        return _container_info(source, source.container)
    return _foreign_info(source) if source.foreign else _model_info(source)


def _container_info(source: Source, container: Container) -> Info:
    row = container.signature(source.signature)
    container.verify()
    manifest = container.manifest
    network = _network(source)
    return Info(
        path=str(source.path),
        form="container",
        model=manifest.model,
        size_bytes=container.size_bytes,
        parameters=row.parameters,
        macs=None if network is None else total_macs(network),
        command=_command(container),
        options=manifest.options,
        tools=manifest.tools,
        signatures=tuple(filter(None, container.signatures)),
        inputs=row.inputs,
        outputs=row.outputs,
        targets=tuple(_target_size(container, t) for t in row.targets),
        ops=_op_rows(row.ops if network is None else _counts(network)),
    )


def _command(container: Container) -> str:
    """The command that makes such a container of its model; files are not noted in it."""
    options = container.manifest.options
    words = ["dlcc", "compile", container.model, "-t", ",".join(t.chip for t in container.targets)]
    for name in ("signature", "tag"):
        words += [f"--{name}", options[name]] if options.get(name) else []
    words += ["--fp16"] if options.get("fp16") == "yes" else []
    ahead = [t for t in container.targets if t.runtime == "aot" and t.kind != "hexagon"]
    words += ["--runtime", "aot"] if ahead else []
    return shlex.join(words)


def _network(source: Source) -> Network | None:
    """None of a model that cannot be translated, and of a container whose layers only a compiler
    could tell: both can be looked at all the same."""
    if source.container is not None and not source.container.has_tables:
        return None
    try:
        return source.network()
    except DlccError as error:
        log.info("multiply-accumulates are not known: %s", error.what)
        return None


def _counts(network: Network) -> Mapping[str, int]:
    return Counter(layer.op for layer in network.layers)


def _target_size(container: Container, target: TargetRow) -> TargetSize:
    kernels = kernels_of(container, target)
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
        kernels=len(kernels) or None,
        tunable=sum(bool(k.workload) for k in kernels) if kernels else None,
        tuned=sum(k.tuned for k in kernels) if kernels else None,
    )


def _foreign_info(source: Source) -> Info:
    network = source.network()
    metadata = {key: value for key, value in network.metadata.items() if value != NONE}
    return Info(
        path=str(source.path),
        form=network.form,
        model=network.name,
        size_bytes=source.path.stat().st_size,
        parameters=_parameters(network),
        macs=total_macs(network),
        command=metadata.pop("converter-command", ""),
        options=metadata,
        tools={},
        signatures=(),
        inputs=_specs(network, network.inputs),
        outputs=_specs(network, network.outputs),
        targets=(),
        ops=_op_rows(_counts(network)),
    )


def _specs(network: Network, names: Sequence[str]) -> tuple[TensorSpec, ...]:
    found = (network.tensors[name] for name in names)
    return tuple(TensorSpec(t.name, t.dtype, t.shape) for t in found)


def _parameters(network: Network) -> int:
    return sum(elements(t) or 0 for t in network.tensors.values() if t.role == "constant")


def _model_info(source: Source) -> Info:
    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.user_ops.table import ops_in_force

    path, outputs = source.path, ops_in_force(source.ops).outputs
    graph = load(path, signature=source.signature, tag=source.tag, op_outputs=outputs)
    network = _network(source)
    constants = [n.attrs["value"] for n in graph.nodes if n.op == "Const" and "value" in n.attrs]
    return Info(
        path=str(path),
        form="TensorFlow graph",
        model=graph.name,
        size_bytes=_size_bytes(path),
        parameters=sum(int(c.size) for c in constants),
        macs=None if network is None else total_macs(network),
        command="",
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
