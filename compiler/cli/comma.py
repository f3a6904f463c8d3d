"""Rows as comma-separated values (RFC 4180): a header line, plain numbers, units in the names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import click

INNER = "; "  # between the parts of a cell


def show_csv(value: object) -> None:
    """Print a sequence of rows as a table, one dataclass as lines `field,value`.

    Rows within a dataclass are numbered fields: `targets.0.code_bytes,4096`."""
    if is_dataclass(value) and not isinstance(value, type):
        table: list[Sequence[object]] = [("field", "value"), *_paths("", asdict(value))]
    else:
        rows: Sequence[Any] = value  # type: ignore[assignment]
        names = [f.name for f in fields(rows[0])] if rows else []
        table = [names, *([_cell(getattr(row, name)) for name in names] for row in rows)]
    out = io.StringIO()
    csv.writer(out).writerows(table if table != [[]] else [])
    click.echo(out.getvalue(), nl=False)


def _paths(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Every plain value of a nested one, with the way to it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _paths(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        for number, inner in enumerate(value):
            yield from _paths(f"{path}.{number}", inner)
    else:
        yield path, _cell(value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return INNER.join(f"{key}={_cell(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return INNER.join(map(_cell, value))
    return str(value)
