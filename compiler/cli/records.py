"""`dlcc records …`: look at, merge, share and prune what tuning has measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dlcc.compiler.cli.verbs import Verb, Verbs, json_option

places_argument = click.argument(
    "places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR…"
)
target_option = click.option(
    "-t", "--target", metavar="TARGET", help="A kind or chip; default: all."
)


def out_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`-o`."""
    return click.option(
        "-o", "--out", required=True, type=click.Path(path_type=Path), metavar="PATH", help=help
    )


@click.group(cls=Verbs)
def records() -> None:
    """Look at, merge, share and prune what tuning has measured.

    DIR is a folder of `dlcc tune`, or a file that `dlcc records export` wrote.
    """


@click.command("list", cls=Verb)
@places_argument
@target_option
@click.option("--trials", is_flag=True, help="Show every candidate, as they were measured.")
@click.option("--session", default="", metavar="ID", help="With --trials: those of one session.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="With --trials: the first N of them."
)
@json_option
def list_records(
    places: tuple[Path, ...],
    target: str | None,
    trials: bool,
    session: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show the sessions that were measured, and which of them say nothing of today's code."""
    from dlcc.compiler.cli.record_rows import session_rows, trial_rows
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.errors import UsageError

    if trials:
        show(trial_rows(places, target, session=session, limit=limit), as_json)
        return
    if session or limit:
        raise UsageError("--session and --limit are about trials", hint="add --trials")
    show(session_rows(places, target), as_json)


@click.command(cls=Verb)
@places_argument
@target_option
@json_option
def best(places: tuple[Path, ...], target: str | None, as_json: bool) -> None:
    """Show the best choice for each workload beside the default."""
    from dlcc.compiler.cli.record_rows import best_rows
    from dlcc.compiler.cli.show import show

    show(best_rows(places, target), as_json)


@click.command(cls=Verb)
@places_argument
@out_option("The folder that they go to, after what it has.")
@json_option
def merge(places: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Put the records of several folders into one; what is there twice counts once."""
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.cli.talk import step
    from dlcc.tuning.upkeep import merge as merge_into

    with step(f"merging into {out}"):
        merged = merge_into(places, out)
    show(merged, as_json)


@click.command(cls=Verb)
@places_argument
@out_option("The file to write, .jsonl or .jsonl.gz.")
@json_option
def export(places: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Write the best choices to a file that can be given away.

    Nothing in it tells of the model, of who measured it, and where.
    """
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.cli.talk import step
    from dlcc.tuning.installed import stale
    from dlcc.tuning.upkeep import export as export_to

    with step(f"writing {out}"):
        exported = export_to(places, out, stale)
    show(exported, as_json)


@click.command(cls=Verb)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--only-best",
    is_flag=True,
    help="Drop all that is not the best; sessions then begin anew, from these.",
)
@click.option("--dry-run", "dry", is_flag=True, help="Only show what would be dropped.")
@json_option
def prune(folder: Path, only_best: bool, dry: bool, as_json: bool) -> None:
    """Drop what other versions have measured, but for the best of each workload."""
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.cli.talk import step
    from dlcc.tuning.installed import stale
    from dlcc.tuning.upkeep import prune as prune_folder

    with step(f"pruning {folder}"):
        pruned = prune_folder(folder, stale, only_best=only_best, dry=dry)
    show(pruned, as_json)


@click.command(cls=Verb)
@places_argument
@out_option("The HTML file to write.")
@click.option("--title", default="", help="What was tuned; default: the names of the folders.")
def report(places: tuple[Path, ...], out: Path, title: str) -> None:
    """Write what was measured to one HTML file: curves, the best of each kernel, failures."""
    from dlcc.compiler.cli.talk import step
    from dlcc.tuning.database import read
    from dlcc.tuning.installed import stale
    from dlcc.tuning.report.gather import reports_of
    from dlcc.tuning.report.page import write

    title = title or ", ".join(place.resolve().name for place in places)
    with step(f"writing {out}"):
        found = (record for place in places for record in read(place))
        write(reports_of(found, title, stale), out)
    click.echo(out)


for _verb in (list_records, best, report, merge, export, prune):
    records.add_command(_verb)
