"""Compares two models, containers or DLCs: `dlcc diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dlcc.compiler.diff.artifacts import artifact_rows, metadata_rows
from dlcc.compiler.diff.layers import LayerDiff, Tolerance, interface_rows, open_symbols
from dlcc.compiler.diff.match import Graph, Matching, match
from dlcc.compiler.diff.rows import SECTIONS, DiffRow
from dlcc.compiler.errors import Mismatch, UsageError
from dlcc.compiler.inspect.source import Source, open_source
from dlcc.compiler.network.network import Dim, Network
from dlcc.compiler.network.read import refuse_choices

if TYPE_CHECKING:
    from dlcc.compiler.user_ops.load import OpsGiven

Shapes = Mapping[str, Sequence[Dim | None] | None]


class Options(NamedTuple):
    """How files are read: what `open_source` takes after the path."""

    signature: str | None
    tag: str | None
    inputs: Shapes | None
    outputs: Sequence[str] | None
    ops: OpsGiven


@dataclass(frozen=True, slots=True)
class Diff:
    """B against A. equal: whether no row counts.

    matched: layers that stand in both.   counted: section -> rows that count.
    """

    a: str
    b: str
    forms: tuple[str, str]
    layers: tuple[int, int]
    matched: int
    equal: bool
    counted: Mapping[str, int]
    rows: tuple[DiffRow, ...]


def diff(
    a: str | Path,
    b: str | Path,
    *,
    sections: Sequence[str] = SECTIONS,
    rtol: float = 0.0,
    atol: float = 0.0,
    signature: str | None = None,
    tag: str | None = None,
    inputs: Shapes | None = None,
    outputs: Sequence[str] | None = None,
    ops: OpsGiven = (),
) -> Diff:
    """Every difference of B from A: .pb, SavedModel, checkpoint or .dlc, in any mixture.

    sections: what to compare, see `SECTIONS`.   rtol, atol: of weights, |a - b| <= atol + rtol *
    |a|; 0: they are to be equal.   signature: of both.   tag, inputs, outputs, ops: of those that
    are models, as for `compile`.   Nothing is executed.
    Raises UsageError, BadContainer, UnreadableModel, ModelError."""
    _require_sections(sections)
    options = Options(signature, tag, inputs, outputs, ops)
    ours, theirs = _opened(a, options), _opened(b, options)
    if not (ours[0].is_model or theirs[0].is_model):
        refuse_choices(ours[0].path, tag, inputs, outputs, ops)
    networks = ours[1], theirs[1]
    matching = match(*networks)
    found = _rows((ours[0], theirs[0]), networks, matching, Tolerance(rtol, atol))
    found = [row for row in found if row.section in sections]
    rows = sorted(found, key=lambda row: SECTIONS.index(row.section))
    counted = Counter(row.section for row in rows if row.counts)
    return Diff(
        a=str(a),
        b=str(b),
        forms=(networks[0].form, networks[1].form),
        layers=(len(networks[0].layers), len(networks[1].layers)),
        matched=len(matching.pairs),
        equal=not counted,
        counted={name: counted[name] for name in SECTIONS if counted[name]},
        rows=tuple(rows),
    )


def chosen(only: Sequence[str], ignored: Sequence[str]) -> tuple[str, ...]:
    """The sections to compare: these alone, all by default, without those to ignore."""
    _require_sections((*only, *ignored))
    return tuple(s for s in SECTIONS if s not in ignored and (not only or s in only))


def _require_sections(names: Sequence[str]) -> None:
    if odd := [name for name in names if name not in SECTIONS]:
        raise UsageError(f"there is no section {odd[0]!r}", hint=f"there are {', '.join(SECTIONS)}")


def require_equal(found: Diff) -> None:
    """Raises Mismatch (exit code 1) where A and B differ."""
    if not found.equal:
        told = ", ".join(f"{count} of {name}" for name, count in found.counted.items())
        raise Mismatch(
            f"{found.a} and {found.b} differ: {told}",
            hint="--only and --ignore choose what counts, --rtol and --atol what equal weights are",
        )


def _opened(path: str | Path, options: Options) -> tuple[Source, Network]:
    source = open_source(path, options.signature)
    if source.is_model:
        source = open_source(path, *options)
    return source, source.network()


def _rows(
    sources: tuple[Source, Source],
    networks: tuple[Network, Network],
    matching: Matching,
    tolerance: Tolerance,
) -> list[DiffRow]:
    symbols = open_symbols(*networks)
    a, b = map(Graph, networks)
    return [
        *interface_rows(*networks, symbols),
        *LayerDiff(a, b, matching, tolerance, symbols).rows(),
        *metadata_rows(*sources, networks),
        *artifact_rows(*sources),
    ]
