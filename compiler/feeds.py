"""What a user feeds, checked against what a model takes. Nothing is ever cast silently."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from dlcc.compiler.container.manifest import TensorSpec
from dlcc.compiler.container.tensors import DTYPES
from dlcc.compiler.errors import BadFeed, UsageError, did_you_mean

_NUMBERS = (bool, int, float, complex)
_PYTHON_KIND = {"b": "bool", "i": "int", "u": "int", "f": "float", "c": "complex"}
# Which kinds of dtype may take a Python number of a kind without a loss that nobody asked for.
_HOLDERS = {"b": "b", "i": "iufc", "u": "iufc", "f": "fc", "c": "c"}


def check_feeds(inputs: Sequence[TensorSpec], feeds: Mapping[str, object]) -> list[np.ndarray]:
    """Tensors in the model's order, C-contiguous and in native byte order.

    Names count with or without ":0". Arrays must have the very dtype of the input. Python numbers
    and lists of them have no width of their own: as in NumPy, floats become the input's floating
    dtype and whole numbers any dtype that holds them exactly; other changes are refused.
    Raises BadFeed.
    """
    if not isinstance(feeds, Mapping):
        raise BadFeed(
            f"inputs are given as {type(feeds).__name__}, not as a dict",
            hint=f"run({{{inputs[0].name!r}: x}})" if inputs else "",
        )
    given = _by_plain_name(feeds)
    specs = {plain_name(spec.name): spec for spec in inputs}
    known = [spec.name for spec in inputs]
    for name, (asked, _) in given.items():
        if name not in specs:
            hint = did_you_mean(asked, known) or f"the model takes: {', '.join(known)}"
            raise BadFeed(f"the model has no input named {asked!r}", hint=hint)
    if missing := [spec for name, spec in specs.items() if name not in given]:
        listed = ", ".join(f"{spec.name} ({spec})" for spec in missing)
        plural = "s" if len(missing) > 1 else ""
        raise BadFeed(f"no value for input{plural} {listed}")
    tensors = [_tensor(spec, given[name][1]) for name, spec in specs.items()]
    _check_shapes(inputs, tensors)
    return tensors


def as_pairs(tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Complex tensors (…) as a module takes them: real and imaginary parts, (…, 2)."""
    return [
        t.reshape(*t.shape, 1).view(t.real.dtype) if t.dtype.kind == "c" else t for t in tensors
    ]


def as_complex(spec: TensorSpec, result: np.ndarray) -> np.ndarray:
    """A module's result as the user sees it: pairs (…, 2) of a complex output as numbers (…)."""
    wanted = DTYPES[spec.dtype]
    if wanted.kind != "c" or result.dtype == wanted:
        return result
    return np.ascontiguousarray(result).view(wanted).reshape(result.shape[:-1])


