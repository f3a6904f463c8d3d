"""Rows and records as tables for people or JSON for programs.

A table's cells follow from field names: `size_bytes` is shown in kB or MB, `min_s` in ms,
`share` in per cent.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from itertools import zip_longest
from typing import Any

import click

GAP = "  "
WIDEST = 200  # of a column: longer cells, such as commands, take several lines
SHARES = ("share", "of_peak", "share_a", "share_b")  # fields that are shown in per cent


def show(value: object, as_json: bool) -> None:
    """Print a dataclass or a sequence of them on stdout."""
    if as_json:
        plain = asdict(value) if _is_row(value) else [asdict(row) for row in value]  # type: ignore
        click.echo(jsonable_text(plain))
        return
    for line in _record(value) if _is_row(value) else _table(value):  # type: ignore[arg-type]
        click.echo(line)


def jsonable_text(plain: object) -> str:
    """Plain values as JSON; infinities and NaN become null."""
    return json.dumps(_jsonable(plain), indent=2, ensure_ascii=False, allow_nan=False)


def _is_row(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _jsonable(value: object) -> object:
    """Without what JSON has no word for: infinities and NaN become null."""
    if isinstance(value, dict):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _record(value: Any) -> Iterator[str]:
    """`name: value` lines, then a table for each field that holds rows; nothing of empty fields."""
    named = {f.name: getattr(value, f.name) for f in fields(value)}
    plain = {k: v for k, v in named.items() if not _is_empty(v) and not _holds_rows(v)}
    width = max((len(_title(k)) for k in plain), default=0)
    for name, content in plain.items():
        yield click.style(_title(name).ljust(width), bold=True) + GAP + _cell(name, content)
    for name, rows in named.items():
        if _holds_rows(rows):
            yield ""
            yield click.style(_title(name), bold=True)
            yield from _table(rows)


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, list | tuple | Mapping) and not value)


def _holds_rows(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and _is_row(value[0])


def _table(rows: Sequence[Any]) -> Iterator[str]:
    """Aligned columns, numbers to the right; long cells are wrapped, nothing is ever cut off."""
    if not rows:
        return
    names = [f.name for f in fields(rows[0])]
    shown = [n for n in names if any(not _is_empty(getattr(row, n)) for row in rows)]
    cells = [
        line
        for row in rows
        for line in zip_longest(*(_wrapped(_cell(n, getattr(row, n))) for n in shown), fillvalue="")
    ]
    titles = [_title(n) for n in shown]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    right = [all(_is_number(getattr(row, n)) for row in rows) for n in shown]

    def line(texts: Sequence[str]) -> str:
        padded = [
            t.rjust(w) if r else t.ljust(w) for t, w, r in zip(texts, widths, right, strict=True)
        ]
        return GAP.join(padded).rstrip()

    yield click.style(line(titles), underline=True)
    yield from map(line, cells)


def _wrapped(cell: str) -> list[str]:
    return textwrap.wrap(cell, WIDEST, break_on_hyphens=False) if len(cell) > WIDEST else [cell]


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _title(name: str) -> str:
    for unit in ("_bytes", "_s"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(name, value)
    if _is_row(value):
        return _cell(name, asdict(value))  # type: ignore[call-overload]
    if isinstance(value, Mapping):
        return _printable(", ".join(f"{k} {_cell(k, v)}" for k, v in value.items()))
    if isinstance(value, list | tuple):
        inner = ", ".join(map(str, value))
        return _printable(f"[{inner}]" if name == "shape" else inner)
    return _printable(str(value))


def _number(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return size(int(value))
    if name in SHARES:
        return f"{value:.1%}"
    if name.endswith("_s"):
        return f"{value * 1e3:.3f} ms"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def size(size_bytes: int) -> str:
    """`1.2 MB`, in powers of 1000."""
    scaled = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if scaled < 1000:
            return f"{scaled:.0f} B" if unit == "B" else f"{scaled:.1f} {unit}"
        scaled /= 1000
    return f"{scaled:.1f} GB"


def _printable(text: str) -> str:
    """Names in a file may hold control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
