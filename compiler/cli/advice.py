"""`dlcc lint`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dlcc.compiler.cli.inspection import csv_option, show_rows
from dlcc.compiler.cli.models import Shape, input_option, output_option
from dlcc.compiler.cli.verbs import Part, Verb, json_option, ops_option, part_options


@click.command(cls=Verb)
@click.argument("model", metavar="MODEL")
@click.option(
    "-t",
    "--target",
    metavar="TARGET[,TARGET…]",
    help="Kinds or chips; default: those of a container, or every kind.",
)
@click.option("--fix", "fixes", is_flag=True, help="Rewrite the model for one target, into -o.")
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The rewritten model, a frozen graph.",
)
@click.option(
    "--measure", is_flag=True, help="With --fix: run both on the target's device, and compare."
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 although there is advice.")
@input_option
@output_option
@part_options
@ops_option
@csv_option
@json_option
def lint(
    model: str,
    target: str | None,
    fixes: bool,
    output: Path | None,
    measure: bool,
    exit_zero: bool,
    inputs: Sequence[tuple[str, Shape | None]],
    outputs: Sequence[str],
    part: Part,
    ops: Sequence[str],
    as_csv: bool,
    as_json: bool,
) -> None:
    """Advise what in a model costs its targets most; exit with 1 where there is advice."""
    from dlcc.compiler import lint as linting
    from dlcc.compiler.lint.lint import require_fixable, require_none

    chosen = {"inputs": dict(inputs), "outputs": outputs, "ops": ops, **part._asdict()}
    if fixes or measure or output is not None:
        where, goal = require_fixable(fixes, output, target)
        done = linting.fix(model, where, goal, measure=measure, **chosen)
        show_rows(done, as_json, as_csv)
        return
    found = linting.lint(model, target, **chosen)
    show_rows(found, as_json, as_csv)
    if not exit_zero:
        require_none(found)
