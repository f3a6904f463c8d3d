"""`dlcc compile` and `dlcc check`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dlcc.compiler.cli.verbs import (
    How,
    Part,
    Verb,
    how_options,
    json_option,
    ops_option,
    part_options,
)

Shape = tuple[int | str | None, ...]


class InputShape(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """NAME or NAME=1,h,w,3, where h and w name dimensions that are left open, as does ? without
    a name; "NAME=" is a scalar."""

    name = "input"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Shape | None]:
        name, equals, dims = str(value).rpartition("=")
        if not equals:
            return str(value), None
        if re.fullmatch(r"[\d?]+(x[\d?]+)+", dims):
            dims = dims.replace("x", ",")
        shape: list[int | str | None] = []
        for dim in (part.strip() for part in dims.split(",") if part):
            if dim not in ("?", "-1") and not dim.isdecimal() and not dim.isidentifier():
                self.fail(f"{dim!r} in {value!r} is no size; write NAME=1,224,224,3", param, ctx)
            symbol = dim if dim.isidentifier() else None
            shape.append(int(dim) if dim.isdecimal() else symbol)
        return name, tuple(shape)


class Records(click.Path):
    """A folder of tuning records, or "none"; a folder of that name is ./none."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False, exists=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from dlcc.compiler.tuning import NONE

        return NONE if value == NONE else super().convert(value, param, ctx)


model_argument = click.argument("model", metavar="MODEL")
input_option = click.option(
    "-i",
    "--input",
    "inputs",
    type=InputShape(),
    multiple=True,
    metavar="NAME[=SHAPE]",
    help="An input, with its shape as 1,224,224,3 or 1,h,w,3; repeatable. Default: those of the "
    "signature, or the placeholders.",
)
output_option = click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="NAME",
    help="An output; repeatable. Default: those of the signature, or the graph's sinks.",
)
database_option = click.option(
    "--database",
    type=Records(),
    metavar="DIR",
    help="A folder of tuning records, which count before those that come with dlcc; none: not even "
    "these.",
)


@click.command("compile", cls=Verb)
@model_argument
@click.option(
    "-t",
    "--target",
    default="host",
    show_default=True,
    metavar="TARGET[,TARGET…]",
    help="Kinds or chips; `dlcc target list` shows them.",
)
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The container; default: the model's name with .dlc, in this folder.",
)
@input_option
@output_option
@part_options
@database_option
@click.option(
    "--emit",
    "form",
    type=click.Choice(["relax", "tir", "asm", "c"]),
    help="Print the graph, the scheduled kernels or their assembly; writes a container only with "
    "-o. c: write a C library of the model to the folder -o; implies --runtime aot.",
)
@how_options
@ops_option
@json_option
def compile_model(
    model: str,
    target: str,
    output: Path | None,
    inputs: Sequence[tuple[str, Shape | None]],
    outputs: Sequence[str],
    part: Part,
    database: Path | str | None,
    form: str | None,
    how: How,
    ops: Sequence[str],
    as_json: bool,
) -> None:
    """Compile a TensorFlow model into a container."""
    from dlcc.compiler import compile
    from dlcc.compiler.cli import emit, talk
    from dlcc.compiler.cli.show import show, size

    with talk.step(f"compiling {model} for {target}"):
        made = compile(
            model,
            target,
            inputs=dict(inputs) or None,
            outputs=list(outputs) or None,
            database=database,
            ops=ops,
            **(how._replace(runtime="aot") if form == "c" and not how.runtime else how)._asdict(),
            **part._asdict(),
        )
    if form == "c":
        click.echo(emit.write_sources(made, output or Path(f"{made.model}-c")))
    elif form is not None:
        click.echo(emit.listing(made, form))
    if form is None or (form != "c" and output is not None):
        path = made.save(output or f"{made.model}.dlc")
        talk.LOG.info("wrote %s (%s)", path, size(path.stat().st_size))
        if as_json:
            show(emit.written(made, path), as_json)
        elif form is None:
            click.echo(path)


@click.command(cls=Verb)
@model_argument
@click.option("-t", "--target", metavar="TARGET", help="A kind or chip; default: any.")
@click.option("--why", "node", metavar="NODE", help="Tell what became of one node.")
@input_option
@output_option
@part_options
@ops_option
@json_option
def check(
    model: str,
    target: str | None,
    node: str | None,
    inputs: Sequence[tuple[str, Shape | None]],
    outputs: Sequence[str],
    part: Part,
    ops: Sequence[str],
    as_json: bool,
) -> None:
    """Show every op of a model and its converter; exit with 1 if any has none."""
    from dlcc.compiler.cli import coverage
    from dlcc.compiler.cli.show import show

    if node is not None:
        from dlcc.compiler.why import why

        kept = {**part._asdict(), "ops": ops}
        show(why(model, node, target or "host", dict(inputs), outputs, **kept), as_json)
        return
    rows, hint = coverage.rows(model, dict(inputs), outputs, target, part, ops)
    show(rows, as_json)
    coverage.require_all(rows, hint)
