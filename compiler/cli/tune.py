"""`dlcc tune`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dlcc.compiler.cli.models import Shape, input_option, model_argument, output_option
from dlcc.compiler.cli.verbs import (
    Part,
    Verb,
    device_option,
    json_option,
    ops_option,
    part_options,
    threads_option,
    time_limit_option,
)


@click.command(cls=Verb)
@model_argument
@click.option(
    "-t",
    "--target",
    default="host",
    show_default=True,
    metavar="TARGET",
    help="A kind or a chip; `dlcc target list` shows them.",
)
@device_option
@click.option("--trials", type=click.IntRange(1), metavar="N", help="Stop at N trials in all.")
@click.option(
    "--hours", type=click.FloatRange(0, min_open=True), metavar="H", help="Stop after so long."
)
@click.option(
    "--until-flat",
    is_flag=True,
    help="Stop when no kernel makes progress any more; the default.",
)
@click.option(
    "--database",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the records; default: the model's name with .tuning, in this folder.",
)
@threads_option
@click.option(
    "--cluster",
    metavar="ADDRESS",
    default="",
    help="Scheduler of Dask workers that build, tcp://HOST:PORT; default: this machine builds.",
)
@time_limit_option
@input_option
@output_option
@part_options
@ops_option
@json_option
def tune(
    model: str,
    target: str,
    device: str | None,
    trials: int | None,
    hours: float | None,
    until_flat: bool,
    database: Path | None,
    threads: int | None,
    cluster: str,
    time_limit_s: float,
    inputs: Sequence[tuple[str, Shape | None]],
    outputs: Sequence[str],
    part: Part,
    ops: Sequence[str],
    as_json: bool,
) -> None:
    """Find faster kernels for a model on a device; the same command goes on where it stopped.

    Every trial is recorded at once: Ctrl-C, a crash or a lost device cost at most the batch under
    way. `dlcc compile --database DIR` uses what was found.
    """
    from dlcc.compiler.cli import talk
    from dlcc.compiler.cli.sessions import budget_of, ended, request_of
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.cli.watching import write_report
    from dlcc.compiler.tuning import prepare
    from dlcc.targets.registry import DeviceOptions
    from dlcc.tuning.session import tune as run

    budget = budget_of(trials, hours, until_flat)
    with talk.step(f"reading {model}"):
        rest = {**part._asdict(), "inputs": dict(inputs) or None, "ops": ops}
        prepared = prepare(model, target, outputs=list(outputs) or None, **rest)
    options = DeviceOptions(threads, time_limit_s)
    request = request_of(prepared, device, database, budget, options, cluster)
    with ended(request, f"{prepared.name} for {request.chip.name}") as watch:
        outcome = run(request, watch)
    talk.LOG.info("report: %s", write_report(watch.title, request, outcome))
    show(outcome, as_json)
