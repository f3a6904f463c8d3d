"""`dlcc ops …`: the ops that users add."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dlcc.compiler.cli.verbs import Verb, Verbs, json_option, ops_option


@click.group(cls=Verbs)
def ops() -> None:
    """Ops of your own: list those in force, start a new one."""


@click.command("list", cls=Verb)
@ops_option
@json_option
def list_ops(ops: Sequence[str], as_json: bool) -> None:
    """Show the ops of installed packages and of the files that --ops names.

    Of each the set it is from, and what runs it on each kind of target."""
    from dlcc.compiler.cli import talk
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.user_ops.rows import op_rows
    from dlcc.compiler.user_ops.table import ops_in_force

    rows = op_rows(ops_in_force(ops))
    if not rows:
        talk.LOG.info("no package gives ops, and no --ops names a file; see `dlcc ops new`")
    show(rows, as_json)


@click.command(cls=Verb)
@click.argument("name", metavar="NAME")
@click.option(
    "-o",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where the files go; default: this folder.",
)
def new(name: str, folder: Path) -> None:
    """Write a converter, a shape rule, kernels and a test of an op, which work as they are.

    NAME is that of the op, for instance MyOp."""
    from dlcc.compiler.user_ops.new import write_skeleton

    for path in write_skeleton(name, folder):
        click.echo(path)


ops.add_command(list_ops)
ops.add_command(new)
