"""A look into a Keras model before it is loaded: what it would run that is not Keras's own."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlcc.compiler.errors import ModelError, ToolchainError, UnreadableModel

MAX_CONFIG_BYTES = 64 << 20
# what a configuration may name: Keras's own building blocks, but not its tools, which open files
# and download
_ALLOWED = (
    "keras.activations", "keras.constraints", "keras.dtype_policies", "keras.initializers",
    "keras.layers", "keras.models", "keras.ops", "keras.quantizers", "keras.random",
    "keras.regularizers",
)  # fmt: skip


def refuse_foreign_code(path: Path) -> None:
    """Raises ModelError for Lambda layers and for classes outside Keras; UnreadableModel."""
    try:
        text = _config_of_zip(path) if zipfile.is_zipfile(path) else _config_of_hdf5(path)
        config = json.loads(text)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, RecursionError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnreadableModel(
            f"{path} is no Keras model, or is damaged: {line}",
            hint="model.save('model.keras') writes one; save_weights alone does not",
        ) from error
    parts = list(_parts(config))
    lambdas = [name for name, kind, _ in parts if kind == "Lambda"]
    if lambdas or any(kind == "__lambda__" for _, kind, _ in parts):
        raise ModelError(
            f"{path} has Lambda layers ({', '.join(lambdas[:4]) or 'lambda'}), which are Python "
            "code of the model; dlcc never runs that",
            hint="use layers of Keras or keras.ops, or export the model as a SavedModel",
        )
    foreign = [f"{name} ({module}.{kind})" for name, kind, module in parts if _is_foreign(module)]
    if foreign:
        raise ModelError(
            f"{path} needs Python code that is not Keras's: {', '.join(foreign[:4])}",
            hint="export the model as a SavedModel, which holds what the code computes",
        )


def _is_foreign(module: str) -> bool:
    public = module.replace("keras.src", "keras", 1).removeprefix("tensorflow.").removeprefix("tf.")
    return public not in ("", "keras") and not any(
        public == allowed or public.startswith(allowed + ".") for allowed in _ALLOWED
    )


def _parts(config: Any) -> Iterator[tuple[str, str, str]]:
    """(name, class, module) of the model and all its parts; what training needs is left out."""
    stack = [config]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack += reversed(part)
        elif isinstance(part, dict):
            kind = part.get("class_name")
            if isinstance(kind, str):
                inner = part.get("config")
                name = inner.get("name") if isinstance(inner, dict) else None
                yield str(name or part.get("name") or kind), kind, str(part.get("module") or "")
            training = ("compile_config", "training_config")  # not read: compile=False
            stack += reversed([v for k, v in part.items() if k not in training])


def _config_of_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo("config.json").file_size > MAX_CONFIG_BYTES:
            raise ValueError("its configuration is too large")
        return archive.read("config.json")


def _config_of_hdf5(path: Path) -> str | bytes:
    try:
        import h5py
    except ImportError as error:
        raise ToolchainError(
            f"{path} is an HDF5 file, and h5py is not installed",
            hint="pip install 'dlcc[tensorflow]'",
        ) from error
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ValueError("it holds weights without a model")
        config: str | bytes = file.attrs["model_config"]
        return config
