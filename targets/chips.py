"""Chips: the rows of `data/chips.toml`, as frozen values."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


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


@cache
def chips() -> Mapping[str, Chip]:
    """Every chip by its full name; `host` is not here: it is read off the machine."""
    text = resources.files("dlcc.targets.data").joinpath("chips.toml").read_text("utf-8")
    rows: dict[str, dict[str, Any]] = tomllib.loads(text)
    return {
        name: Chip(name=name, **{**row, "short_names": tuple(row.get("short_names", ()))})
        for name, row in rows.items()
    }
