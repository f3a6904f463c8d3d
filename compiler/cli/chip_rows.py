"""Chips as rows."""

from __future__ import annotations

from dataclasses import dataclass

from dlcc.targets.registry import KINDS, kind


@dataclass(frozen=True, slots=True)
class ChipRow:
    """A chip. device: where its code runs unless another is named."""

    target: str
    kind: str
    short_names: tuple[str, ...]
    cores: int
    device: str
    summary: str


def chip_rows() -> list[ChipRow]:
    """Every chip of every kind, each kind's default first."""
    return [
        ChipRow(
            chip.name, name, chip.short_names, chip.cores, kind(name).default_device, chip.summary
        )
        for name in KINDS
        for chip in kind(name).chips()
    ]
