"""`dlcc verify`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from dlcc.compiler.cli.models import (
    Shape,
    database_option,
    input_option,
    model_argument,
    output_option,
)
from dlcc.compiler.cli.verbs import (
    Part,
    Verb,
    device_option,
    fp16_option,
    gathered,
    json_option,
    ops_option,
    part_options,
    runtime_option,
    threads_option,
    time_limit_option,
)

if TYPE_CHECKING:
    from dlcc.compiler.verify import Look, Making, Place
    from dlcc.compiler.verify.rows import Layers

DATA = click.Path(path_type=Path, exists=True)


class Seen(NamedTuple):
    """How closely it looks: what `Look` takes."""

    layers: bool
    tensors: bool
    bisect: bool
    reproducer: Path | None
    rank: Any
    rtol: float | None
    atol: float


class Run(NamedTuple):
    """How the model is compiled and where it runs."""

    device: str | None
    threads: int | None
    time_limit_s: float
    database: Path | str | None
    runtime: str | None
    fp16: bool


def _look_options(command: Any) -> Any:
    return gathered(command, Seen, "seen", *_depth_options(), *_tolerance_options())


def _depth_options() -> list[Any]:
    return [
        click.option(
            "--layers", is_flag=True, help="Compare what every kernel of the model computes."
        ),
        click.option(
            "--tensors",
            is_flag=True,
            help="Compare every tensor that outlives optimisation; kernels then end at each.",
        ),
        click.option(
            "--bisect",
            is_flag=True,
            help="Find what makes the first layer depart: converter, pass, schedule, tuning, "
            "fusion. Implies --layers.",
        ),
        click.option(
            "--reproducer",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Write the layer that departs, else the worst, as a model with its inputs. "
            "Implies --layers.",
        ),
    ]


def _tolerance_options() -> list[Any]:
    return [
        click.option(
            "--rank",
            type=click.Choice(["snr", "max-abs", "max-rel", "cosine"]),
            default="snr",
            show_default=True,
            help="What the worst layers are chosen by.",
        ),
        click.option(
            "--rtol",
            type=click.FloatRange(0),
            help="Tolerance, of the largest value of a tensor; default 0.001, with --fp16 0.02.",
        ),
        click.option(
            "--atol",
            type=click.FloatRange(0),
            default=1e-6,
            show_default=True,
            help="Tolerance beside it.",
        ),
    ]


def _run_options(command: Any) -> Any:
    return gathered(
        command,
        Run,
        "where",
        device_option,
        threads_option,
        time_limit_option,
        database_option,
        runtime_option,
        fp16_option,
    )


@click.command(cls=Verb)
@model_argument
@click.option("-t", "--target", default="host", show_default=True, help="A kind or chip.")
@click.option(
    "--data",
    "paths",
    type=DATA,
    multiple=True,
    metavar="PATH",
    help="A sample: a .npz of all inputs by name, for one input also .npy or .raw; or a folder of "
    "samples. Repeatable. Default: random values.",
)
@click.option(
    "--random",
    "seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="SEED",
    help="Seed of random values.",
)
@click.option(
    "--expect", type=DATA, metavar="FILE", help="A .npz of tensors by name, in TensorFlow's place."
)
@click.option(
    "--against", type=DATA, metavar="FILE", help="A container of the model, to compare its outputs."
)
@_look_options
@_run_options
@input_option
@output_option
@part_options
@ops_option
@json_option
def verify(
    model: str,
    target: str,
    paths: Sequence[Path],
    seed: int,
    expect: Path | None,
    against: Path | None,
    seen: Seen,
    where: Run,
    inputs: Sequence[tuple[str, Shape | None]],
    outputs: Sequence[str],
    part: Part,
    ops: Sequence[str],
    as_json: bool,
) -> None:
    """Compare a model on a device with TensorFlow, layer by layer.

    Exits with 1 if an output or a layer departs: if a value is off by more than atol + rtol times
    the largest value of its tensor.
    """
    from dlcc.compiler.cli.arrays import read_arrays
    from dlcc.compiler.cli.samples import Files
    from dlcc.compiler.cli.talk import step
    from dlcc.compiler.cli.verified import require_equal, show_verification
    from dlcc.compiler.verify import Data
    from dlcc.compiler.verify import verify as verified

    look, making, place = _asked(seen, where, inputs, outputs, part, ops)
    known = read_arrays(expect) if expect else None
    data = Data(partial(Files, paths) if paths else {}, seed, known, str(expect))
    with step(f"comparing {model} on {target} with its reference"):
        found = verified(
            model, target, data=data, look=look, making=making, place=place, against=against
        )
    show_verification(found, seen.rank, as_json)
    require_equal(found)


def _asked(
    seen: Seen,
    where: Run,
    inputs: Sequence[tuple[str, Shape | None]],
    outputs: Sequence[str],
    part: Part,
    ops: Sequence[str],
) -> tuple[Look, Making, Place]:
    from dlcc.compiler.verify import Look, Making, Place

    layers: Layers | None = "tensors" if seen.tensors else "kernels" if seen.layers else None
    look = Look(layers, seen.bisect, seen.reproducer, seen.rank, seen.rtol, seen.atol)
    database = None if where.database is None else str(where.database)
    how = where.runtime, where.fp16, ops
    making = Making(dict(inputs), outputs, part.signature, part.tag, database, *how)
    return look, making, Place(where.device, where.threads, where.time_limit_s)
