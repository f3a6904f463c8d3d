"""Model files of every form, recognised by what they are, each as a GraphDef and what goes with it.

| form | graph | variables | by whom |
|---|---|---|---|
| frozen graph `.pb`, `.pbtxt` | itself | none left | protobuf alone |
| checkpoint `.meta` + `.index` + `.data-*` | `.meta` | the checkpoint | protobuf, `checkpoint.py` |
| SavedModel of TensorFlow 1 | `saved_model.pb` | `variables/` | protobuf, `checkpoint.py` |
| SavedModel of TensorFlow 2, Keras | frozen by TensorFlow | none left | `freezer.py` |
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from dlcc.compiler.errors import UnreadableModel, UsageError, did_you_mean
from dlcc.compiler.frontend.checkpoint import Checkpoint
from dlcc.compiler.frontend.freezer import freeze
from dlcc.compiler.frontend.schema import message_class
from dlcc.compiler.frontend.signature import NO_NAMES, Names, choose, choose_signatures

_FORMS = (
    "dlcc reads frozen graphs (.pb, .pbtxt), SavedModels (their folder), checkpoints (.meta with "
    ".index and .data-*) and Keras models (.keras, .h5)"
)
MAX_BYTES = (1 << 31) - 1
ZIP = b"PK\x03\x04"  # how one begins
_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
_KERAS = (".keras", ".h5", ".hdf5")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Source:
    """A model as it was stored.

    names: what the signature calls inputs and outputs.   checkpoint: values of its variables.
    options: the tag and signature that were chosen, to show.
    op_outputs: op of the user's -> names of its outputs.
    """

    name: str
    graph_def: Any
    names: Names = NO_NAMES
    checkpoint: Checkpoint | None = None
    options: tuple[tuple[str, str], ...] = ()
    op_outputs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """The name of the signature, "" for none."""
        return dict(self.options).get("signature", "")


def read_model(
    model: str | os.PathLike[str] | Any, signature: str | None = None, tag: str | None = None
) -> list[Source]:
    """Read a model of any form, or take a GraphDef message: a source for each signature meant.

    Raises UnreadableModel, ModelError, UsageError, ToolchainError."""
    if hasattr(model, "SerializeToString"):
        _refuse(signature, tag, "a GraphDef message")
        proto = message_class("GraphDef")()
        proto.ParseFromString(model.SerializeToString())
        return [Source("model", proto)]
    path = Path(model)
    if folder := _saved_model_folder(path):
        return _saved_model(folder, signature, tag)
    if prefix := _checkpoint_prefix(path):
        return _checkpoint(prefix, signature, tag)
    if path.is_file() and (path.suffix.lower() in _KERAS or _starts_with(path, _HDF5_MAGIC)):
        _refuse(signature, tag, "a Keras model")
        return [Source(path.stem, frozen.graph_def, frozen.names) for frozen in freeze(path)]
    _refuse(signature, tag, "a frozen graph")
    return [Source(path.stem, read_graph_def(path))]


def _refuse(signature: str | None, tag: str | None, what: str) -> None:
    for option, value in (("signature", signature), ("tag", tag)):
        if value is not None:
            raise UsageError(
                f"{option} {value!r} was asked for, and {what} has none",
                hint=f"leave --{option} out; --input and --output name tensors",
            )


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _saved_model_folder(path: Path) -> Path | None:
    """The folder of a SavedModel, given as that or as the file in it."""
    if path.is_dir():
        return path if any((path / name).is_file() for name in _SAVED_MODEL) else None
    return path.parent if path.name in _SAVED_MODEL and path.is_file() else None


def _saved_model(folder: Path, signature: str | None, tag: str | None) -> list[Source]:
    chosen = choose(_read_saved_model(folder), folder, signature, tag)
    name = folder.resolve().name
    if chosen[0].functions:
        models = freeze(folder, chosen[0].tags, [c.signature for c in chosen])
        return [
            Source(name, f.graph_def, f.names.also_known_by(c.names), options=c.options)
            for c, f in zip(chosen, models, strict=True)
        ]
    index = folder / "variables" / "variables.index"
    values = Checkpoint(index.with_suffix("")) if index.is_file() else None
    return [Source(name, c.graph_def, c.names, values, c.options) for c in chosen]


def _read_saved_model(folder: Path) -> Any:
    path = next(folder / name for name in _SAVED_MODEL if (folder / name).is_file())
    proto, data = message_class("SavedModel")(), _read(path)
    try:
        if path.suffix == ".pbtxt":
            text_format.Parse(data.decode("utf-8"), proto, allow_unknown_field=True)
        else:
            proto.ParseFromString(data)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        raise UnreadableModel(
            f"{path} is no SavedModel, or is cut short ({len(data):,} bytes read)", hint=_FORMS
        ) from error
    if not proto.meta_graphs:
        raise UnreadableModel(f"{path} is a SavedModel without a graph", hint="save it again")
    return proto


def _checkpoint_prefix(path: Path) -> Path | None:
    """The prefix of a checkpoint, given as that, as one of its files, or as its folder."""
    if path.is_dir():
        return _latest(path) if (path / "checkpoint").is_file() else None
    if path.name == "checkpoint" and path.is_file():
        return _latest(path.parent)
    if path.suffix in (".meta", ".index"):
        return path.with_suffix("") if path.is_file() else None
    if path.suffix.startswith(".data-") and path.is_file():
        return path.with_suffix("")
    beside = [path.with_name(path.name + suffix) for suffix in (".index", ".meta")]
    return path if any(p.is_file() for p in beside) else None


def _latest(folder: Path) -> Path:
    """The newest checkpoint of a folder, as its file `checkpoint` says."""
    text = _read(folder / "checkpoint").decode("utf-8", "replace")
    lines = (line.partition(":") for line in text.splitlines())
    paths = [value.strip().strip('"') for key, _, value in lines if key == "model_checkpoint_path"]
    if not paths or not paths[0]:
        raise UnreadableModel(
            f"{folder / 'checkpoint'} names no checkpoint", hint="give the path of the .meta file"
        )
    # an absolute path is of the machine that saved it: the files lie beside
    return folder / paths[0] if not Path(paths[0]).is_absolute() else folder / Path(paths[0]).name


def _checkpoint(prefix: Path, signature: str | None, tag: str | None) -> list[Source]:
    meta = prefix.with_name(prefix.name + ".meta")
    if not meta.is_file():
        raise UnreadableModel(
            f"the checkpoint {prefix} holds weights but no graph: there is no {meta.name}",
            hint="give the folder of a SavedModel, or save it with a graph "
            "(tf.compat.v1.train.Saver writes the .meta file)",
        )
    if tag is not None:
        _refuse(None, tag, "a checkpoint")
    data, proto = _read(meta), message_class("MetaGraphDef")()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise UnreadableModel(
            f"{meta} is no MetaGraphDef, or is cut short ({len(data):,} bytes read)", hint=_FORMS
        ) from error
    if not proto.graph_def.node:
        raise UnreadableModel(f"{meta} holds no nodes", hint=_FORMS)
    chosen = choose_signatures(proto, meta, signature)
    index = prefix.with_name(prefix.name + ".index")
    if not index.is_file() and prefix.is_file():
        raise UnreadableModel(
            f"{prefix} is a checkpoint of format V1, which dlcc does not read",
            hint="restore it in TensorFlow and save it again with tf.compat.v1.train.Saver",
        )
    values = Checkpoint(prefix) if index.is_file() else None
    return [
        Source(prefix.name, proto.graph_def, n, values, (("signature", name),) if name else ())
        for name, n in chosen.items()
    ]


def read_graph_def(path: Path) -> Any:
    """The GraphDef message in a binary or text file; raises UnreadableModel."""
    data = _read(path)
    if data.startswith(ZIP):
        raise UnreadableModel(
            f"{path} is a zip file, such as a container, not a model of TensorFlow's", hint=_FORMS
        )
    proto = message_class("GraphDef")()
    if path.suffix == ".pbtxt" or _looks_like_text(data):
        _parse_text(path, data, proto)
    else:
        try:
            proto.ParseFromString(data)
        except DecodeError as error:
            raise UnreadableModel(
                f"{path} is not a GraphDef, or is cut short ({len(data):,} bytes read)",
                hint=f"{_FORMS}; copy or export it again",
            ) from error
    if not proto.node:
        raise UnreadableModel(f"{path} holds no nodes", hint=_FORMS)
    if any(not n.name or not n.op for n in proto.node):
        raise UnreadableModel(f"{path} has nodes without name or op: not a GraphDef", hint=_FORMS)
    return proto


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise UnreadableModel(
                f"{path} is a folder, but holds neither saved_model.pb nor a file `checkpoint`",
                hint=_FORMS,
            )
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableModel(f"{path} is larger than a GraphDef can be (2 GiB)", hint=_FORMS)
        data = path.read_bytes()
    except FileNotFoundError as error:
        near = did_you_mean(path.name, _names_beside(path))
        raise UnreadableModel(f"no such file: {path}", hint=near) from error
    except OSError as error:
        raise UnreadableModel(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise UnreadableModel(f"{path} is empty", hint=_FORMS)
    return data


def _names_beside(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []


def _looks_like_text(data: bytes) -> bool:
    """A binary GraphDef starts with a tag byte (0x0a, 0x12, 0x22) and soon has control bytes."""
    head = data[:512]
    return all(byte >= 0x20 or byte in b"\t\r\n" for byte in head)


def _parse_text(path: Path, data: bytes, proto: Any) -> None:
    try:
        text_format.Parse(data.decode("utf-8"), proto, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise UnreadableModel(
            f"{path} is text, but not a GraphDef in text form: {str(error).splitlines()[0]}",
            hint=_FORMS,
        ) from error