def random_tensor(spec: TensorSpec, seed: int) -> np.ndarray:
    """Values for an input that depend on its name and the seed alone.

    Floats are of a normal distribution, 8-bit integers of their whole range, other integers 0 to 9
    (they are mostly indices), booleans 0 or 1. Raises UsageError for an open dimension.
    """
    if spec.shape is None or any(isinstance(d, str) for d in spec.shape):
        raise UsageError(
            f"input {spec.name} ({spec}) has open dimensions, so no random values can be made",
            hint=f"--input {spec.name}=FILE.npy",
        )
    rng = np.random.default_rng([seed, zlib.crc32(plain_name(spec.name).encode())])
    shape, dtype = [int(d) for d in spec.shape], DTYPES[spec.dtype]
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.itemsize == 1 else (0, 9)
        return rng.integers(low, high + 1, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def plain_name(name: str) -> str:
    """A tensor's name without the ":0" that TensorFlow appends to first outputs."""
    return name.removesuffix(":0")


def _by_plain_name(feeds: Mapping[str, object]) -> dict[str, tuple[str, object]]:
    """Plain name -> (name as given, value)."""
    given: dict[str, tuple[str, object]] = {}
    for name, value in feeds.items():
        if not isinstance(name, str):
            raise BadFeed(f"an input's name is {name!r}, not a text")
        if plain_name(name) in given:
            raise BadFeed(f"input {plain_name(name)!r} is given twice, with and without ':0'")
        given[plain_name(name)] = (name, value)
    return given


def _tensor(spec: TensorSpec, value: object) -> np.ndarray:
    """The value as an array of the input's dtype; raises BadFeed."""
    wanted = DTYPES[spec.dtype]
    if _is_plain_numbers(value):
        return _from_numbers(spec, value, wanted)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise BadFeed(f"input {spec.name!r} cannot be read as an array: {error}") from error
    if array.dtype.name != wanted.name:
        raise BadFeed(
            f"input {spec.name!r} has dtype {array.dtype}, the model takes {spec.dtype}",
            hint=_cast_hint(array.dtype, spec.dtype),
        )
    return np.ascontiguousarray(array, wanted).reshape(array.shape)


def _cast_hint(found: np.dtype, wanted: str) -> str:
    if found.kind not in "biufcV":
        return f"give an array of {wanted}"
    import_note = "import ml_dtypes, then " if DTYPES[wanted].kind == "V" else ""
    return f'{import_note}x.astype("{wanted}") converts it'


def _is_plain_numbers(value: object) -> bool:
    """Whether it is a Python number or nested lists of nothing else."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain_numbers, value))
    return isinstance(value, _NUMBERS) and not isinstance(value, np.generic)


def _from_numbers(spec: TensorSpec, value: object, wanted: np.dtype) -> np.ndarray:
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise BadFeed(f"input {spec.name!r} is a ragged list: its rows differ in length") from error
    if found.size == 0:
        return found.astype(wanted)
    refused = f"input {spec.name!r} takes {spec.dtype}"
    if found.dtype == object:
        raise BadFeed(f"{refused}, which cannot hold numbers as large as these")
    if _kind(wanted) not in _HOLDERS[found.dtype.kind]:
        raise BadFeed(
            f"{refused}, its value is a Python {_PYTHON_KIND[found.dtype.kind]}",
            hint=f'np.asarray(x, "{spec.dtype}") converts it',
        )
    with np.errstate(over="ignore"):
        result = found.astype(wanted)
    exact = found.dtype.kind not in "iu" or _same_integers(found, result)
    if not exact or not np.array_equal(np.isfinite(found), _finite(result)):
        raise BadFeed(f"{refused}, which cannot hold all of its values")
    return result


def _same_integers(found: np.ndarray, result: np.ndarray) -> bool:
    """Whether whole numbers came through a conversion; NumPy wraps them without a word."""
    if _kind(result.dtype) == "c":
        result = result.real
    pairs = zip(found.ravel().tolist(), result.ravel().tolist(), strict=True)
    return all(a == b for a, b in pairs)


def _finite(result: np.ndarray) -> np.ndarray:
    wide = result if result.dtype.kind != "V" else result.astype(np.float64)
    finite: np.ndarray = np.isfinite(wide)
    return finite


def _kind(dtype: np.dtype) -> str:
    """b, i, u, f or c; NumPy calls the dtypes of ml_dtypes "V"."""
    if dtype.kind != "V":
        return dtype.kind
    return dtype.name[0] if dtype.name.startswith(("int", "uint")) else "f"


def _check_shapes(specs: Sequence[TensorSpec], tensors: Sequence[np.ndarray]) -> None:
    """Ranks and sizes; one symbol stands for one size in all inputs. Raises BadFeed."""
    bound: dict[str, tuple[int, str]] = {}
    for spec, tensor in zip(specs, tensors, strict=True):
        if spec.shape is None:
            continue
        found = tensor.shape
        fits = len(found) == len(spec.shape) and all(
            isinstance(want, str) or want == have
            for want, have in zip(spec.shape, found, strict=True)
        )
        if not fits:
            raise BadFeed(
                f"input {spec.name!r} has shape {_shown(found)}, "
                f"the model takes {_shown(spec.shape)}",
                hint=_shape_hint(spec.shape, found),
            )
        for symbol, size in zip(spec.shape, found, strict=True):
            if not isinstance(symbol, str) or symbol == "?":
                continue
            before, where = bound.setdefault(symbol, (size, spec.name))
            if before != size:
                raise BadFeed(
                    f"dimension {symbol} is {before} in input {where!r} "
                    f"and {size} in input {spec.name!r}"
                )


def _shown(shape: Sequence[int | str]) -> str:
    inner = ", ".join(map(str, shape))
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def _shape_hint(wanted: Sequence[int | str], found: Sequence[int]) -> str:
    """What would make the shape fit, where a common slip explains it."""

    def fits(shape: Sequence[int]) -> bool:
        pairs = zip(wanted, shape, strict=True)
        return all(isinstance(w, str) or w == have for w, have in pairs)

    if len(found) == len(wanted) - 1 and fits((1, *found)):
        return "x[None] adds the batch dimension"
    if len(found) == len(wanted) <= 5:
        for axes in itertools.permutations(range(len(found))):
            if fits([found[a] for a in axes]):
                return f"x.transpose{_shown(axes)} has the model's order of dimensions"
    return ""
