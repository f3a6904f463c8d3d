"""A compiled model as the device sees it: its program, and what `model.json` says of it.

Everything is checked before it is run, since an artifact may be damaged or of another version.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from dlcc.targets.artifact import Artifact
from dlcc.targets.errors import DeviceError

FORMAT = 1
# Source: System V ABI, ELF-32 header; EM_HEXAGON and the flags' low byte, the architecture (0x66
# for v66), from LLVM's BinaryFormat/ELF.h.
ELF_HEADER = struct.Struct("<4s5B7xHHIIIIIHHHHHH")
SEGMENT = struct.Struct("<8I")
EM_HEXAGON = 164
LOAD = 1


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
class Model:
    """architecture: 66 for v66, that of the code. float_vectors: whether it computes with floats
    in HVX. kernels: in the order of the calls."""

    chip: str
    architecture: int
    float_vectors: bool
    program: bytes
    arena_bytes: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    kernels: tuple[Kernel, ...]


def read_model(artifact: Artifact) -> Model:
    """Raises DeviceError for code of another kind of target, and for what is damaged."""
    if artifact.kind != "hexagon":
        raise DeviceError(
            f"the code is for {artifact.chip}, not for a Hexagon DSP",
            hint="compile for the target `hexagon`",
        )
    program = bytes(artifact.files.get("model.elf", b""))
    try:
        model = _described(json.loads(artifact.files["model.json"]), program)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(f"model.json: {type(error).__name__}: {error}") from error
    if (architecture := _architecture(program)) != model.architecture:
        raise _damaged(f"model.elf is v{architecture} code, said to be v{model.architecture}")
    return model


def _described(told: Any, program: bytes) -> Model:
    if told["format"] != FORMAT:
        raise ValueError(f"format {told['format']!r} of another version, not {FORMAT}")
    profile = re.fullmatch(r"hexagonv(\d+)t?", told["profile"])
    if profile is None:
        raise ValueError(f"unknown profile {told['profile']!r}")
    return Model(
        chip=str(told["chip"]),
        architecture=int(profile[1]),
        float_vectors=bool(told.get("float_vectors", False)),
        program=program,
        arena_bytes=_natural(told["arena_bytes"]),
        inputs=tuple(map(_tensor, told["inputs"])),
        outputs=tuple(map(_tensor, told["outputs"])),
        kernels=tuple(map(_kernel, told["kernels"])),
    )


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


def _architecture(program: bytes) -> int:
    """Of an ELF file that is whole, as far as its segments go; raises DeviceError."""
    if len(program) < ELF_HEADER.size or program[:4] != b"\x7fELF":
        raise _damaged("model.elf is no ELF file")
    header = ELF_HEADER.unpack_from(program)
    _, bits, order, _, _, _, kind, machine, _, _, at, _, flags, _, size, count, *_ = header
    if (bits, order, kind, machine, size) != (1, 1, 2, EM_HEXAGON, SEGMENT.size):
        raise _damaged("model.elf is no program for Hexagon")
    if at + count * size > len(program):
        raise _damaged("model.elf is cut off")
    for i in range(count):
        segment, offset, _, _, length, *_ = SEGMENT.unpack_from(program, at + i * size)
        if segment == LOAD and offset + length > len(program):
            raise _damaged("model.elf is cut off")
    return _decimal(flags & 0xFF)


def _decimal(flags: int) -> int:
    """0x66 is v66: the digits are written as they are said."""
    return flags // 16 * 10 + flags % 16


def _damaged(what: str) -> DeviceError:
    return DeviceError(f"the code is damaged: {what}", hint="compile the model again")
