"""`dlcc profile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

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

if TYPE_CHECKING:
    from dlcc.compiler.profile import Profile, TimeProfile
    from dlcc.compiler.profile.calls import Calls

SAVED = ".json"
By = Literal["call", "node"]


class Measured(NamedTuple):
    """One side: as rows where it was measured now, and in the form of all.

    weights: node -> multiply-accumulates."""

    profile: Profile | TimeProfile | None
    calls: Calls
    weights: Mapping[str, int]


@click.command(cls=Verb)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "--by",
    type=click.Choice(["call", "node"]),
    default="call",
    show_default=True,
    help="A row for each call of a kernel, or for each node of the graph, which is an estimate.",
)
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="FILE", help="The same as a second FILE."
)
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page.")
@click.option(
    "--trace",
    "trace_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a trace for Chrome's viewer.",
)
@signature_option
@device_options
@feed_options
@json_option
def profile(
    paths: tuple[Path, ...],
    by: By,
    against: Path | None,
    html: Path | None,
    trace_path: Path | None,
    signature: str | None,
    place: Place,
    feeds: Feeds,
    as_json: bool,
) -> None:
    """Show what each kernel costs in one inference, and what of the graph it computes.

    Seconds, instructions on an emulated Arm device, packets on the DSP's emulator. Inputs without
    a file get random values. Of two FILEs the costs of the same nodes are set side by side; a FILE
    may be what --json wrote before.
    """
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.profile.compare import compare
    from dlcc.compiler.profile.nodes import by_nodes

    files = _sides(paths, against)
    weighed = by == "node" or html is not None
    found = [_measured(path, signature, place, feeds, weighed) for path in files]
    calls = [side.calls for side in found]
    _write(found, html, trace_path)
    if len(found) > 1:
        show(compare(*calls), as_json)
    elif by == "node":
        show(by_nodes(calls[0], found[0].weights), as_json)
    else:
        show(_rows(found[0], files[0]), as_json)


def _sides(paths: Sequence[Path], against: Path | None) -> list[Path]:
    """The one or two files."""
    from dlcc.compiler.errors import UsageError

    files = [*paths, *([against] if against else [])]
    if len(files) > 2:
        raise UsageError(
            f"{len(files)} files are given, two can be set side by side",
            hint="dlcc profile A B, or dlcc profile A --against B",
        )
    return files


def _rows(side: Measured, path: Path) -> Profile | TimeProfile:
    from dlcc.compiler.errors import UsageError

    if side.profile is None:
        raise UsageError(
            f"{path} is a saved profile, which already is what --json shows",
            hint="--by node, --html, --trace, or a second file to compare it with",
        )
    return side.profile


def _measured(
    path: Path, signature: str | None, place: Place, feeds: Feeds, weighed: bool
) -> Measured:
    from dlcc.compiler.cli import arrays
    from dlcc.compiler.cli.talk import step
    from dlcc.compiler.container import open_container
    from dlcc.compiler.profile import profile as profile_of
    from dlcc.compiler.profile.calls import calls_of, read_saved

    if path.suffix == SAVED:
        return Measured(None, read_saved(path), {})
    container = open_container(path)
    feeds = feeds._replace(seed=feeds.seed or 0)
    values = arrays.gather_feeds(container.signature(signature).inputs, *feeds)
    with step(f"measuring {path}"), container.session(*place, signature=signature) as session:
        made = profile_of(session, values)
    return Measured(made, calls_of(made, path.stem), _weights(path, signature) if weighed else {})


def _weights(path: Path, signature: str | None) -> dict[str, int]:
    from dlcc.compiler.network.read import read_network
    from dlcc.compiler.profile.nodes import node_macs

    return node_macs(read_network(path, signature=signature))


def _write(found: Sequence[Measured], html: Path | None, trace_path: Path | None) -> None:
    """The files that were asked for."""
    calls = [side.calls for side in found]
    if trace_path is not None:
        from dlcc.compiler.profile.trace import write_trace

        write_trace(calls, trace_path)
    if html is not None:
        from dlcc.compiler.profile.compare import compare
        from dlcc.compiler.profile.nodes import by_nodes
        from dlcc.compiler.profile.page import write_page

        nodes = [by_nodes(side.calls, side.weights) for side in found]
        write_page(calls, nodes, compare(*calls) if len(calls) > 1 else None, html)
