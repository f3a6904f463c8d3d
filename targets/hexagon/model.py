"""A compiled model as the device sees it: its program, and what `model.json` says of it.

Everything is checked before it is run, since an artifact may be damaged or of another version.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from typing import Any

from dlcc.targets.aot.described import Kernel, Tensor, damaged, described
from dlcc.targets.artifact import Artifact
from dlcc.targets.errors import DeviceError

# Source: System V ABI, ELF-32 header; EM_HEXAGON and the flags' low byte, the architecture (0x66
# for v66), from LLVM's BinaryFormat/ELF.h.
ELF_HEADER = struct.Struct("<4s5B7xHHIIIIIHHHHHH")
SEGMENT = struct.Struct("<8I")
EM_HEXAGON = 164
LOAD = 1


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
        raise damaged(f"model.json: {type(error).__name__}: {error}") from error
    if (architecture := _architecture(program)) != model.architecture:
        raise damaged(f"model.elf is v{architecture} code, said to be v{model.architecture}")
    return model


def _described(told: Any, program: bytes) -> Model:
    profile = re.fullmatch(r"hexagonv(\d+)t?", told["profile"])
    if profile is None:
        raise ValueError(f"unknown profile {told['profile']!r}")
    own = described(told)
    return Model(
        own.chip,
        int(profile[1]),
        bool(told.get("float_vectors", False)),
        program,
        own.arena_bytes,
        own.inputs,
        own.outputs,
        own.kernels,
    )


def _architecture(program: bytes) -> int:
    """Of an ELF file that is whole, as far as its segments go; raises DeviceError."""
    if len(program) < ELF_HEADER.size or program[:4] != b"\x7fELF":
        raise damaged("model.elf is no ELF file")
    header = ELF_HEADER.unpack_from(program)
    _, bits, order, _, _, _, kind, machine, _, _, at, _, flags, _, size, count, *_ = header
    if (bits, order, kind, machine, size) != (1, 1, 2, EM_HEXAGON, SEGMENT.size):
        raise damaged("model.elf is no program for Hexagon")
    if at + count * size > len(program):
        raise damaged("model.elf is cut off")
    for i in range(count):
        segment, offset, _, _, length, *_ = SEGMENT.unpack_from(program, at + i * size)
        if segment == LOAD and offset + length > len(program):
            raise damaged("model.elf is cut off")
    return _decimal(flags & 0xFF)


def _decimal(flags: int) -> int:
    """0x66 is v66: the digits are written as they are said."""
    return flags // 16 * 10 + flags % 16
