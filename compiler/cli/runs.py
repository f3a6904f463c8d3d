"""`dlcc run`."""

from __future__ import annotations

from pathlib import Path

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

TOLERANCE = click.FloatRange(0)


@click.command(cls=Verb)
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@signature_option
@device_options
@feed_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write outputs as .npz.")
@click.option(
    "--expect", type=click.Path(path_type=Path), help="A .npz to compare the outputs with."
)
@click.option("--rtol", type=TOLERANCE, default=1e-4, show_default=True, help="Relative tolerance.")
@click.option("--atol", type=TOLERANCE, default=1e-5, show_default=True, help="Absolute tolerance.")
@json_option
def run(
    path: Path,
    signature: str | None,
    place: Place,
    feeds: Feeds,
    output: Path | None,
    expect: Path | None,
    rtol: float,
    atol: float,
    as_json: bool,
) -> None:
    """Run a container once; show, write or compare its outputs.

    Exits with 1 if an output is beyond tolerance: |y - expected| > atol + rtol * |expected|.
    """
    from dlcc.compiler.cli import arrays, compare
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.cli.talk import step
    from dlcc.compiler.container import open_container
    from dlcc.compiler.npz import write_npz

    container = open_container(path)
    values = arrays.gather_feeds(container.signature(signature).inputs, *feeds)
    expected = None if expect is None else arrays.read_arrays(expect)
    with step(f"running {path}"), container.session(*place, signature=signature) as session:
        results = session.run(values)
    if output is not None:
        write_npz(output, results)
    if expected is None:
        show(compare.output_rows(results), as_json)
        return
    rows = compare.differences(results, expected, rtol, atol)
    show(rows, as_json)
    compare.check_differences(rows)
