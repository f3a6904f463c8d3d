"""`dlcc info` and `dlcc diff`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from dlcc.compiler.cli.models import Shape, input_option, output_option
from dlcc.compiler.cli.verbs import Part, Verb, json_option, ops_option, part_options

F = TypeVar("F", bound=Callable[..., Any])


def csv_option(command: F) -> F:
    """`--csv`, beside `--json`."""
    option = click.option("--csv", "as_csv", is_flag=True, help="Show comma-separated values.")
    return option(command)


def show_rows(value: object, as_json: bool, as_csv: bool) -> None:
    """Print rows in the form that was asked for; raises UsageError for two at once."""
    if as_json and as_csv:
        from dlcc.compiler.errors import UsageError

        raise UsageError("--json and --csv are two forms", hint="leave one of them out")
    if as_csv:
        from dlcc.compiler.cli.comma import show_csv

        show_csv(value)
        return
    from dlcc.compiler.cli.show import show

    show(value, as_json)


@click.command(cls=Verb)
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--layers", "part_of", flag_value="layers", help="Show a row for each layer.")
@click.option(
    "--tensors",
    "part_of",
    flag_value="tensors",
    help="Show a row for each tensor, with what constants hold.",
)
@click.option("--memory", "part_of", flag_value="memory", help="Show the memory that a run takes.")
@part_options
@ops_option
@csv_option
@json_option
def info(
    path: Path,
    part_of: str | None,
    part: Part,
    ops: Sequence[str],
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show what a container, a model or a DLC of Qualcomm's holds."""
    from dlcc.compiler import inspect

    views: dict[str | None, Callable[..., object]] = {
        None: inspect.info,
        "layers": inspect.layers,
        "tensors": inspect.tensors,
        "memory": inspect.memory,
    }
    show_rows(views[part_of](path, ops=ops, **part._asdict()), as_json, as_csv)


@click.command(cls=Verb)
@click.argument("a", type=click.Path(path_type=Path), metavar="A")
@click.argument("b", type=click.Path(path_type=Path), metavar="B")
@click.option("--only", multiple=True, metavar="SECTION", help="Compare this alone; repeatable.")
@click.option("--ignore", multiple=True, metavar="SECTION", help="Leave this out; repeatable.")
@click.option(
    "--rtol",
    type=click.FloatRange(0),
    default=0.0,
    help="Weights may differ by this times their size; default: not at all.",
)
@click.option("--atol", type=click.FloatRange(0), default=0.0, help="Weights may differ by this.")
@input_option
@output_option
@part_options
@ops_option
@csv_option
@json_option
def diff(
    a: Path,
    b: Path,
    only: Sequence[str],
    ignore: Sequence[str],
    rtol: float,
    atol: float,
    inputs: Sequence[tuple[str, Shape | None]],
    outputs: Sequence[str],
    part: Part,
    ops: Sequence[str],
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show how B differs from A: models, containers, DLCs; exit with 1 if they do.

    Sections: interface, structure, names, shapes, attributes, quantization, weights, metadata,
    artifacts."""
    from dlcc.compiler.diff import diff as diff_of
    from dlcc.compiler.diff.diff import chosen, require_equal

    found = diff_of(
        a,
        b,
        sections=chosen(only, ignore),
        rtol=rtol,
        atol=atol,
        inputs=dict(inputs),
        outputs=outputs,
        ops=ops,
        **part._asdict(),
    )
    show_rows(found.rows if as_csv else found, as_json, as_csv)
    require_equal(found)
