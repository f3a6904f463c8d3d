"""Profiles as one HTML file that needs no network: tables that sort, with bars."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlcc.compiler.profile.calls import Call, Calls, cost_text
from dlcc.compiler.profile.compare import Comparison
from dlcc.compiler.profile.nodes import NodeProfile
from dlcc.compiler.profile.rows import ratio
from dlcc.compiler.profile.script import SCRIPT, STYLE
from dlcc.targets.atomic import written_whole
from dlcc.tuning.report.page import text
from dlcc.tuning.report.style import STYLE as SHARED_STYLE

KEYS = "Press / to search, the arrows to move in a table, Enter on a heading to sort."
MANY = 3  # nodes of a call that are shown at once


@dataclass(frozen=True, slots=True)
class Cell:
    """value: what a column is sorted by, None for text.   bar: 0 to 1, its length."""

    shown: str
    value: float | None = None
    bar: float | None = None
    long: Sequence[str] = ()


def write_page(
    profiles: Sequence[Calls],
    nodes: Sequence[NodeProfile],
    comparison: Comparison | None,
    path: Path,
) -> None:
    """Write a page to a file, wholly or not at all.   Raises UsageError."""
    with written_whole(path) as file:
        file.write(page(profiles, nodes, comparison).encode("utf-8"))


def page(
    profiles: Sequence[Calls], nodes: Sequence[NodeProfile], comparison: Comparison | None = None
) -> str:
    """The page of one profile, or of two and what they have in common."""
    title = text(" and ".join(of.name for of in profiles))
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    body = "".join(_compared(comparison)) if comparison else ""
    body += "".join("".join(_profile(of, by)) for of, by in zip(profiles, nodes, strict=True))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        # whatever a name in a model may hold, nothing of it is run or fetched
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Profile of {title}</title><style>{SHARED_STYLE}{STYLE}</style></head><body>"
        f"<h1>Profile of {title}</h1>"
        f'<p class="small"><label>Search <input type="search" id="search"></label> {KEYS}</p>'
        f"{body}<script>{SCRIPT}</script></body></html>\n"
    )


def _profile(of: Calls, by: NodeProfile) -> Iterator[str]:
    yield f"<section><h2>{text(of.name)}: {text(of.target)} on {text(of.device)}</h2><dl>"
    facts = [("one inference", _total(of.cost, of.unit)), ("calls", f"{len(of.calls):,}")]
    if macs := sum(call.macs or 0 for call in of.calls):
        facts += [("multiply-accumulates", f"{macs:,}"), ("rate", _rate(macs, of.cost, of.unit))]
    if of.peak:
        facts.append(("peak", of.peak))
    yield from (f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts)
    yield "</dl><h3>Calls</h3>"
    largest = max((call.share for call in of.calls), default=1.0) or 1.0
    titles = ("call", "where", "kernel", of.unit, "share", "MACs", "rate", "of peak")
    moved = f"bytes a {of.unit.removesuffix('s')}"
    yield from _table(
        (*titles, moved, "nodes"), [_call(call, of.unit, largest) for call in of.calls]
    )
    yield f'<h3>Nodes</h3><p class="small">An estimate: {text(by.estimate)}.</p>'
    largest = max((row.share for row in by.nodes), default=1.0) or 1.0
    rows = [
        (
            Cell(row.node or f"({', '.join(row.kernels)})"),
            _cost(row.time_s if row.time_s is not None else sum(row.counts.values()), of.unit),
            _share(row.share, largest),
            _count(row.macs),
            Cell("estimate" if row.estimated else "measured"),
            Cell("", long=row.kernels),
        )
        for row in by.nodes
    ]
    yield from _table(("node", of.unit, "share", "MACs", "how", "kernels"), rows)
    yield "</section>"


def _call(call: Call, unit: str, largest: float) -> Sequence[Cell]:
    rate, moved = ratio(call.macs, call.cost), ratio(call.bytes, call.cost)
    return (
        Cell(str(call.number), call.number),
        Cell(call.placement),
        Cell(call.kernel),
        _cost(call.cost, unit),
        _share(call.share, largest),
        _count(call.macs),
        Cell(_scaled(rate), rate or 0.0),
        Cell("-", 0.0)
        if call.of_peak is None
        else Cell(f"{call.of_peak:.0%}", call.of_peak, min(1.0, call.of_peak)),
        Cell(_scaled(moved), moved or 0.0),
        Cell("", long=call.nodes),
    )


def _compared(both: Comparison) -> Iterator[str]:
    yield "<section><h2>Side by side</h2><dl>"
    for name, of, cost, unit in (
        ("A", both.profile_a, both.a_s if both.a is None else both.a, both.unit_a),
        ("B", both.profile_b, both.b_s if both.b is None else both.b, both.unit_b),
    ):
        yield f"<dt>{name}</dt><dd>{text(of)}: {text(_total(cost or 0.0, unit))}</dd>"
    if both.ratio is not None:
        yield f"<dt>B / A</dt><dd>{both.ratio:.3f}</dd>"
    yield "</dl>"
    largest = max((max(p.share_a, p.share_b) for p in both.pairs), default=1.0) or 1.0
    rows = [
        (
            Cell("", long=p.nodes or (*p.kernels_a, *p.kernels_b)),
            _cost(p.a_s if p.a is None else p.a, both.unit_a),
            _share(p.share_a, largest),
            _cost(p.b_s if p.b is None else p.b, both.unit_b),
            _share(p.share_b, largest),
            Cell("-", 0.0) if p.ratio is None else Cell(f"{p.ratio:.2f}", p.ratio),
            Cell(f"only {p.only.upper()}" if p.only else ""),
            Cell("", long=p.kernels_a),
            Cell("", long=p.kernels_b),
        )
        for p in both.pairs
    ]
    titles = ("nodes", "A", "share of A", "B", "share of B", "B / A", "where", "kernels of A")
    yield from _table((*titles, "kernels of B"), rows)
    yield "</section>"


def _cost(cost: float | None, unit: str) -> Cell:
    return Cell(cost_text(cost, unit), cost or 0.0)


def _share(share: float, largest: float) -> Cell:
    return Cell(f"{share:.1%}", share, share / largest)


def _count(count: int | None) -> Cell:
    return Cell("-" if count is None else f"{count:,}", count or 0)


def _total(cost: float, unit: str) -> str:
    return cost_text(cost, unit) if unit == "seconds" else f"{cost_text(cost, unit)} {unit}"


def _rate(macs: int, cost: float, unit: str) -> str:
    return f"{_scaled(ratio(macs, cost))} multiply-accumulates a {unit.removesuffix('s')}"


def _scaled(value: float | None) -> str:
    """`31.2 G`"""
    if value is None:
        return "-"
    for factor, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{name}"
    return f"{value:.3g}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    numbers = {n for row in rows for n, cell in enumerate(row) if cell.value is not None}
    yield '<div class="scroll"><table class="sorts"><thead><tr>'
    for n, title in enumerate(titles):
        right = ' class="n"' if n in numbers else ""
        yield f'<th{right}><button type="button">{text(title)}</button></th>'
    yield "</tr></thead><tbody>"
    for row in rows:
        yield f'<tr tabindex="-1">{"".join(map(_cell, row))}</tr>'
    yield "</tbody></table></div>"


def _cell(cell: Cell) -> str:
    if cell.long:
        first, rest = cell.long[:MANY], cell.long[MANY:]
        more = "".join(f"<br>{text(name)}" for name in rest)
        shown = "<br>".join(map(text, first))
        folded = f"<details><summary>{len(rest)} more</summary>{more[4:]}</details>" if rest else ""
        return f"<td>{shown}{folded}</td>"
    if cell.value is None:
        return f"<td>{text(cell.shown)}</td>"
    bar = "" if cell.bar is None else f'<i style="width:{100 * cell.bar:.1f}%"></i>'
    return f'<td class="n" data-v="{cell.value!r}">{bar}<span>{text(cell.shown)}</span></td>'
