"""A layer that departs, as a small model with its inputs: what to look at, or to send."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcc.compiler.errors import UsageError
from dlcc.compiler.feeds import as_pairs
from dlcc.compiler.frontend.graph import TensorRef
from dlcc.compiler.frontend.part import Fed, Part, part_of
from dlcc.compiler.npz import write_npz
from dlcc.compiler.user_ops.declared import UserOps
from dlcc.compiler.user_ops.load import NONE
from dlcc.compiler.verify.isolated import Layer
from dlcc.compiler.verify.layers import Comparison
from dlcc.compiler.verify.measure import Error
from dlcc.compiler.verify.rows import LayerRow, Reproducer
from dlcc.compiler.verify.subject import Making, session_of, subject

MODEL, INPUTS, EXPECTED, README = "layer.pb", "inputs.npz", "expected.npz", "README.md"

TEXT = """\
# {node} ({op}) of {model}

A part of a model that gives other results on {target} ({device}) than {reference}.

- `{pb}`: the TensorFlow graph between the last tensors that are right and the one that departs
- `{inputs}`: those tensors{sample}
- `{expected}`: what the result should be, by {reference}

To see it:

```
{command}
```

Alone, the layer {alone}.
"""


@dataclass(frozen=True, slots=True)
class Files:
    """What is written. feeds: arrays by the names of placeholders.   output: name of the result."""

    part: Part
    feeds: Mapping[str, np.ndarray]
    output: str
    wanted: np.ndarray


def write_reproducer(
    comparison: Comparison, layers: Sequence[LayerRow], row: LayerRow, folder: Path, making: Making
) -> Reproducer:
    """Write the layer to a folder, whole or not at all, and run it.

    Raises UsageError for a folder that is in use."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already", hint="name a folder that is not")
    files = _files(comparison, Layer.of(comparison, layers, row))
    command = _command(comparison, folder, files.output, making)
    error = _alone(comparison, files, making)
    text = TEXT.format(
        node=row.node,
        op=row.op,
        model=comparison.subject.graph.name,
        target=comparison.subject.chip.name,
        device=comparison.place.device or "its default device",
        reference=comparison.expected.name,
        pb=MODEL,
        inputs=INPUTS,
        expected=EXPECTED,
        sample=f", of the sample {row.local_sample}",
        command=command,
        alone="is right: the error is not in it" if error.ok else f"is off by {error.max_abs:.3g}",
    )
    _write(folder, files, text)
    return Reproducer(str(folder), row.node, command, not error.ok, error.max_abs)


def _files(comparison: Comparison, layer: Layer) -> Files:
    subject = comparison.subject
    alone = layer.alone(subject.module)
    inputs = comparison.inputs(layer.sample)
    given = {i.ref: a for i, a in zip(subject.graph.inputs, inputs, strict=True)}
    held = subject.tensors
    behind = alone.feeds[len(as_pairs(inputs)) :]
    given |= {held[v]: a for v, a in zip(alone.given, behind, strict=True)}
    fed = {ref: Fed(comparison.expected.enum(ref, a), a.shape) for ref, a in given.items()}
    part = part_of(subject.source, fed, [layer.ref])
    read = {i for node in part.graph_def.node for i in node.input}
    unread = {ref for ref, name in part.names.items() if name not in read}
    part = part_of(subject.source, {r: f for r, f in fed.items() if r not in unread}, [layer.ref])
    feeds = {name: given[ref] for ref, name in part.names.items()}
    return Files(part, feeds, _output(layer.ref), alone.wanted[layer.variable])


def _output(ref: TensorRef) -> str:
    return ref.node if ref.index == 0 else str(ref)


def _alone(comparison: Comparison, files: Files, making: Making) -> Error:
    """The error of what is written, when it is compiled and run like any model."""
    how = Making(
        outputs=[files.output],
        database=making.database,
        runtime=making.runtime,
        fp16=making.fp16,
        ops=making.ops,
    )
    found = subject(files.part.graph_def, comparison.subject.chip.name, how)
    with session_of(found.container(), comparison.place) as session:
        result = next(iter(session.run(dict(files.feeds)).values()))
    return comparison.error(result, files.wanted)


def _command(comparison: Comparison, folder: Path, output: str, making: Making) -> str:
    words = ["dlcc", "verify", MODEL, "-t", comparison.subject.chip.name]
    words += ["--device", comparison.place.device] if comparison.place.device else []
    words += ["--output", output, "--data", INPUTS, "--expect", EXPECTED]
    words += ["--rtol", f"{comparison.rtol:g}", "--atol", f"{comparison.atol:g}"]
    words += ["--database", str(making.database)] if making.database else []
    words += ["--runtime", making.runtime] if making.runtime else []
    words += ["--fp16"] if making.fp16 else []
    words += [word for own in making.ops for word in ("--ops", _file(own))]
    return f"cd {shlex.quote(str(folder))}\n{shlex.join(words)}"


def _file(own: str | os.PathLike[str] | UserOps) -> str:
    """A file of ops as it is named from anywhere."""
    if own == NONE:
        return NONE
    return str(Path(own.file if isinstance(own, UserOps) else own).resolve())


def _write(folder: Path, files: Files, text: str) -> None:
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir()
        (part / MODEL).write_bytes(files.part.graph_def.SerializeToString())
        write_npz(part / INPUTS, files.feeds)
        write_npz(part / EXPECTED, {files.output: files.wanted})
        (part / README).write_text(text, encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()  # it is empty
        os.replace(part, folder)
    except OSError as error:
        hint = "" if folder.parent.is_dir() else f"there is no folder {folder.parent}"
        raise UsageError(f"cannot write {folder}: {error.strerror or error}", hint=hint) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
