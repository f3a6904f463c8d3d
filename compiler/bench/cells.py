"""The cells of a suite, each with a key that changes with all that its result depends on."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from dlcc.compiler.bench.suite import Model, Suite, Target
from dlcc.targets.rpc.processor import processor

PACKAGES = ("dlcc.compiler", "dlcc.targets", "dlcc.tuning")
TOOLS = ("apache-tvm", "apache-tvm-ffi", "numpy")
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement. key: of its result.   build: of the container that it runs, "" where the
    model is one."""

    model: Model
    target: Target
    device: str | None
    threads: int | None
    key: str
    build: str

    @property
    def name(self) -> str:
        """`mobilenet/host/local/1`: what `--only` looks at."""
        threads = "all" if self.threads is None else self.threads
        return f"{self.model.name}/{self.target.name}/{self.device or 'default'}/{threads}"


def cells(suite: Suite) -> Iterator[Cell]:
    """Every cell, model by model.   Raises OSError where a model cannot be read."""
    for model in suite.models:
        for target in suite.targets:
            made = {"model": content_digest(model.path), **_options(model), **_compiled(target)}
            build = "" if is_container(model.path) else _key(made | tools())
            for device in target.devices:
                for threads in target.threads or suite.threads:
                    place = {"device": device, "threads": threads, **_measured(suite, model)}
                    key = _key(made | tools() | place)
                    yield Cell(model, target, device, threads, key, build)


def _measured(suite: Suite, model: Model) -> dict[str, Any]:
    feeds = content_digest(model.feeds) if model.feeds else suite.seed
    limit = {"time_limit_s": suite.time_limit_s}
    return {"runs": suite.runs, "feeds": feeds, **limit, **machine()}


def is_container(path: Path) -> bool:
    """Whether a model of a suite is measured as it is."""
    return path.suffix == ".dlc"


def _options(model: Model) -> dict[str, Any]:
    return {
        "inputs": {name: list(shape) for name, shape in model.inputs.items()},
        "outputs": list(model.outputs),
        "signature": model.signature,
    }


def _compiled(target: Target) -> dict[str, Any]:
    names = ("target", "runtime", "fp16", "database")
    told = {name: getattr(target, name) for name in names}
    if target.database not in (None, "none"):
        told["records"] = content_digest(Path(str(target.database)))
    return told


def tools() -> dict[str, str]:
    """What makes and runs the code: versions of packages, and dlcc's own files."""
    return {"dlcc": _source_digest(), **{name: metadata.version(name) for name in TOOLS}}


def machine() -> dict[str, str]:
    """Which machine measures."""
    return {"machine": platform.machine(), "processor": processor()}


@cache
def content_digest(path: Path) -> str:
    """sha256 of a file's content, of a folder's files with their names, or of a checkpoint's."""
    digest = hashlib.sha256()
    if path.is_file():
        _add(digest, path)
    else:
        files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}.*")
        for file in sorted(file for file in files if file.is_file()):
            digest.update(f"\n{file.relative_to(path.parent)}\n".encode())
            _add(digest, file)
    return digest.hexdigest()


def _add(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)


@cache
def _source_digest() -> str:
    digest = hashlib.sha256()
    for package in PACKAGES:
        for name, content in sorted(_files(resources.files(package), package)):
            digest.update(f"\n{name}\n".encode() + content)
    return digest.hexdigest()


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for item in folder.iterdir():
        if item.is_dir() and item.name != "__pycache__":
            yield from _files(item, f"{prefix}/{item.name}")
        elif item.is_file() and not item.name.endswith(".pyc"):
            yield f"{prefix}/{item.name}", item.read_bytes()


def _key(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
