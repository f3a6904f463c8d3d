"""The results of a suite as rows, with ratios to a baseline."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from dlcc.compiler.bench.cells import Cell
from dlcc.compiler.bench.journal import Result
from dlcc.compiler.bench.suite import Suite
from dlcc.targets.atomic import written_whole

State = Literal["measured", "failed", "to do"]


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One cell. threads: None: all cores.   ratio: its cost by that of the baseline, of the same
    model, threads and unit; None where there is none.   state: "to do" has no result yet."""

    model: str
    target: str
    device: str
    threads: int | None
    runs: int | None
    min_s: float | None
    median_s: float | None
    p95_s: float | None
    counts: Mapping[str, int]
    ratio: float | None
    state: State
    error: str | None
    hint: str | None


def rows_of(suite: Suite, chosen: Sequence[Cell], results: Mapping[str, Result]) -> list[BenchRow]:
    """A row for each cell, in their order."""
    found = [(cell, results.get(cell.key)) for cell in chosen]
    return [_row(cell, result, _ratio(suite, found, cell, result)) for cell, result in found]


def percentile(times_s: Sequence[float], percent: int) -> float:
    """The nearest rank."""
    return sorted(times_s)[-(-percent * len(times_s) // 100) - 1]


def write_csv(rows: Sequence[BenchRow], path: Path) -> None:
    """Write a table for other programs, wholly or not at all.   Raises UsageError."""
    names = [field.name for field in fields(BenchRow)]
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(names)
    for row in rows:
        told = {name: getattr(row, name) for name in names}
        told["counts"] = " ".join(f"{name}={count}" for name, count in row.counts.items())
        table.writerow(["" if value is None else value for value in told.values()])
    with written_whole(path) as file:
        file.write(text.getvalue().encode("utf-8"))


def _row(cell: Cell, result: Result | None, ratio: float | None) -> BenchRow:
    times_s = result.times_s if result else ()
    error = result.error if result else ""
    return BenchRow(
        model=cell.model.name,
        target=cell.target.name,
        device=(result and result.device) or cell.device or "default",
        threads=cell.threads,
        runs=len(times_s) or None,
        min_s=min(times_s, default=None),
        median_s=statistics.median(times_s) if times_s else None,
        p95_s=percentile(times_s, 95) if times_s else None,
        counts=result.counts if result else {},
        ratio=ratio,
        state="to do" if result is None else "failed" if error else "measured",
        error=error or None,
        hint=(result and result.hint) or None,
    )


def _ratio(
    suite: Suite,
    found: Sequence[tuple[Cell, Result | None]],
    cell: Cell,
    result: Result | None,
) -> float | None:
    name, _, device = suite.baseline.partition("@")
    for other, base in found:
        same = (other.model.name, other.threads) == (cell.model.name, cell.threads)
        if same and other.target.name == name and device in ("", other.device):
            return _over(result, base)
    return None


def _over(result: Result | None, base: Result | None) -> float | None:
    """The cost of one result by another's, where both were measured in the same unit."""
    if result is None or base is None:
        return None
    if result.times_s and base.times_s:
        return statistics.median(result.times_s) / statistics.median(base.times_s)
    unit = next(iter(base.counts), None)
    if unit is None or next(iter(result.counts), None) != unit or not base.counts[unit]:
        return None
    return result.counts[unit] / base.counts[unit]
