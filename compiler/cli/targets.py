"""`dlcc target list` and `dlcc target show`."""

from __future__ import annotations

import click

from dlcc.compiler.cli.verbs import Verb, Verbs, json_option


@click.group(cls=Verbs)
def target() -> None:
    """Show what models can be compiled for."""


@click.command("list", cls=Verb)
@json_option
def list_targets(as_json: bool) -> None:
    """Show every kind and chip; the first of a kind is its default."""
    from dlcc.compiler.cli.chip_rows import chip_rows
    from dlcc.compiler.cli.show import show

    show(chip_rows(), as_json)


@click.command("show", cls=Verb)
@click.argument("name")
@json_option
def show_target(name: str, as_json: bool) -> None:
    """Show all that is known of a chip, and where it is from."""
    from dlcc.compiler.cli.show import show
    from dlcc.targets.registry import find_chip

    show(find_chip(name), as_json)


for _verb in (list_targets, show_target):
    target.add_command(_verb)
