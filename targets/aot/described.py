"""What `model.json` says of a program, checked: it may be damaged or of another version."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from dlcc.targets.aot.program import FORMAT
from dlcc.targets.errors import BadFeed, DeviceError


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output: C order, little-endian, `size_bytes` in all."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Kernel:
    """One call of a kernel. sources: what of the graph it computes. macs: multiply-accumulates
    of one call, None where the compiler does not know."""

    name: str
    sources: tuple[str, ...]
    macs: int | None


@dataclass(frozen=True, slots=True)
class Described:
    """profile: LLVM's name of the processor of the code. kernels: in the order of the calls."""

    chip: str
    profile: str
    arena_bytes: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    kernels: tuple[Kernel, ...]


def described(told: Any) -> Described:
    """Of the parsed JSON; raises KeyError, ValueError, TypeError or AttributeError."""
    if told["format"] != FORMAT:
        raise ValueError(f"format {told['format']!r} of another version, not {FORMAT}")
    return Described(
        chip=str(told["chip"]),
        profile=str(told["profile"]),
        arena_bytes=_natural(told["arena_bytes"]),
        inputs=tuple(map(_tensor, told["inputs"])),
        outputs=tuple(map(_tensor, told["outputs"])),
        kernels=tuple(map(_kernel, told["kernels"])),
    )


def damaged(what: str) -> DeviceError:
    """The error for an artifact that is not what it says."""
    return DeviceError(f"the code is damaged: {what}", hint="compile the model again")


def bytes_of(tensor: Tensor, value: np.ndarray) -> bytes:
    """An input in C order; raises BadFeed."""
    value = np.asarray(value)
    if value.shape != tensor.shape or value.dtype != tensor.dtype:
        raise BadFeed(
            f"input {tensor.name!r} is {value.dtype}{list(value.shape)}, "
            f"the model takes {tensor.dtype}{list(tensor.shape)}"
        )
    return value.tobytes()


def bytes_of_all(tensors: tuple[Tensor, ...], values: Any) -> list[bytes]:
    """All inputs; raises BadFeed."""
    if len(values) != len(tensors):
        raise BadFeed(f"the model takes {len(tensors)} inputs, {len(values)} were given")
    return [bytes_of(t, x) for t, x in zip(tensors, values, strict=True)]


def arrays_of(tensors: tuple[Tensor, ...], content: bytes) -> list[np.ndarray]:
    """Outputs that lie one after another; writeable, as other devices give them."""
    arrays, at = [], 0
    for tensor in tensors:
        own = bytearray(content[at : at + tensor.size_bytes])
        arrays.append(np.frombuffer(own, np.uint8).view(tensor.dtype).reshape(tensor.shape))
        at += tensor.size_bytes
    return arrays


def _tensor(told: Any) -> Tensor:
    name = str(told["dtype"])
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    shape = tuple(map(_natural, told["shape"]))
    size_bytes = _natural(told["bytes"])
    if math.prod(shape) * dtype.itemsize != size_bytes:
        raise ValueError(f"{told['name']!r} of {name}{list(shape)} has not {size_bytes} bytes")
    return Tensor(str(told["name"]), dtype, shape, size_bytes)


def _kernel(told: Any) -> Kernel:
    macs = told.get("macs")
    sources = tuple(map(str, told.get("sources", ())))
    return Kernel(str(told["name"]), sources, None if macs is None else _natural(macs))


def _natural(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no size")
    return value
