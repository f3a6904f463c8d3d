"""`dlcc bench`: one container, many sessions of it at once, or a suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from dlcc.compiler.cli.verbs import (
    Feeds,
    Place,
    Verb,
    device_options,
    feed_options,
    json_option,
    signature_option,
)

SUITE = ".toml"


class How(NamedTuple):
    """What is asked of a measurement that is no suite."""

    signature: str | None
    place: Place
    feeds: Feeds


@click.command(cls=Verb)
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@signature_option
@device_options
@feed_options
@click.option("--repeat", type=click.IntRange(1), default=20, show_default=True, help="Inferences.")
@click.option(
    "--sessions",
    type=click.IntRange(1),
    metavar="N",
    help="So many sessions at once, each a process: inferences a second, and latency under load.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="How long --sessions are measured.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Of a suite: the file of results, which a second run goes on with.",
)
@click.option("--csv", "csv_path", type=click.Path(path_type=Path), help="Of a suite: write CSV.")
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Of a suite: cells whose name MODEL/TARGET/DEVICE/THREADS, or a part of it, fits; "
    "repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Of a suite: show the cells, measure nothing.")
@json_option
@click.pass_context
def bench(
    ctx: click.Context,
    path: Path,
    signature: str | None,
    place: Place,
    feeds: Feeds,
    repeat: int,
    sessions: int | None,
    seconds: float,
    output: Path | None,
    csv_path: Path | None,
    only: Sequence[str],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Measure one inference: seconds, or instructions and packets on an emulated device.

    Inputs without a file get random values. FILE is a container, or a suite: a .toml that names
    models, targets and devices; it exits with 1 if a cell fails.
    """
    from dlcc.compiler.cli.show import show

    _require_sense(ctx, path.suffix == SUITE)
    if path.suffix == SUITE:
        _suite(path, output, csv_path, only, dry_run, as_json)
        return
    how = How(signature, place, feeds._replace(seed=feeds.seed or 0))
    if sessions is not None:
        show(_load(path, how, sessions, seconds), as_json)
    else:
        show(_once(path, how, repeat), as_json)


def _require_sense(ctx: click.Context, suite: bool) -> None:
    """Options of a suite are not for containers, nor the other way round."""
    from click.core import ParameterSource

    from dlcc.compiler.errors import UsageError

    of_suites = {"output", "csv_path", "only", "dry_run"}
    shared = {"path", "as_json"}
    for param in ctx.command.params:
        name = param.name or ""
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in shared and param.expose_value and (name in of_suites) != suite:
            what = f"{max(param.opts, key=len)} is for {'containers' if suite else 'suites'}"
            hint = "the suite's file says that" if suite else "give a file.toml"
            raise UsageError(f"{what}, {ctx.params.get('path')} is none", hint=hint)


def _once(path: Path, how: How, repeat: int) -> object:
    from dlcc.compiler.cli import arrays, costs
    from dlcc.compiler.cli.talk import step
    from dlcc.compiler.container import open_container

    container = open_container(path)
    values = arrays.gather_feeds(container.signature(how.signature).inputs, *how.feeds)
    opened = container.session(*how.place, signature=how.signature)
    with step(f"measuring {path}"), opened as session:
        return costs.summary(session, session.bench(values, repeat))


def _load(path: Path, how: How, sessions: int, seconds: float) -> object:
    from dlcc.compiler.bench.jobs import Job
    from dlcc.compiler.bench.load import measure_load
    from dlcc.compiler.cli.talk import step
    from dlcc.compiler.container import open_container

    open_container(path).signature(how.signature)  # what is wrong with it is said once
    files, raw_dtype, seed = how.feeds
    job = Job(
        "load",
        str(path),
        signature=how.signature,
        place=how.place,
        feeds=files,
        raw_dtype=raw_dtype,
        seed=seed or 0,
    )
    with step(f"measuring {sessions} sessions of {path}"):
        return measure_load(job, sessions, seconds)


def _suite(
    path: Path,
    output: Path | None,
    csv_path: Path | None,
    only: Sequence[str],
    dry_run: bool,
    as_json: bool,
) -> None:
    from dlcc.compiler.bench import read_suite, run_suite, write_csv
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.errors import Mismatch

    rows = run_suite(read_suite(path), output, only, dry_run)
    if csv_path is not None:
        write_csv(rows, csv_path)
    show(rows, as_json)
    if failed := [row for row in rows if row.state == "failed"]:
        first = failed[0]
        raise Mismatch(
            f"{len(failed)} of {len(rows)} cells failed, the first {first.model} for "
            f"{first.target}: {first.error}",
            hint=first.hint or "the rows tell why",
        )
