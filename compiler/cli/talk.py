"""What the command line says on stderr: log lines, progress, errors."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import click

LOG = logging.getLogger("dlcc")
_LEVELS = {-1: logging.ERROR, 0: logging.INFO, 1: logging.DEBUG}


class Talk(logging.Handler):
    """How much a verb says: -1 errors alone, 0 steps, 1 every detail."""

    def __init__(self, verbosity: int) -> None:
        super().__init__()
        self.verbosity = min(max(verbosity, -1), 1)
        self._live = False
        LOG.handlers = [h for h in LOG.handlers if not isinstance(h, Talk)]
        LOG.addHandler(self)
        LOG.setLevel(_LEVELS[self.verbosity])

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        # "\r" and "erase line": a spinner may stand where this line goes.
        start = "\r\x1b[2K" if self._live else ""
        click.echo(f"{start}{prefix}{record.getMessage()}", err=True)

    @contextmanager
    def step(self, message: str) -> Iterator[None]:
        """A spinner while the block runs; a plain line where stderr is no terminal."""
        if self.verbosity != 0 or not sys.stderr.isatty():
            LOG.info("%s", message)
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(message):
            self._live = True
            try:
                yield
            finally:
                self._live = False


def step(message: str) -> AbstractContextManager[None]:
    """`with step("compiling"):` on the talk of the running command."""
    talk = click.get_current_context().obj
    assert isinstance(talk, Talk)
    return talk.step(message)
