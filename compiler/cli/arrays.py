"""Tensors in files: what `run` and `bench` read, and what `run -o` writes."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dlcc.compiler.container.manifest import TensorSpec
from dlcc.compiler.container.tensors import DTYPES
from dlcc.compiler.errors import BadFeed, UsageError, did_you_mean
from dlcc.compiler.feeds import check_feeds, plain_name, random_tensor

Arrays = dict[str, np.ndarray]


def gather_feeds(
    specs: Sequence[TensorSpec],
    files: Sequence[str],
    raw_dtype: str | None = None,
    seed: int | None = None,
) -> Arrays:
    """Values for every input: from files, and random ones for the rest where a seed is given.

    files: "NAME=FILE" with .npy, .npz or .raw (without header, C order), or "FILE.npz" for all
        inputs of these names.   raw_dtype: what .raw files hold, None: the input's dtype; other
        values than the input's dtype can hold are refused.
    Raises BadFeed, UsageError.
    """
    if raw_dtype is not None and raw_dtype not in DTYPES:
        hint = did_you_mean(raw_dtype, DTYPES) or "for instance float32"
        raise UsageError(f"no dtype named {raw_dtype!r}", hint=hint)
    by_name = {plain_name(spec.name): spec for spec in specs}
    feeds: Arrays = {}
    for text in files:
        name, equals, path = text.rpartition("=")
        if equals:
            spec = _spec_named(by_name, name)
            feeds[plain_name(spec.name)] = _read(spec, Path(path), raw_dtype)
        else:
            found = _load(Path(path))
            named = found if isinstance(found, dict) else {}
            if not named:
                raise UsageError(f"--input {text}: which input is it for?", hint="NAME=FILE")
            for key, array in named.items():
                spec = _spec_named(by_name, key)
                feeds[plain_name(key)] = _typed(array, spec.dtype)
    if seed is not None:
        missing = {n: s for n, s in by_name.items() if n not in feeds}
        feeds |= {n: random_tensor(s, seed) for n, s in missing.items()}
    check_feeds(specs, feeds)  # before a device is started, which takes its time
    return feeds


def _spec_named(specs: Mapping[str, TensorSpec], name: str) -> TensorSpec:
    if plain_name(name) in specs:
        return specs[plain_name(name)]
    hint = did_you_mean(name, specs) or f"the model takes: {', '.join(specs)}"
    raise BadFeed(f"the model has no input named {name!r}", hint=hint)


def _read(spec: TensorSpec, path: Path, raw_dtype: str | None) -> np.ndarray:
    """The tensor that a file has for an input."""
    if path.suffix == ".raw":
        return _read_raw(spec, path, raw_dtype or spec.dtype)
    found = _load(path)
    if isinstance(found, np.ndarray):
        return _typed(found, spec.dtype)
    by_name = {plain_name(key): array for key, array in found.items()}
    if plain_name(spec.name) in by_name:
        return _typed(by_name[plain_name(spec.name)], spec.dtype)
    if len(found) == 1:
        return _typed(next(iter(found.values())), spec.dtype)
    raise BadFeed(
        f"{path} has no array named {spec.name!r}", hint=f"it has: {', '.join(found) or 'none'}"
    )


def read_arrays(path: Path) -> Arrays:
    """All arrays of a .npz file; that of a .npy file under the name "". Raises BadFeed."""
    found = _load(path)
    return found if isinstance(found, dict) else {"": found}


def _load(path: Path) -> np.ndarray | Arrays:
    if path.suffix not in (".npy", ".npz"):
        raise UsageError(
            f"{path} is no file of tensors by its name", hint="dlcc reads .npy, .npz and .raw"
        )
    try:
        # Never with pickle: a .npy file could otherwise run code.
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return {name: found[name] for name in found.files}
    except FileNotFoundError as error:
        raise BadFeed(f"no such file: {path}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        line = (str(error).strip() or "damaged").splitlines()[0]
        raise BadFeed(
            f"{path} cannot be read: {line}", hint="np.save and np.savez of plain numbers write it"
        ) from error


def _typed(array: np.ndarray, dtype: str) -> np.ndarray:
    """The array as it was saved: .npy files forget the dtypes of ml_dtypes, but not their bits."""
    wanted = DTYPES[dtype]
    forgotten = array.dtype.kind == "V" and array.dtype.names is None and wanted.kind == "V"
    if forgotten and array.dtype != wanted and array.dtype.itemsize == wanted.itemsize:
        return array.view(wanted)
    return array


def _read_raw(spec: TensorSpec, path: Path, dtype: str) -> np.ndarray:
    """A tensor without header; one dimension that the model leaves open follows from its size."""
    try:
        flat = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise BadFeed(f"{path} cannot be read: {error.strerror or error}") from error
    shape, item_bytes = spec.shape, DTYPES[dtype].itemsize
    if shape is None or sum(isinstance(d, str) for d in shape) > 1:
        raise BadFeed(
            f"{path} says nothing of its shape, and input {spec.name} is {spec}",
            hint="give a .npy file",
        )
    open_dims = [d for d in shape if isinstance(d, str)]
    known = math.prod(d for d in shape if not isinstance(d, str)) * item_bytes
    count, rest = divmod(flat.size, known) if known else (0, flat.size)
    if rest or (not open_dims and count != 1 and flat.size != known):
        raise BadFeed(
            f"{path} has {flat.size} bytes; input {spec.name} ({spec}) takes "
            f"{'a multiple of ' if open_dims else ''}{known} as {dtype}",
            hint="--raw DTYPE says what the file holds",
        )
    array = flat.view(DTYPES[dtype]).reshape([count if isinstance(d, str) else d for d in shape])
    return _converted(array, spec, path)


def _converted(array: np.ndarray, spec: TensorSpec, path: Path) -> np.ndarray:
    """`--raw` asks for a conversion in so many words; values that it would change are refused."""
    wanted = DTYPES[spec.dtype]
    if array.dtype == wanted:
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        result = array.astype(wanted)
    if wanted.kind in "biu" and not np.array_equal(result.astype(array.dtype), array):
        raise BadFeed(f"{path} has values that {spec.dtype}, the dtype of {spec.name}, cannot hold")
    return result
