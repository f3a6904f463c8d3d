"""One difference, and the sections that differences are sorted into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Section = Literal[
    "interface",
    "structure",
    "names",
    "shapes",
    "attributes",
    "quantization",
    "weights",
    "metadata",
    "artifacts",
]
SECTIONS: tuple[Section, ...] = get_args(Section)
Change = Literal["added", "removed", "renamed", "changed"]


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One difference of B from A.

    name: of the layer, input, output or target in A, in B where A has none.   what: of it differs.
    a, b: what it is here and there, "" where it is not there.
    max_absolute, mean_absolute: of |a - b| of a weight; cosine: of the angle between both, None
    where one is all zero.   beyond: elements that differ by more than the tolerance.
    counts: whether it makes A and B differ: what only one of them can have does not.
    """

    section: Section
    change: Change
    name: str
    what: str
    a: str = ""
    b: str = ""
    max_absolute: float | None = None
    mean_absolute: float | None = None
    cosine: float | None = None
    beyond: int | None = None
    counts: bool = True
