"""`dlcc device …`: serve one, track many, list, emulate and check them."""

from __future__ import annotations

import click

from dlcc.compiler.cli.verbs import Verbs


@click.group(cls=Verbs)
def device() -> None:
    """Serve, find, emulate and check devices."""
