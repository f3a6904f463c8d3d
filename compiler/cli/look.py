"""`dlcc view`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dlcc.compiler.cli.models import Shape, input_option, output_option
from dlcc.compiler.cli.verbs import Part, Verb, json_option, ops_option, part_options


@click.command(cls=Verb)
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "-o",
    "page",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page; default: the model's name with .html, in this folder.",
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What `dlcc profile --json` printed for it: shows the cost of each layer.",
)
@click.option(
    "-t",
    "--target",
    metavar="TARGET",
    help="Whose kernels and placement are shown of a container; default: the first.",
)
@input_option
@output_option
@part_options
@ops_option
@json_option
def view(
    path: Path,
    page: Path | None,
    profile: Path | None,
    target: str | None,
    inputs: Sequence[tuple[str, Shape | None]],
    outputs: Sequence[str],
    part: Part,
    ops: Sequence[str],
    as_json: bool,
) -> None:
    """Write a page to look into a model: its graph, memory, costs and constants.

    One HTML file for any browser, which fetches nothing.
    """
    from dlcc.compiler.cli import talk
    from dlcc.compiler.cli.show import show, size
    from dlcc.compiler.view import view as view_of

    with talk.step(f"looking into {path}"):
        made = view_of(
            path,
            page,
            profile=profile,
            target=target,
            inputs=dict(inputs) or None,
            outputs=list(outputs) or None,
            ops=ops,
            **part._asdict(),
        )
    talk.LOG.info("wrote %s (%s)", made.path, size(made.size_bytes))
    if as_json:
        show(made, as_json)
    else:
        click.echo(made.path)
