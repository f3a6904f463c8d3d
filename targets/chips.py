"""Chips: the rows of the tables in `data/`, as frozen values."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

TABLES = ("chips.toml", "opencl.toml")


@dataclass(frozen=True, slots=True)
class Gpu:
    """What kernels for a GPU may use, beyond what its `Chip` tells.

    work_group: most work-items of a work-group.   local_bytes: local memory of a work-group.
    subgroup: work-items that run in lockstep; 1 where each has vectors of its own, as on a CPU that
        runs OpenCL.
    fp16: whether it computes in half precision.   images: whether it has texture memory.
    unified_memory: whether it shares its memory with the CPU.
    host: TVM target, as its JSON dict, of the CPU beside it, which runs the rest of a model.
    half: whether a model is to be kept in half precision, which its user asks for.
    processor: whether it is no GPU at all, but a CPU that runs OpenCL.
    """

    work_group: int
    local_bytes: int
    subgroup: int
    fp16: bool
    images: bool
    unified_memory: bool
    host: Mapping[str, Any]
    half: bool = False
    processor: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    """One engine of one chip.

    tvm: TVM target as its JSON dict (kind, mcpu, mattr, mtriple, num-cores).
    vector_bits: width of the SIMD registers that schedules use.
    vector_registers: how many of them.
    cores: physical cores that a run may use.
    l1_bytes, l2_bytes: data caches of one core.
    source: where the numbers are from.
    float_vectors: whether floats may be computed in the engine's own vectors even where no
        emulator can run that (Hexagon from v68 on): for devices, whose code runs on them.
    gpu: of a GPU. Its cores are compute units, its vectors what a work-item loads at once, its
        registers those vectors that a work-item may keep without spilling, its caches those that
        are known, 0 where none is.
    """

    name: str
    kind: str
    summary: str
    tvm: Mapping[str, Any]
    cores: int
    vector_bits: int
    vector_registers: int
    l1_bytes: int
    l2_bytes: int
    source: str
    short_names: tuple[str, ...] = ()
    float_vectors: bool = False
    gpu: Gpu | None = None


@cache
def chips() -> Mapping[str, Chip]:
    """Every chip by its full name; `host` is not here: it is read off the machine."""
    folder = resources.files("dlcc.targets.data")
    rows: dict[str, dict[str, Any]] = {}
    for table in TABLES:
        rows |= tomllib.loads(folder.joinpath(table).read_text("utf-8"))
    return {
        name: Chip(
            name=name,
            **{
                **row,
                "short_names": tuple(row.get("short_names", ())),
                "gpu": Gpu(**row["gpu"]) if "gpu" in row else None,
            },
        )
        for name, row in rows.items()
    }


def chips_of(kind: str) -> tuple[Chip, ...]:
    """The chips of a kind of target, in the order of its table."""
    return tuple(chip for chip in chips().values() if chip.kind == kind)
