"""Measures the cells of a suite that have no result yet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from dlcc.compiler.bench.cells import Cell, cells, content_digest, is_container
from dlcc.compiler.bench.jobs import Child, Job, JobError
from dlcc.compiler.bench.journal import Journal, Result
from dlcc.compiler.bench.suite import Suite
from dlcc.compiler.bench.table import BenchRow, rows_of
from dlcc.compiler.errors import UsageError, did_you_mean

log = logging.getLogger("dlcc")

COMPILE_LIMIT_S = 3600.0
Told = Callable[[str], None]


def run_suite(
    suite: Suite, output: Path | None = None, only: Sequence[str] = (), dry: bool = False
) -> list[BenchRow]:
    """A row for each cell. What has a result in the file already is not measured again; what failed
    is tried again.

    output: the file of results; default: beside the suite.   only: patterns of names of cells.
    dry: measure nothing, tell what would be.   Raises UsageError, BadRecords."""
    content_digest.cache_clear()  # the files may have changed since another call
    chosen = _chosen(list(cells(suite)), only)
    path = output or suite.results
    if dry:
        known = {}
        if path.exists():
            with Journal(path) as journal:
                known = dict(journal.results)
        return rows_of(suite, chosen, known)
    with Journal(path) as journal:
        failed: dict[str, JobError] = {}
        for number, cell in enumerate(chosen, 1):
            if (known_result := journal.results.get(cell.key)) and not known_result.error:
                continue
            log.info("%d of %d: %s", number, len(chosen), cell.name)
            result = _measured(suite, cell, failed)
            journal.add(result)
            if result.error:
                log.warning("%s: %s", cell.name, result.error)
        return rows_of(suite, chosen, journal.results)


def _chosen(all_cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """Those whose name a pattern fits, or one of the parts of it."""

    def fits(cell: Cell) -> bool:
        names = [cell.name, *cell.name.split("/")]
        return not only or any(fnmatchcase(name, pattern) for name in names for pattern in only)

    if found := [cell for cell in all_cells if fits(cell)]:
        return found
    parts = {part for cell in all_cells for part in (cell.model.name, cell.target.name)}
    hint = did_you_mean(only[0], parts) or f"for instance {all_cells[0].name}"
    raise UsageError(f"no cell fits --only {' '.join(only)}", hint=hint)


def _measured(suite: Suite, cell: Cell, failed: dict[str, JobError]) -> Result:
    """The result of a cell. failed: containers that could not be made, each tried once."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        if cell.build in failed:
            raise failed[cell.build]
        container = _container(suite, cell, failed)
        with Child(_job(suite, cell, container)) as child:
            told = child.answer(suite.cell_limit_s)
    except JobError as error:
        return Result(cell.key, cell.name, error=error.what, hint=error.hint, at=now)
    times_s = tuple(told.pop("times_s"))
    return Result(cell.key, cell.name, times_s=times_s, at=now, **told)


def _container(suite: Suite, cell: Cell, failed: dict[str, JobError]) -> Path:
    """The cell's code: the model itself, or out of the cache, compiled if it is not there."""
    if is_container(cell.model.path):
        return cell.model.path
    path = suite.cache / f"{cell.build}.dlc"
    if path.is_file():
        return path
    try:
        suite.cache.mkdir(exist_ok=True)
    except OSError as error:
        what = f"cannot make the folder {suite.cache}: {error.strerror or error}"
        raise UsageError(what) from error
    target = cell.target
    how = {
        "target": target.target,
        "inputs": {name: list(shape) for name, shape in cell.model.inputs.items()} or None,
        "outputs": list(cell.model.outputs) or None,
        "database": target.database,
        "signature": cell.model.signature,
        "runtime": target.runtime,
        "fp16": target.fp16,
    }
    log.info("compiling %s for %s", cell.model.path, target.name)
    try:
        with Child(Job("compile", str(path), str(cell.model.path), how)) as child:
            child.answer(COMPILE_LIMIT_S)
    except JobError as error:
        failed[cell.build] = error
        raise
    return path


def _job(suite: Suite, cell: Cell, container: Path) -> Job:
    target = cell.target.target if is_container(cell.model.path) else None
    return Job(
        "measure",
        str(container),
        signature=cell.model.signature if is_container(cell.model.path) else None,
        place=(cell.device, target, cell.threads, suite.time_limit_s),
        feeds=(str(cell.model.feeds),) if cell.model.feeds else (),
        seed=suite.seed,
        runs=suite.runs,
    )
